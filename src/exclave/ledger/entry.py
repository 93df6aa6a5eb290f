"""Log entries: what a vault says about one stored body (spec/ledger.md 1).

Does not judge the body. Rules: one encoding per entry; a reader encodes again and
refuses other bytes; times are the vault's claim and are kept as they stand.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime

from exclave.clock import format_time, parse_time
from exclave.encoding import (
    MAX_INTEGER,
    JsonValue,
    canonical_json,
    hex_decode,
    parse_canonical_json,
)
from exclave.errors import MalformedData, NonCanonicalData
from exclave.ids import MissionId, StatementHash
from exclave.values import dataclass

__all__ = ["MAX_ENTRY_SIZE", "EntryType", "LogEntry", "parse_entry"]

MAX_ENTRY_SIZE = 4096
"""Bytes of an encoded entry (spec/ledger.md 1)."""

_FIELDS = {"type", "mission", "hash", "size", "statement", "logged", "service"}


class EntryType(enum.Enum):
    """What an entry's body is."""

    CHARTER = "charter"
    ANNEX = "annex"
    RECORD = "record"
    LODGED = "lodged"
    SUPPLEMENT = "supplement"
    CUSTODY = "custody"
    ATTESTATION = "attestation"
    WARRANT = "warrant"
    SIGNATURES = "signatures"
    ORDER = "order"
    CONFLICT = "conflict"
    WITNESSED = "witnessed"
    EVIDENCE = "evidence"
    ALARM = "alarm"
    SWEPT = "swept"
    REFUSALS = "refusals"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry. `hash` and `size` are the body's; fractions of a second of `logged` are dropped.

    `service` is the vault's service time in milliseconds.
    """

    type: EntryType
    mission: MissionId
    hash: bytes
    size: int
    statement: StatementHash | None
    logged: datetime
    service: int

    def __post_init__(self) -> None:
        for name, value in (("mission", self.mission), ("hash", self.hash)):
            if len(value) != 32:
                raise MalformedData(f"log entry: {name}: expected 32 bytes, got {len(value)}")
        if self.statement is not None and len(self.statement) != 32:
            raise MalformedData(
                f"log entry: statement: expected 32 bytes, got {len(self.statement)}"
            )
        for name, number in (("size", self.size), ("service", self.service)):
            if not 0 <= number <= MAX_INTEGER:
                raise MalformedData(f"log entry: {name}: expected 0 to 2^53-1, got {number}")
        if self.logged.tzinfo is None:
            raise MalformedData("log entry: logged: expected a moment in UTC, got a naive one")
        # The stored form has whole seconds; a value must equal what is read back.
        moment = self.logged.astimezone(UTC).replace(microsecond=0)
        object.__setattr__(self, "logged", moment)

    def encode(self) -> bytes:
        """The entry's canonical bytes, which are the leaf's data."""
        return canonical_json(
            {
                "type": self.type.value,
                "mission": self.mission.hex(),
                "hash": self.hash.hex(),
                "size": self.size,
                "statement": None if self.statement is None else self.statement.hex(),
                "logged": format_time(self.logged),
                "service": self.service,
            }
        )


def parse_entry(data: bytes) -> LogEntry:
    """Read an entry; raises `MalformedData` or `NonCanonicalData`."""
    if len(data) > MAX_ENTRY_SIZE:
        raise MalformedData(f"log entry: expected at most {MAX_ENTRY_SIZE} bytes, got {len(data)}")
    value = parse_canonical_json(data, subject="log entry")
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise MalformedData(f"log entry: expected an object of {', '.join(sorted(_FIELDS))}")
    statement = value["statement"]
    entry = LogEntry(
        type=_entry_type(value["type"]),
        mission=MissionId(_hash(value["mission"], "mission")),
        hash=_hash(value["hash"], "hash"),
        size=_integer(value["size"], "size"),
        statement=None if statement is None else StatementHash(_hash(statement, "statement")),
        logged=parse_time(_text(value["logged"], "logged")),
        service=_integer(value["service"], "service"),
    )
    if entry.encode() != data:
        raise NonCanonicalData("log entry: not in canonical form")
    return entry


def _entry_type(value: JsonValue) -> EntryType:
    text = _text(value, "type")
    try:
        return EntryType(text)
    except ValueError as error:
        raise MalformedData(f"log entry: type: unknown: {text[:40]!r}") from error


def _hash(value: JsonValue, name: str) -> bytes:
    return hex_decode(_text(value, name), length=32, subject=f"log entry: {name}")


def _text(value: JsonValue, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedData(f"log entry: {name}: expected text, got {type(value).__name__}")
    return value


def _integer(value: JsonValue, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedData(f"log entry: {name}: expected an integer, got {type(value).__name__}")
    return value
