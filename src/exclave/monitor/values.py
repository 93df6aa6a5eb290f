"""What a monitor saw, and what it makes of it.

A `Sight` is everything that one look brought; a `Finding` is one thing to say about it. Rules: a
finding about a vault names its seat, vault and state; nothing counts because a vault says so,
except against it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from exclave.authority.charter import Charter
from exclave.ids import Seat
from exclave.monitor.memory import Memory
from exclave.standing.machine import advance
from exclave.standing.values import Standing
from exclave.values import dataclass, field
from exclave.vault.interface import MissionStatus
from exclave.vault.survey.survey import MissionView, SeatView

__all__ = [
    "DIFFERENCE_SECONDS",
    "Cause",
    "Finding",
    "Glance",
    "Level",
    "Sight",
    "period",
    "seats_text",
]

DIFFERENCE_SECONDS: Final = 300
"""Clocks that differ by no more do not differ (spec/ledger.md 9)."""


_MOST_TEXT: Final = 1024
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def period(seconds: float) -> str:
    """A time in its largest two units: `2 days 3 hours`."""
    left, parts = int(seconds), list[str]()
    for unit, word in _UNITS:
        number, left = divmod(left, unit)
        if number and len(parts) < 2:
            parts.append(f"{number} {word}" + "s" * (number > 1))
    return " ".join(parts) or "no time"


def seats_text(seats: Iterable[Seat]) -> str:
    """`seat 1`, or `seats 1, 3`."""
    numbers = sorted(seats)
    return "seat" + "s" * (len(numbers) != 1) + " " + ", ".join(map(str, numbers))


class Level(enum.Enum):
    """How much a finding matters; the value orders them."""

    INFO = 0  # shown, changes nothing
    NOTICE = 1  # as it should be, but somebody must have seen it
    WARNING = 2
    CRITICAL = 3


class Cause(enum.Enum):
    """What is found."""

    ROLLBACK = "rollback"
    FORK = "fork"
    FREEZE = "freeze"
    WITHHELD = "withheld"
    SILENT = "silent"
    TRUNCATED = "truncated"
    MISSING_BODY = "missing-body"
    SIGNATURE = "signature"
    WITNESSED = "witnessed"
    STATEMENT = "statement"
    TOO_MUCH = "too-much"
    DISAGREEMENT = "disagreement"
    CHARTER = "charter"
    LOCKDOWN = "lockdown"
    CONFLICT = "conflict"
    CLOCK = "clock"
    STANDSTILL = "standstill"
    DUTY = "duty"
    EARLY = "early"
    CLAIM = "claim"
    ALARM = "alarm"
    REFUSALS = "refusals"
    WAITING = "waiting"
    ORDER = "order"
    IN_EFFECT = "in-effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to say; without a seat it concerns the mission."""

    level: Level
    cause: Cause
    what: str
    seat: Seat | None = None
    vault: str | None = None
    state: str | None = None

    def __post_init__(self) -> None:
        # It quotes hosts, who must not be able to move a terminal or to fill it.
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.what)
        object.__setattr__(self, "what", shown[:_MOST_TEXT])

    @property
    def line(self) -> str:
        """The finding as a sentence for people."""
        where = "" if self.seat is None else f"seat {self.seat} ({self.vault}, {self.state}): "
        return f"{where}{self.cause.value}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What one seat answered besides its log; all of it was asked for before the log was."""

    status: MissionStatus | str  # text: why there is none
    cosigned: bytes | None
    heads: Mapping[Seat, bytes] = field(default_factory=dict)  # what it cosigned of each log
    refusals: Mapping[str, int] = field(default_factory=dict)  # by cause, since the last look


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One look at a mission."""

    view: MissionView
    glances: Mapping[Seat, Glance]
    now: datetime
    memory: Memory

    @property
    def charter(self) -> Charter:
        """In force, by f+1 seats' logs."""
        return self.view.charter

    @property
    def freshness(self) -> int:
        """Seconds after which a quorum's signatures are stale."""
        return self.charter.witness.freshness

    @property
    def heartbeat(self) -> float:
        """Seconds between two rounds of cosigning (spec/ledger.md 7)."""
        return self.freshness / 4

    def finding(self, level: Level, cause: Cause, seat: Seat, what: str) -> Finding:
        """A finding about a seat, with its vault and state."""
        for charter in (self.charter, self.view.chain.newest):
            for entry in charter.seats:
                if entry.seat == seat:
                    return Finding(
                        level=level,
                        cause=cause,
                        what=what,
                        seat=seat,
                        vault=entry.vault,
                        state=entry.state,
                    )
        return Finding(level=level, cause=cause, what=what, seat=seat, vault="unknown", state="-")

    def status(self, seat: Seat) -> MissionStatus | None:
        """What a seat claims of itself; None without an answer."""
        glance = self.glances.get(seat)
        return glance.status if glance and isinstance(glance.status, MissionStatus) else None

    def service(self, seat: SeatView) -> int:
        """The service time that a seat says it has, by its log and its status."""
        status = self.status(seat.seat)
        logged = seat.entries[-1].service if seat.entries else 0
        return logged if status is None else max(logged, status.service)

    def standing(self, seat: SeatView) -> Standing | None:
        """What stands at a seat by its log, at the service time that it says it has."""
        if seat.standing is None:
            return None
        return advance(seat.standing, max(seat.standing.now, self.service(seat)))

    def since(self, key: str, otherwise: datetime | None = None) -> datetime:
        """Since when something is seen; `otherwise` (default: now) when it is new."""
        known = self.memory.since.get(key)
        return min(self.now, known or otherwise or self.now)

    def age(self, since: datetime) -> float:
        """Seconds from a moment to this look."""
        return (self.now - since).total_seconds()
