"""What others may ask of a vault, whether over the line or from a folder.

Two capabilities, since they are reached and authorised differently: the public record
(log, bodies, statements: anyone who can reach it) and the shard store (pinned identities).

Rules
- On return of `put_shard` and `submit` the vault holds the bytes durably.
- All calls are idempotent; the caller retries. Errors: `VaultUnreachable` when no answer or
  another identity; `VaultRefused` with the problem's cause; `IntegrityError` for wrong bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, Protocol

from exclave.authority.alarm import AlarmCause
from exclave.errors import VaultError
from exclave.ids import DepositId, MissionId, Seat, ShardRoot, StatementHash
from exclave.values import dataclass
from exclave.vault.buffers import ShardBuffers

__all__ = [
    "AlarmState",
    "Answer",
    "CarriedStore",
    "MissionStatus",
    "PublicRecord",
    "Quarantined",
    "RecordState",
    "ShardReader",
    "ShardStore",
    "StandingState",
    "State",
    "StatementState",
    "VaultRefused",
    "WarrantState",
    "Witness",
    "WitnessReply",
]


class VaultRefused(VaultError):
    """A vault answered with a problem document (spec/vault-http.md 5)."""

    def __init__(self, message: str, *, cause: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.cause = cause
        self.status = status


class State(enum.Enum):
    """State of a statement at one vault (spec/vault-http.md 2)."""

    LOGGED = "logged"
    PENDING = "pending"
    LODGED = "lodged"
    FORKED = "forked"
    INCOMPLETE = "incomplete"
    WAITING = "waiting"
    RELEASED = "released"
    EXPIRED = "expired"
    EFFECTIVE = "effective"
    VETOED = "vetoed"
    OVERRIDING = "overriding"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementState:
    """A vault's answer about one statement."""

    state: State
    statement: StatementHash
    entry: int  # log index of its (latest) entry
    seconds: int | None = None  # until it takes effect, where only time is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordState:
    """A record as a vault lists it."""

    statement: StatementHash
    deposit: DepositId
    depositor: str
    sequence: int
    state: State
    logged: str
    reason: str | None = None  # why it is pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A log entry that the vault keeps but cannot follow, with the reason."""

    entry: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantState:
    """A warrant as a vault lists it."""

    statement: StatementHash
    state: State
    seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingState:
    """A later charter or an order as a vault lists it; a tightening order is `logged`."""

    statement: StatementHash
    kind: str
    state: State
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState:
    """What a vault notices about its clocks, witnesses or disk now (spec/ledger.md 9)."""

    cause: str
    began: str
    detail: str


_AILING: Final = frozenset(
    cause.value
    for cause in (
        AlarmCause.CLOCK_BEHIND,
        AlarmCause.CLOCK_AHEAD,
        AlarmCause.WITNESS_QUORUM_LOST,
        AlarmCause.WITNESS_DUTY,
        AlarmCause.ENGINE_CORRUPT,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionStatus:
    """spec/vault-http.md 4."""

    mission: MissionId
    seat: Seat
    state: str
    charter: StatementHash
    charters: int
    locked: bool
    frozen: bool
    log_size: int
    shards: int
    shard_bytes: int
    staged_bytes: int
    quota_bytes: int
    free_bytes: int
    records: tuple[RecordState, ...]
    warrants: tuple[WarrantState, ...]
    standing: tuple[StandingState, ...]
    conflicts: tuple[StatementHash, ...]
    forks: tuple[StatementHash, ...]
    quarantined: tuple[Quarantined, ...]
    alarms: tuple[AlarmState, ...]
    witnessed: str | None = None  # a quorum of witnesses has cosigned the log since then
    expiry: str
    service: int
    capacity_bytes: int | None = None  # of the agreement in effect; from protocol 2 on

    @property
    def ailing(self) -> tuple[str, ...]:
        """Alarms with which no vault calls itself healthy: its clock, witness or disk fails now."""
        return tuple(alarm.cause for alarm in self.alarms if alarm.cause in _AILING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a vault says, and what the connection shows beside it; None where there is none."""

    status: MissionStatus
    date: str | None = None  # HTTP's Date: the vault's wall clock
    leaf: bytes | None = None  # the certificate (DER) that it serves with


class PublicRecord(Protocol):
    """Log, bodies and statements of one mission at one seat."""

    @property
    def seat(self) -> Seat:
        """The seat spoken to."""

    async def checkpoint(self) -> bytes:
        """The newest signed checkpoint (note)."""

    async def cosigned(self) -> bytes:
        """The newest checkpoint that a witness quorum cosigned; refused with `not-found`."""

    async def witness_head(self, log: Seat) -> bytes:
        """What this seat, as a witness, last cosigned of a seat's log; `not-found` when nothing."""

    async def tile(self, path: str) -> bytes:
        """A tile or entry bundle by its C2SP path, e.g. `tile/0/x001/067.p/8`."""

    async def body(self, sha256: bytes) -> bytes:
        """A body by its hash; the caller need not check it again."""

    async def status(self) -> MissionStatus:
        """The mission's status at this seat: a claim, not a proof."""

    async def receipt(self, entry_type: str, sha256: bytes) -> str:
        """The receipt of an entry, cosigned or provisional (spec/ledger.md 5)."""

    async def submit(self, envelope: bytes) -> StatementState:
        """Hand in a statement; on return it is durably logged here."""

    async def statement(self, statement: StatementHash) -> StatementState:
        """State of a statement handed in before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessReply:
    """What a witness answered: a status of C2SP tlog-witness and the body."""

    status: int
    body: bytes


class Witness(Protocol):
    """The witness of one mission at one seat (spec/vault-http.md 7)."""

    @property
    def seat(self) -> Seat:
        """The seat spoken to."""

    async def add_checkpoint(self, request: bytes) -> WitnessReply:
        """Hand in a checkpoint; whatever the witness answers is returned, never raised."""


class CarriedStore(Protocol):
    """A vault that takes what was carried to it; whoever has its folder may bring it."""

    async def submit(self, envelope: bytes) -> StatementState:
        """See `PublicRecord`."""

    async def statement(self, statement: StatementHash) -> StatementState:
        """See `PublicRecord`."""

    async def put_carried_shard(
        self, depositor: str, root: ShardRoot, parts: Sequence[bytes | memoryview]
    ) -> bool:
        """Store a sealed shard in a depositor's name; True when it was not there before.

        Refused with `not-found` unless a record that is logged here names it.
        """


class ShardReader(Protocol):
    """Shards of one seat, to be read."""

    @property
    def seat(self) -> Seat:
        """The seat spoken to."""

    async def get_shard(self, root: ShardRoot) -> bytes:
        """A shard's bytes, checked against its root."""

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        """Fill the buffers with a shard, *unchecked*: for who checks what comes of it.

        Raises `IntegrityError` when it has another length; after any error they hold anything.
        """


class ShardStore(ShardReader, Protocol):
    """Shards of one mission at one seat."""

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        """Store a shard given in parts; True when it was not there before."""

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        """Store a sealed shard (spec/dispersal.md 5) as from a spool or bag."""

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        """Which shards of a record this seat still lacks."""
