"""The JSON that goes over the line (spec/vault-http.md 2 to 4), written and read in one place.

Reading is strict: an answer that is not exactly the format raises `MalformedData`.
"""

from __future__ import annotations

from typing import Final

from exclave.authority.alarm import AlarmCause, read_cause
from exclave.authority.fields import Node
from exclave.encoding import JsonObject, canonical_json, parse_canonical_json
from exclave.errors import MalformedData
from exclave.ids import DepositId, MissionId, Seat, ShardRoot, StatementHash
from exclave.vault.interface import (
    AlarmState,
    MissionStatus,
    Quarantined,
    RecordState,
    StandingState,
    State,
    StatementState,
    WarrantState,
)

__all__ = [
    "MAX_ANONYMOUS",
    "MAX_BODY",
    "MAX_SHARD",
    "MAX_SMALL",
    "MAX_TILE",
    "read_missing",
    "read_statement_state",
    "read_status",
    "write_missing",
    "write_statement_state",
    "write_status",
]

MAX_SMALL: Final = 2**20
MAX_ANONYMOUS: Final = 4 * 2**20
"""The largest statement taken from whoever does not say who it is."""
MAX_BODY: Final = 65 * 2**20
MAX_TILE: Final = 2 * 2**20
"""256 entries of at most 4,096 bytes with their lengths, and room."""
MAX_SHARD: Final = 80 * 2**20


def write_statement_state(state: StatementState) -> bytes:
    """What a vault answers about a statement."""
    answer: JsonObject = {
        "state": state.state.value,
        "statement": state.statement.hex(),
        "entry": state.entry,
    }
    if state.seconds is not None:
        answer["seconds"] = state.seconds
    return canonical_json(answer)


def read_statement_state(data: bytes) -> StatementState:
    """The inverse of `write_statement_state`."""
    node = Node(parse_canonical_json(data, subject="statement state"), "statement state")
    waiting = isinstance(node.value, dict) and "seconds" in node.value
    names = ("state", "statement", "entry", "seconds")
    fields = node.fields(*(names if waiting else names[:3]))
    return StatementState(
        state=_state(fields["state"]),
        statement=StatementHash(fields["statement"].hex(32)),
        entry=fields["entry"].integer(),
        seconds=fields["seconds"].integer() if waiting else None,
    )


def write_missing(roots: tuple[ShardRoot, ...]) -> bytes:
    """Shards of a record that are not here."""
    return canonical_json({"missing": [root.hex() for root in roots]})


def read_missing(data: bytes) -> tuple[ShardRoot, ...]:
    """The inverse of `write_missing`."""
    fields = Node(parse_canonical_json(data, subject="missing"), "missing").fields("missing")
    return fields["missing"].each(lambda node: ShardRoot(node.hex(32)))


_HEALTH_SINCE: Final = 2
_ADDED: Final = ("capacity_bytes", "healthy", "witnessed")
_LATER_CAUSES: Final = frozenset(
    cause.value
    for cause in (
        AlarmCause.WITNESS_DUTY,
        AlarmCause.WITNESS_OWED,
        AlarmCause.DEPOSITS_SILENT,
        AlarmCause.DEPOSIT_SHRANK,
        AlarmCause.DEPOSIT_GREW,
    )
)
"""Which a client of protocol 1 would not read."""
_COUNTS: Final = (
    "charters", "log_size", "shards", "shard_bytes", "staged_bytes", "quota_bytes",
    "free_bytes", "service",
)  # fmt: skip


def write_status(status: MissionStatus, protocol: int) -> bytes:
    """A mission's status in a version of the protocol."""
    added: JsonObject = {
        "capacity_bytes": status.capacity_bytes,
        "witnessed": status.witnessed,
        "healthy": not status.ailing,
    }
    return canonical_json(
        {
            **(added if protocol >= _HEALTH_SINCE else {}),
            "mission": status.mission.hex(),
            "seat": status.seat,
            "state": status.state,
            "charter": status.charter.hex(),
            "charters": status.charters,
            "locked": status.locked,
            "frozen": status.frozen,
            "log_size": status.log_size,
            "shards": status.shards,
            "shard_bytes": status.shard_bytes,
            "staged_bytes": status.staged_bytes,
            "quota_bytes": status.quota_bytes,
            "free_bytes": status.free_bytes,
            "records": [_record_json(record) for record in status.records],
            "warrants": [
                {
                    "statement": item.statement.hex(),
                    "state": item.state.value,
                    "seconds": item.seconds,
                }
                for item in status.warrants
            ],
            "standing": [
                {
                    "statement": item.statement.hex(),
                    "kind": item.kind,
                    "state": item.state.value,
                    "seconds": item.seconds,
                }
                for item in status.standing
            ],
            "conflicts": [item.hex() for item in status.conflicts],
            "forks": [fork.hex() for fork in status.forks],
            "quarantined": [{"entry": item.entry, "why": item.why} for item in status.quarantined],
            "alarms": [
                {"cause": item.cause, "began": item.began, "detail": item.detail}
                for item in status.alarms
                if protocol >= _HEALTH_SINCE or item.cause not in _LATER_CAUSES
            ],
            "expiry": status.expiry,
            "service": status.service,
        }
    )


