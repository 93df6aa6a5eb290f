"""What a vault notices: its clocks, witnesses and disk, its depositors (spec/ledger.md 9).

`notices` is the rule; `Alarms` remembers what goes on. An alarm changes nothing: clocks that are
off move neither expiry time nor delays, whether anybody reads the alarm or not.

Rules
- At most one entry per cause and hour, and one a day while a cause lasts: a log that never forgets
  must not be filled by a clock that flutters. Hours and days are service time, which does not.
- A jump is seen for a moment and named for an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from statistics import median_low
from typing import Final

from exclave.authority.alarm import Alarm, AlarmCause, alarm_envelope
from exclave.clock import format_time
from exclave.ids import MissionId
from exclave.ledger.entry import EntryType
from exclave.values import dataclass, replace
from exclave.vault.interface import AlarmState
from exclave.vault.kept.expiry import ExpiryInputs, fresh_times
from exclave.vault.kept.log import Addition

__all__ = ["DAY_MS", "HOUR_MS", "TOLERANCE", "Alarms", "Reading", "Seen", "notices"]

TOLERANCE: Final = timedelta(seconds=300)
"""What clocks may differ by: witnesses answer late, housekeeping runs every half minute."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_DETAIL: Final = 1000
_NAMED: Final = 8
"""Witnesses that one alarm names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Both clocks at one moment; `service_ms` moves with the monotonic one."""

    wall: datetime
    service_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A witness's timestamp and the wall clock when it was first seen."""

    time: datetime
    wall: datetime

    @property
    def ahead(self) -> timedelta:
        """How far the witness's clock is before ours."""
        return self.time - self.wall


Notices = dict[AlarmCause, str]


def notices(
    inputs: ExpiryInputs, *, before: Reading, started_ms: int, seen: Mapping[str, Seen]
) -> Notices:
    """What is wrong now, with details; `seen` are the other witnesses' clocks."""
    found = _jump(inputs, before) | _against_witnesses(seen)
    rules = inputs.rules
    fresh = len(fresh_times(inputs.times, inputs.wall, rules.freshness))
    if fresh < rules.q and inputs.service_ms - started_ms >= 1000 * rules.freshness:
        found[AlarmCause.WITNESS_QUORUM_LOST] = (
            f"witnesses: expected {rules.q} timestamps of the last {rules.freshness} s, got {fresh}"
        )
    return found


def _jump(inputs: ExpiryInputs, before: Reading) -> Notices:
    moved = inputs.wall - before.wall
    passed = timedelta(milliseconds=inputs.service_ms - before.service_ms)
    if abs(moved - passed) <= TOLERANCE:
        return {}
    return {
        AlarmCause.WALL_CLOCK_JUMP: f"wall clock: moved {_seconds(moved)} s "
        f"while {_seconds(passed)} s passed"
    }


def _against_witnesses(seen: Mapping[str, Seen]) -> Notices:
    if len(seen) < 2:
        return {}
    found: Notices = {}
    middle = median_low([timedelta(), *(item.ahead for item in seen.values())])
    if abs(middle) > TOLERANCE:
        cause = AlarmCause.CLOCK_BEHIND if middle > timedelta() else AlarmCause.CLOCK_AHEAD
        found[cause] = f"wall clock: {_seconds(-middle)} s from the median of the witnesses"
    odd = sorted(name for name, item in seen.items() if abs(item.ahead - middle) > TOLERANCE)
    if odd:
        named = ", ".join(
            f"{name} by {_seconds(seen[name].ahead - middle)} s" for name in odd[:_NAMED]
        )
        found[AlarmCause.WITNESS_MINORITY] = f"{len(odd)} off the median: {named}"
    return found


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    began: datetime
    detail: str
    since_ms: int
    last_ms: int


class Alarms:
    """One mission's; thread-safe."""

    def __init__(self, mission: MissionId, own: str, start: Reading, newest: datetime) -> None:
        """`newest` is when the log's last entry was made: a clock behind it has been set back."""
        self._mission = mission
        self._own = own
        self._lock = threading.Lock()
        self._started_ms = start.service_ms
        # Forwards, the time that the vault was down cannot be told from a jump.
        self._before = replace(start, wall=max(start.wall, newest))
        self._seen: dict[str, Seen] = {}
        self._first: dict[str, datetime] | None = None
        self._standing: dict[AlarmCause, _Standing] = {}

    def note(self, cause: AlarmCause, detail: str, now: Reading) -> None:
        """Something that was noticed now."""
        with self._lock:
            self._note(cause, detail, now)

    def look(self, inputs: ExpiryInputs) -> None:
        """Compare the clocks with each other and with what they were at the last look."""
        now = Reading(wall=inputs.wall, service_ms=inputs.service_ms)
        with self._lock:
            self._sight(inputs)
            found = notices(
                inputs, before=self._before, started_ms=self._started_ms, seen=self._seen
            )
            self._before = now
            for cause, detail in found.items():
                self._note(cause, detail, now)
            self._standing = {
                cause: item
                for cause, item in self._standing.items()
                if now.service_ms - item.last_ms < HOUR_MS
            }

    def due(self, now_ms: int, logged: Callable[[AlarmCause], int]) -> list[Addition]:
        """What is to be logged; `logged` gives the service time of a cause's last entry, or 0."""
        with self._lock:
            return [
                self._addition(cause, item)
                for cause, item in sorted(self._standing.items(), key=lambda pair: pair[0].value)
                if _is_due(item, now_ms, logged(cause))
            ]

    def states(self) -> tuple[AlarmState, ...]:
        """What stands, for the status; ascending by cause."""
        with self._lock:
            return tuple(
                AlarmState(cause=cause.value, began=format_time(item.began), detail=item.detail)
                for cause, item in sorted(self._standing.items(), key=lambda pair: pair[0].value)
            )

    def _note(self, cause: AlarmCause, detail: str, now: Reading) -> None:
        known = self._standing.get(cause)
        self._standing[cause] = _Standing(
            began=now.wall if known is None else known.began,
            detail=detail[:_DETAIL],
            since_ms=now.service_ms if known is None else known.since_ms,
            last_ms=now.service_ms,
        )

    def _sight(self, inputs: ExpiryInputs) -> None:
        others = {name: time for name, time in inputs.times.items() if name != self._own}
        if self._first is None:
            self._first = others
        for name, time in others.items():
            known = self._seen.get(name)
            is_new = self._first.get(name) != time if known is None else known.time != time
            if is_new or (known is None and time > inputs.wall):
                self._seen[name] = Seen(time, inputs.wall)
        self._seen = {name: item for name, item in self._seen.items() if name in others}

    def _addition(self, cause: AlarmCause, item: _Standing) -> Addition:
        alarm = Alarm(mission=self._mission, cause=cause, detail=item.detail, began=item.began)
        envelope = alarm_envelope(alarm)
        return Addition(
            type=EntryType.ALARM, statement=envelope.statement_hash, body=envelope.to_bytes()
        )


def _is_due(item: _Standing, now_ms: int, logged_ms: int) -> bool:
    if not logged_ms:
        return True
    passed = now_ms - logged_ms
    return passed >= (HOUR_MS if logged_ms < item.since_ms else DAY_MS)
