"""Certificates at home and at an auditor's: the auditor's is made here, and any one is checked.

What is made claims only what it can prove: a seat that gives no receipt now is left out, and named.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from exclave import __version__
from exclave.authority.charter import Charter
from exclave.authority.envelope import CERTIFICATES, Envelope, Kind
from exclave.authority.record_chain import LiveSet
from exclave.certificate.drill import Drill, parse_drill, verify_drill
from exclave.certificate.proof import Proof, parse_proof, verify_proof
from exclave.certificate.results import CertificateHead, one_line
from exclave.certificate.standing import (
    CheckedStanding,
    HeldDeposit,
    Standing,
    StandingRegister,
    charter_named,
    standing_envelope,
    verify_standing,
)
from exclave.clock import now, parse_time
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.catalogue_entry import CatalogueEntry
from exclave.errors import ConfigurationError, ExclaveError
from exclave.evidence import Evidence, EvidenceStore
from exclave.ids import Seat, StatementHash
from exclave.plan import RegisterPlan
from exclave.signer.interface import sign_envelope
from exclave.values import dataclass
from exclave.vault.interface import PublicRecord
from exclave.wiring.asking import asking
from exclave.wiring.depositor import Home
from exclave.wiring.files import load_envelope

__all__ = ["CatalogueIncomplete", "Made", "make_standing", "verify_certificate_file"]

_WARRANT = ".warrant.json"


class CatalogueIncomplete(ConfigurationError):
    """A deposit of the catalogue whose packs are not known any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A signed certificate, and what it could not claim."""

    envelope: Envelope
    standing: Standing
    left_out: tuple[str, ...]


def make_standing(home: Home) -> Made:
    """The auditor's certificate of now; asks the vaults for receipts."""
    catalogue = Catalogue(home.settings.catalogue)
    store = EvidenceStore(home.settings.evidence)
    entries, left_out = catalogue.entries(), list[str]()
    papers: dict[StatementHash, Envelope] = {}
    registers: list[StandingRegister] = []
    named: dict[StatementHash, CatalogueEntry] = {}
    for plan in home.plan.registers:
        last = next((e for e in reversed(entries) if plan.id in {r.id for r in e.registers}), None)
        if last is None:
            left_out.append(f"register {plan.id}: never deposited")
        else:
            named[StatementHash(last.statement)] = last
        found = {
            kind: _paper(store, store.latest(kind, plan.id, whole=True), papers)
            for kind in ("proof", "drill")
        }
        left_out += [f"register {plan.id}: no passed {k}" for k, v in found.items() if v is None]
        registers.append(_register(plan, last, proof=found["proof"], drill=found["drill"]))
    receipts = _receipts(home, catalogue, named, left_out)
    standing = Standing(
        head=CertificateHead(
            mission=home.party.mission,
            charter=home.party.charter.statement_hash,
            salt=os.urandom(32),
            software=f"exclave/{__version__}",
        ),
        depositor=home.party.id,
        time=now().replace(microsecond=0),
        plan=hashlib.sha256(home.plan.text).digest(),
        registers=tuple(registers),
        deposits=tuple(
            _held(named[record], catalogue.live(named[record].sequence), receipts[record])
            for record in sorted(named)
        ),
        statements=tuple(papers[name] for name in sorted(papers)),
    )
    envelope = sign_envelope(standing_envelope(standing), home.party.signers)
    return Made(envelope=envelope, standing=standing, left_out=tuple(left_out))


def _paper(
    store: EvidenceStore, found: Evidence | None, papers: dict[StatementHash, Envelope]
) -> StatementHash | None:
    """Take a kept certificate into the new one; a drill without its warrant proves nothing."""
    if found is None:
        return None
    envelope, warrant = store.envelope(found), store.warrant_of(found.path)
    if found.kind is Kind.DRILL:
        if warrant is None:
            return None
        papers[warrant.statement_hash] = warrant
    papers[envelope.statement_hash] = envelope
    return envelope.statement_hash


def _register(
    plan: RegisterPlan,
    last: CatalogueEntry | None,
    *,
    proof: StatementHash | None,
    drill: StatementHash | None,
) -> StandingRegister:
    return StandingRegister(
        id=plan.id,
        title=one_line(plan.title),
        owner=one_line(plan.owner),
        classification=one_line(plan.classification),
        rpo=plan.rpo,
        rto=plan.rto,
        record=None if last is None else StatementHash(last.statement),
        captured=None if last is None else parse_time(last.started),
        proof=proof,
        drill=drill,
    )


def _held(
    entry: CatalogueEntry, live: LiveSet | None, receipts: Mapping[Seat, bytes]
) -> HeldDeposit:
    if live is None:
        raise CatalogueIncomplete(
            f"deposit {entry.deposit.hex()}: expected its records in the catalogue, got a gap",
            hint="make a deposit: a full record follows by itself",
        )
    layouts = list(live.layouts)
    return HeldDeposit(
        deposit=entry.deposit,
        record=StatementHash(entry.statement),
        k=max(layout.k for layout in layouts),
        n=min(len(layout.seats) for layout in layouts),
        held=tuple(sorted(receipts.items())),
    )


def _receipts(
    home: Home,
    catalogue: Catalogue,
    named: Mapping[StatementHash, CatalogueEntry],
    left_out: list[str],
) -> Mapping[StatementHash, Mapping[Seat, bytes]]:
    bodies = {
        record: hashlib.sha256(catalogue.envelope(entry.sequence)).digest()
        for record, entry in named.items()
    }
    found: dict[StatementHash, dict[Seat, bytes]] = {record: {} for record in named}
    with asking(home) as (loop, records):
        for record, body in bodies.items():
            answers = loop.run(_ask(list(records.values()), body))
            for seat, answer in answers.items():
                if isinstance(answer, bytes):
                    found[record][seat] = answer
                else:
                    deposit = named[record].deposit.hex()
                    left_out.append(f"deposit {deposit} at seat {seat}: {answer.message}")
    return found


async def _ask(records: Sequence[PublicRecord], body: bytes) -> Mapping[Seat, bytes | ExclaveError]:
    async def one(record: PublicRecord) -> bytes | ExclaveError:
        try:
            return (await record.receipt("lodged", body)).encode()
        except ExclaveError as error:
            return error

    answers = await asyncio.gather(*(one(record) for record in records))
    return {record.seat: answer for record, answer in zip(records, answers, strict=True)}


def verify_certificate_file(
    file: Path, charters: Sequence[Charter], warrant: Path | None
) -> Proof | Drill | CheckedStanding:
    """Check a certificate of any kind offline; a drill's warrant lies beside it or is named."""
    envelope = load_envelope(file, *CERTIFICATES)
    match envelope.kind:
        case Kind.STANDING:
            return verify_standing(envelope, charters)
        case Kind.PROOF:
            named = charter_named(charters, parse_proof(envelope).head.charter)
            return verify_proof(envelope, named)
        case _:
            named = charter_named(charters, parse_drill(envelope).head.charter)
            earlier = [item for item in charters if item.order < named.order]
            allowed = load_envelope(_warrant_of(file, warrant), Kind.WARRANT)
            return verify_drill(envelope, allowed, named, earlier)[0]


def _warrant_of(file: Path, warrant: Path | None) -> Path:
    if warrant is not None:
        return warrant
    beside = file.with_name(file.name.removesuffix(".json") + _WARRANT)
    return beside if beside.is_file() else file.with_name("warrant.json")