def read_status(data: bytes, protocol: int) -> MissionStatus:
    """The inverse of `write_status`."""
    added = _ADDED if protocol >= _HEALTH_SINCE else ()
    fields = Node(parse_canonical_json(data, subject="status"), "status").fields(
        "mission",
        "seat",
        "state",
        "charter",
        *_COUNTS,
        "records",
        "locked",
        "frozen",
        "warrants",
        "standing",
        "conflicts",
        "forks",
        "quarantined",
        "alarms",
        "expiry",
        *added,
    )
    fields["expiry"].time()
    if added:
        fields["witnessed"].optional(Node.time)
    counts = {name: fields[name].integer() for name in _COUNTS}
    status = MissionStatus(
        mission=MissionId(fields["mission"].hex(32)),
        seat=Seat(fields["seat"].integer(1, 255)),
        state=fields["state"].state(),
        charter=StatementHash(fields["charter"].hex(32)),
        records=fields["records"].each(_read_record),
        locked=fields["locked"].boolean(),
        frozen=fields["frozen"].boolean(),
        warrants=fields["warrants"].each(_read_warrant),
        standing=fields["standing"].each(_read_standing),
        conflicts=fields["conflicts"].each(lambda node: StatementHash(node.hex(32))),
        forks=fields["forks"].each(lambda node: StatementHash(node.hex(32))),
        quarantined=fields["quarantined"].each(_read_quarantined),
        alarms=fields["alarms"].each(_read_alarm),
        witnessed=fields["witnessed"].optional(Node.string) if added else None,
        expiry=fields["expiry"].string(),
        capacity_bytes=fields["capacity_bytes"].optional(lambda node: node.integer(1))
        if added
        else None,
        **counts,
    )
    if not added and any(alarm.cause in _LATER_CAUSES for alarm in status.alarms):
        raise MalformedData("status: alarms: expected causes of protocol 1, got a later one")
    if added and fields["healthy"].boolean() is bool(status.ailing):
        raise MalformedData("status: healthy: expected what its alarms say, got otherwise")
    return status


def _record_json(record: RecordState) -> JsonObject:
    return {
        "statement": record.statement.hex(),
        "deposit": record.deposit.hex(),
        "depositor": record.depositor,
        "sequence": record.sequence,
        "state": record.state.value,
        "logged": record.logged,
        "reason": record.reason,
    }


def _read_record(node: Node) -> RecordState:
    fields = node.fields(
        "statement", "deposit", "depositor", "sequence", "state", "logged", "reason"
    )
    fields["logged"].time()
    return RecordState(
        statement=StatementHash(fields["statement"].hex(32)),
        deposit=DepositId(fields["deposit"].hex(16)),
        depositor=fields["depositor"].slug(),
        sequence=fields["sequence"].integer(1),
        state=_state(fields["state"]),
        logged=fields["logged"].string(),
        reason=fields["reason"].optional(lambda item: item.string()),
    )


def _read_quarantined(node: Node) -> Quarantined:
    fields = node.fields("entry", "why")
    return Quarantined(entry=fields["entry"].integer(), why=fields["why"].string())


def _read_alarm(node: Node) -> AlarmState:
    fields = node.fields("cause", "began", "detail")
    fields["began"].time()
    return AlarmState(
        cause=read_cause(fields["cause"]).value,
        began=fields["began"].string(),
        detail=fields["detail"].text(),
    )


def _read_warrant(node: Node) -> WarrantState:
    fields = node.fields("statement", "state", "seconds")
    return WarrantState(
        statement=StatementHash(fields["statement"].hex(32)),
        state=_state(fields["state"]),
        seconds=fields["seconds"].optional(lambda item: item.integer()),
    )


def _read_standing(node: Node) -> StandingState:
    fields = node.fields("statement", "kind", "state", "seconds")
    return StandingState(
        statement=StatementHash(fields["statement"].hex(32)),
        kind=fields["kind"].slug(),
        state=_state(fields["state"]),
        seconds=fields["seconds"].optional(lambda item: item.integer()),
    )


def _state(node: Node) -> State:
    try:
        return State(node.string())
    except ValueError as error:
        raise MalformedData(f"{node.path}: unknown state {str(node.value)[:40]!r}") from error
