"""What a monitor keeps between two looks (spec/monitor.md): read and written whole.

Without memory a monitor still has the fellows' word for what they cosigned; with it, it needs
nobody's. Rules: one encoding; another mission's memory is refused; what cannot be read is an
error and never an empty memory, since to forget is what an attacker would want.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from exclave.authority.fields import FormatTooNew, Node, require_ascending
from exclave.clock import format_time
from exclave.encoding import JsonObject, b64encode, canonical_json, parse_canonical_json
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import Checkpoint, parse_checkpoint
from exclave.ledger.note import parse_note
from exclave.values import dataclass, field

__all__ = ["Memory", "MemoryBroken", "SeatMemory", "memory_bytes", "parse_memory"]

_KIND = "monitor-memory"
_VERSION = 1


class MemoryBroken(IntegrityError):
    """What was seen before cannot be read, or is another mission's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatMemory:
    """The last good checkpoint of a seat's log, and how far its service time was behind the clock.

    `behind` is the most seen of wall clock less service time, in milliseconds: it never falls
    while a vault's service time does not run faster than a clock.
    """

    note: bytes
    behind: int

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return parse_checkpoint(parse_note(self.note).text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All of it; `told` names news that were told, `since` what was wrong then and still is."""

    mission: MissionId
    looked: datetime | None = None  # None: never
    seats: Mapping[Seat, SeatMemory] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    since: Mapping[str, datetime] = field(default_factory=dict)


def memory_bytes(memory: Memory) -> bytes:
    """The memory as canonical JSON and LF."""
    payload: JsonObject = {
        "kind": _KIND,
        "version": _VERSION,
        "mission": memory.mission.hex(),
        "looked": None if memory.looked is None else format_time(memory.looked),
        "seats": [
            {"seat": seat, "note": b64encode(item.note), "behind": item.behind}
            for seat, item in sorted(memory.seats.items())
        ],
        "told": [*sorted(memory.told)],
        "since": [[key, format_time(moment)] for key, moment in sorted(memory.since.items())],
    }
    return canonical_json(payload) + b"\n"


def parse_memory(data: bytes, mission: MissionId) -> Memory:
    """The inverse; raises `MemoryBroken`, or `FormatTooNew`."""
    try:
        memory = _parse(data)
    except FormatTooNew:
        raise
    except ExclaveError as error:
        raise MemoryBroken(
            f"monitor's memory: {error.message}",
            hint="what was seen before is lost: find out why, then name a new folder",
        ) from error
    if memory.mission != mission:
        raise MemoryBroken(
            f"monitor's memory: expected mission {mission.hex()}, got {memory.mission.hex()}",
            hint="name another folder for each mission",
        )
    return memory


def _parse(data: bytes) -> Memory:
    value = parse_canonical_json(data.removesuffix(b"\n"), subject="memory")
    names = ("mission", "looked", "seats", "told", "since")
    fields = Node(value, "memory").versioned(_KIND, _VERSION, *names)
    seats = fields["seats"].each(_seat)
    told = fields["told"].each(Node.text)
    since = fields["since"].each(_since)
    require_ascending("memory.seats", [seat for seat, _ in seats])
    require_ascending("memory.told", told)
    require_ascending("memory.since", [key for key, _ in since])
    memory = Memory(
        mission=MissionId(fields["mission"].hex(32)),
        looked=fields["looked"].optional(Node.time),
        seats=dict(seats),
        told=frozenset(told),
        since=dict(since),
    )
    if memory_bytes(memory) != data:
        raise IntegrityError("not in canonical form")
    return memory


def _seat(node: Node) -> tuple[Seat, SeatMemory]:
    fields = node.fields("seat", "note", "behind")
    memory = SeatMemory(note=fields["note"].base64(), behind=fields["behind"].integer())
    parse_checkpoint(parse_note(memory.note).text)  # refuses now what could not be read later
    return Seat(fields["seat"].integer(1, 255)), memory


def _since(node: Node) -> tuple[str, datetime]:
    key, moment = node.items(least=2, most=2)
    return key.text(), moment.time()
