"""The auditor's certificate: registers, where they are held, when they last came back
(spec/certificates.md 6).

Reads, writes and verifies it; `exclave certificate make` makes it. Rules: what can be proven to
somebody who trusts nobody is proven by what the certificate carries, or it is refused; the rest is
the depositor's word, and `CheckedStanding` keeps the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.envelope import (
    Envelope,
    Kind,
    envelope_for,
    parse_envelope,
    payload_object,
)
from exclave.authority.fields import FieldInvalid, Node, require_ascending
from exclave.authority.persons import require_keys
from exclave.certificate.drill import Drill, parse_drill, verify_drill
from exclave.certificate.proof import Proof, parse_proof, verify_proof
from exclave.certificate.receipts import SeatReceipt, verify_seat_receipt
from exclave.certificate.results import (
    HEAD,
    MAX_NUMBER,
    MAX_REGISTERS,
    CertificateHead,
    head_json,
    read_head,
    require_mission,
)
from exclave.clock import format_time
from exclave.encoding import JsonObject, JsonValue, b64encode
from exclave.errors import AuthorityError, IntegrityError
from exclave.ids import DepositId, Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.values import dataclass

__all__ = [
    "CharterMissing",
    "CheckedStanding",
    "ClaimUnproven",
    "HeldDeposit",
    "Standing",
    "StandingRegister",
    "charter_named",
    "parse_standing",
    "standing_envelope",
    "verify_standing",
]

_MAX_STATEMENTS: Final = 3 * MAX_REGISTERS


class ClaimUnproven(IntegrityError):
    """A certificate claims what it does not prove."""


class CharterMissing(AuthorityError):
    """A certificate names a charter that was not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRegister:
    """One register of the plan; hashes name a deposit's record, a proof and a drill."""

    id: str
    title: str
    owner: str
    classification: str
    rpo: int  # seconds
    rto: int  # seconds
    record: StatementHash | None
    captured: datetime | None
    proof: StatementHash | None
    drill: StatementHash | None

    def __post_init__(self) -> None:
        if (self.record is None) is not (self.captured is None):
            raise FieldInvalid("register.captured: expected null where record is, and only there")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDeposit:
    """A deposit, and a receipt of each seat that lodged it."""

    deposit: DepositId
    record: StatementHash
    k: int
    n: int
    held: tuple[tuple[Seat, bytes], ...]

    def __post_init__(self) -> None:
        require_ascending("deposit.held", [seat for seat, _ in self.held])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The certificate."""

    head: CertificateHead
    depositor: str
    time: datetime
    plan: bytes
    registers: tuple[StandingRegister, ...]
    deposits: tuple[HeldDeposit, ...]
    statements: tuple[Envelope, ...]

    def __post_init__(self) -> None:
        names = [register.id for register in self.registers]
        if not 1 <= len(names) <= MAX_REGISTERS or len(set(names)) != len(names):
            raise FieldInvalid(
                f"standing.registers: expected 1 to {MAX_REGISTERS}, each once, got others"
            )
        require_ascending("standing.deposits", [item.record.hex() for item in self.deposits])
        require_ascending(
            "standing.statements", [item.statement_hash.hex() for item in self.statements]
        )
        named = {register.record for register in self.registers} - {None}
        if named != {item.record for item in self.deposits}:
            raise FieldInvalid("standing.deposits: expected those that registers name, got others")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedStanding:
    """A certificate whose every claim that can be proven is."""

    standing: Standing
    held: Mapping[StatementHash, tuple[SeatReceipt, ...]]  # by record
    proofs: Mapping[StatementHash, Proof]
    drills: Mapping[StatementHash, Drill]


def standing_envelope(standing: Standing) -> Envelope:
    """The certificate, unsigned."""
    return envelope_for(
        {
            "kind": Kind.STANDING.value,
            **head_json(standing.head),
            "depositor": standing.depositor,
            "time": format_time(standing.time),
            "plan": standing.plan.hex(),
            "registers": [_register_json(item) for item in standing.registers],
            "deposits": [_deposit_json(item) for item in standing.deposits],
            "statements": [b64encode(item.to_bytes()) for item in standing.statements],
        }
    )


def _register_json(item: StandingRegister) -> JsonObject:
    return {
        "id": item.id,
        "title": item.title,
        "owner": item.owner,
        "classification": item.classification,
        "rpo": item.rpo,
        "rto": item.rto,
        "record": _hex(item.record),
        "captured": None if item.captured is None else format_time(item.captured),
        "proof": _hex(item.proof),
        "drill": _hex(item.drill),
    }


def _deposit_json(item: HeldDeposit) -> JsonObject:
    held: list[JsonValue] = [[seat, b64encode(receipt)] for seat, receipt in item.held]
    return {
        "deposit": item.deposit.hex(),
        "record": item.record.hex(),
        "k": item.k,
        "n": item.n,
        "held": held,
    }


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def parse_standing(envelope: Envelope) -> Standing:
    """Read the certificate in an envelope; nothing that it carries is checked here."""
    names = ("depositor", "time", "plan", "registers", "deposits", "statements")
    found = payload_object(envelope, Kind.STANDING).fields(*HEAD, *names)
    return Standing(
        head=read_head(found),
        depositor=found["depositor"].slug(),
        time=found["time"].time(),
        plan=found["plan"].hex(32),
        registers=found["registers"].each(_read_register, least=1, most=MAX_REGISTERS),
        deposits=found["deposits"].each(_read_deposit, most=MAX_REGISTERS),
        statements=found["statements"].each(_read_statement, most=_MAX_STATEMENTS),
    )


def _read_register(node: Node) -> StandingRegister:
    found = node.fields(*StandingRegister.__slots__)
    return StandingRegister(
        id=found["id"].slug(),
        title=found["title"].text(),
        owner=found["owner"].text(),
        classification=found["classification"].text(),
        rpo=found["rpo"].integer(0, MAX_NUMBER),
        rto=found["rto"].integer(0, MAX_NUMBER),
        record=found["record"].optional(_statement_hash),
        captured=found["captured"].optional(Node.time),
        proof=found["proof"].optional(_statement_hash),
        drill=found["drill"].optional(_statement_hash),
    )


def _read_deposit(node: Node) -> HeldDeposit:
    found = node.fields(*HeldDeposit.__slots__)
    return HeldDeposit(
        deposit=DepositId(found["deposit"].hex(16)),
        record=_statement_hash(found["record"]),
        k=found["k"].integer(1, 255),
        n=found["n"].integer(1, 255),
        held=found["held"].each(_read_held, most=255),
    )


def _read_held(node: Node) -> tuple[Seat, bytes]:
    seat, receipt = node.items(least=2, most=2)
    return Seat(seat.integer(1, 255)), receipt.base64()


def _read_statement(node: Node) -> Envelope:
    return parse_envelope(node.base64(), kinds=[Kind.PROOF, Kind.DRILL, Kind.WARRANT])


def _statement_hash(node: Node) -> StatementHash:
    return StatementHash(node.hex(32))


def charter_named(charters: Sequence[Charter], name: StatementHash) -> Charter:
    """The charter with that hash among those given; raises `CharterMissing`."""
    for charter in charters:
        if charter.statement_hash == name:
            return charter
    raise CharterMissing(
        f"charter {name.hex()[:16]}: expected among those given, got "
        + (", ".join(item.statement_hash.hex()[:16] for item in charters) or "none"),
        hint="name every charter of the mission with --charter",
    )


def verify_standing(envelope: Envelope, charters: Sequence[Charter]) -> CheckedStanding:
    """Check a certificate and all that it carries by charters that the reader trusts.

    Raises `ClaimUnproven`, `CharterMissing`, or what is wrong with a signature, receipt or paper.
    """
    standing = parse_standing(envelope)
    # 1. the depositor
    charter = charter_named(charters, standing.head.charter)
    require_mission(standing.head, charter.mission_id, "standing")
    keys = charter.depositor(standing.depositor).keys
    require_keys(envelope, keys, party=f"depositor {standing.depositor}")
    # 2. the vaults
    held = {item.record: _receipts(item, charters) for item in standing.deposits}
    # 3. proofs, and drills with their warrants
    proofs, drills = _papers(standing, charters)
    for register in standing.registers:
        _require_paper(register.id, register.proof, proofs, "proof")
        _require_paper(register.id, register.drill, drills, "drill")
    return CheckedStanding(
        standing=standing,
        held=MappingProxyType(held),
        proofs=MappingProxyType(proofs),
        drills=MappingProxyType(drills),
    )


def _receipts(item: HeldDeposit, charters: Sequence[Charter]) -> tuple[SeatReceipt, ...]:
    found: list[SeatReceipt] = []
    for seat, data in item.held:
        receipt = verify_seat_receipt(data, charters)
        entry = receipt.entry
        if (receipt.seat, entry.type, entry.statement) != (seat, EntryType.LODGED, item.record):
            raise ClaimUnproven(
                f"standing: expected a receipt of seat {seat} for record {item.record.hex()[:16]}, "
                f"got one of seat {receipt.seat} for a {entry.type.value} entry of another"
            )
        found.append(receipt)
    return tuple(found)


def _papers(
    standing: Standing, charters: Sequence[Charter]
) -> tuple[dict[StatementHash, Proof], dict[StatementHash, Drill]]:
    by_hash = {item.statement_hash: item for item in standing.statements}
    named = {register.proof for register in standing.registers}
    named |= {register.drill for register in standing.registers}
    proofs: dict[StatementHash, Proof] = {}
    drills: dict[StatementHash, Drill] = {}
    warrants: set[StatementHash] = set()
    for name in sorted(name for name in named if name is not None):
        envelope = _carried(by_hash, name, "certificate")
        if envelope.kind is Kind.PROOF:
            proofs[name] = _proof(envelope, charters)
        else:
            drill = parse_drill(envelope)
            warrant = _carried(by_hash, drill.warrant, "warrant")
            warrants.add(drill.warrant)
            drills[name] = _drill(envelope, warrant, charters)
    if set(by_hash) != {*proofs, *drills, *warrants}:
        raise ClaimUnproven("standing: expected statements that it names, got others beside them")
    return proofs, drills


def _carried(by_hash: Mapping[StatementHash, Envelope], name: StatementHash, what: str) -> Envelope:
    if name not in by_hash:
        raise ClaimUnproven(f"standing: expected {what} {name.hex()[:16]} in it, got none")
    return by_hash[name]


def _proof(envelope: Envelope, charters: Sequence[Charter]) -> Proof:
    return verify_proof(envelope, charter_named(charters, parse_proof(envelope).head.charter))


def _drill(envelope: Envelope, warrant: Envelope, charters: Sequence[Charter]) -> Drill:
    named = charter_named(charters, parse_drill(envelope).head.charter)
    earlier = [item for item in charters if item.order < named.order]
    return verify_drill(envelope, warrant, named, earlier)[0]


def _require_paper(
    register: str,
    name: StatementHash | None,
    papers: Mapping[StatementHash, Proof] | Mapping[StatementHash, Drill],
    kind: str,
) -> None:
    if name is None:
        return
    paper = papers.get(name)
    there = paper is not None and register in {item.result.id for item in paper.registers}
    if paper is None or not there or not paper.passed:
        raise ClaimUnproven(
            f"standing: expected a passed {kind} of register {register} under "
            f"{name.hex()[:16]}, got none"
        )
