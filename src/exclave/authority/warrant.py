"""Warrants: the authorisation to read, and when a vault releases it (spec/authority.md 6).

`warrant_state` is a pure function of what a vault knows; it reads no clock. Later causes that stop
a release (veto, lockdown, exile) are further fields of `ReleaseInputs` and further lines of that
function. Rules: a warrant counts from the entry that completed its threshold, waits for the longer
read delay of the charter that it names and of the one in force, and is recounted at release.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.charter_parts import RoleName, read_identity
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.fields import Node, require_ascending
from exclave.authority.keys import ED25519, X_WING, TypedKey, read_key
from exclave.authority.persons import require_threshold, signed_persons
from exclave.clock import format_time
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.errors import AuthorityError, QuorumNotReached
from exclave.ids import DepositId, MissionId, PersonId, StatementHash

__all__ = [
    "Moment",
    "ReleaseInputs",
    "Warrant",
    "WarrantExpiryInverted",
    "WarrantPhase",
    "WarrantStanding",
    "WarrantUnderOtherCharter",
    "counting_persons",
    "parse_warrant",
    "require_both_thresholds",
    "verify_warrant",
    "warrant_payload",
    "warrant_state",
]


class WarrantExpiryInverted(AuthorityError):
    """A warrant expires before it is issued."""


class WarrantUnderOtherCharter(AuthorityError):
    """A warrant names another charter than the one it is checked against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warrant:
    """Who may read which deposits, and to which one-time key secrets are unsealed."""

    mission: MissionId
    charter: StatementHash
    nonce: bytes
    purpose: str
    issued: datetime
    expires: datetime
    deposits: tuple[DepositId, ...] | None  # None: all
    reader: bytes
    reader_key: TypedKey
    unseal_key: TypedKey

    def __post_init__(self) -> None:
        if self.expires <= self.issued:
            raise WarrantExpiryInverted("warrant.expires: expected after issued, got not after")
        if self.deposits is not None:
            names = [deposit.hex() for deposit in self.deposits]
            require_ascending("warrant.deposits", names)

    def covers(self, deposit: DepositId) -> bool:
        """Whether the warrant names the deposit: for selecting, not for authorising."""
        return self.deposits is None or deposit in self.deposits


def warrant_payload(warrant: Warrant) -> bytes:
    """The warrant as canonical JSON."""
    deposits = ["all"] if warrant.deposits is None else [item.hex() for item in warrant.deposits]
    payload: JsonObject = {
        "kind": Kind.WARRANT.value,
        "mission": warrant.mission.hex(),
        "charter": warrant.charter.hex(),
        "nonce": warrant.nonce.hex(),
        "purpose": warrant.purpose,
        "issued": format_time(warrant.issued),
        "expires": format_time(warrant.expires),
        "deposits": list(deposits),
        "reader": b64encode(warrant.reader),
        "reader_key": warrant.reader_key.to_json(),
        "unseal_key": warrant.unseal_key.to_json(),
    }
    return canonical_json(payload)


def parse_warrant(envelope: Envelope) -> Warrant:
    """Read the warrant in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.WARRANT).fields("kind", *Warrant.__slots__)
    return Warrant(
        mission=MissionId(fields["mission"].hex(32)),
        charter=StatementHash(fields["charter"].hex(32)),
        nonce=fields["nonce"].hex(16),
        purpose=fields["purpose"].text(),
        issued=fields["issued"].time(),
        expires=fields["expires"].time(),
        deposits=_read_deposits(fields["deposits"]),
        reader=read_identity(fields["reader"]),
        reader_key=read_key(ED25519)(fields["reader_key"]),
        unseal_key=read_key(X_WING)(fields["unseal_key"]),
    )


def _read_deposits(node: Node) -> tuple[DepositId, ...] | None:
    if node.value == ["all"]:
        return None
    return node.each(lambda item: DepositId(item.hex(16)), least=1)


def verify_warrant(envelope: Envelope, charter: Charter) -> Warrant:
    """Check a warrant against the charter that it names; raises an `AuthorityError`."""
    warrant = parse_warrant(envelope)
    if warrant.mission != charter.mission_id:
        raise MissionMismatch(
            f"warrant: expected mission {charter.mission_id.hex()}, got {warrant.mission.hex()}"
        )
    if warrant.charter != charter.statement_hash:
        raise WarrantUnderOtherCharter(
            f"warrant: expected charter {charter.statement_hash.hex()}, got {warrant.charter.hex()}"
        )
    require_threshold(envelope, charter, RoleName.READ)
    return warrant


class WarrantPhase(enum.Enum):
    """Where a warrant stands at one vault."""

    INCOMPLETE = "incomplete"  # too few persons signed, or too few of them count now
    WAITING = "waiting"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantStanding:
    """A warrant's phase; `seconds` until release when waiting, until the end when released."""

    phase: WarrantPhase
    persons: frozenset[PersonId]
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A vault's present: service time for delays, expiry time for expiries. They never mix."""

    service_ms: int
    expiry_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseInputs:
    """All that decides on a release."""

    envelope: Envelope  # with all signatures that have arrived
    named: Charter  # the charter that the warrant names
    in_force: Charter  # the charter in force now
    completed_ms: int | None  # service time of the entry that completed the threshold
    now: Moment


def warrant_state(
    inputs: ReleaseInputs, counted: frozenset[PersonId] | None = None
) -> WarrantStanding:
    """Where a warrant stands; raises `SignatureInvalid` and what parsing raises.

    `counted` is what `counting_persons` gave for the same inputs, when it was asked before.
    """
    warrant, now = parse_warrant(inputs.envelope), inputs.now
    if now.expiry_time >= warrant.expires:
        return WarrantStanding(phase=WarrantPhase.EXPIRED, persons=counted or frozenset())
    persons = _counting(inputs) if counted is None else counted
    if inputs.completed_ms is None or not _enough(inputs, persons):
        return WarrantStanding(phase=WarrantPhase.INCOMPLETE, persons=persons)
    waited = now.service_ms - inputs.completed_ms
    left = 1000 * _delay(inputs) - waited
    if left > 0:
        seconds = -(-left // 1000)
        return WarrantStanding(phase=WarrantPhase.WAITING, persons=persons, seconds=seconds)
    life = left + 1000 * inputs.in_force.delays.warrant_life
    if life <= 0:
        return WarrantStanding(phase=WarrantPhase.EXPIRED, persons=persons)
    until = min(life // 1000, int((warrant.expires - now.expiry_time).total_seconds()))
    return WarrantStanding(phase=WarrantPhase.RELEASED, persons=persons, seconds=until)


def _counting(inputs: ReleaseInputs) -> frozenset[PersonId]:
    # Counted under both: who was removed since no longer counts, who was added never signed it.
    persons: set[PersonId] | None = None
    for charter in (inputs.named, inputs.in_force):
        members = set(charter.role(RoleName.READ).members)
        counted = signed_persons(inputs.envelope, charter.officials) & members
        persons = set(counted) if persons is None else persons & counted
    return frozenset(persons or ())


def counting_persons(envelope: Envelope, named: Charter, in_force: Charter) -> frozenset[PersonId]:
    """Who signed and counts under both charters; raises `SignatureInvalid`."""
    moment = Moment(service_ms=0, expiry_time=named.issued)  # plays no part in counting
    return _counting(
        ReleaseInputs(
            envelope=envelope, named=named, in_force=in_force, completed_ms=None, now=moment
        )
    )


def require_both_thresholds(envelope: Envelope, named: Charter, in_force: Charter) -> None:
    """Check that enough signed for both charters; raises `QuorumNotReached`."""
    most = max(item.role(RoleName.READ).threshold for item in (named, in_force))
    persons = counting_persons(envelope, named, in_force)
    if len(persons) < most:
        raise QuorumNotReached(
            f"quorum not reached: {len(persons)} officials signed, {most} required"
        )


def _enough(inputs: ReleaseInputs, persons: frozenset[PersonId]) -> bool:
    charters = (inputs.named, inputs.in_force)
    return all(len(persons) >= charter.role(RoleName.READ).threshold for charter in charters)


def _delay(inputs: ReleaseInputs) -> int:
    return max(item.role(RoleName.READ).delay for item in (inputs.named, inputs.in_force))
