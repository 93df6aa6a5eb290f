"""News: nothing is wrong, and yet somebody must have seen it.

The public delay protects only when somebody looks: so what waits is told in every look while it
waits, and what was ordered or took effect once. A monitor without memory tells what stands now.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from exclave.authority.alarm import AlarmCause
from exclave.authority.charter import Charter
from exclave.authority.warrant import Warrant
from exclave.ids import Seat, StatementHash
from exclave.monitor.values import Cause, Finding, Level, Sight, period, seats_text
from exclave.standing.machine import due
from exclave.standing.phases import Phase
from exclave.standing.values import Item, Value
from exclave.values import dataclass
from exclave.vault.survey.survey import SeatView

__all__ = ["Told", "alarm_findings", "news", "waiting"]

_TOLD = {
    Phase.EFFECTIVE: "is in effect",
    Phase.VETOED: "was vetoed",
    Phase.STOPPED: "was stopped",
}
_WARRANT_TOLD = {**_TOLD, Phase.EFFECTIVE: "is released: its reader may read"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A piece of news, and the key under which it counts as told."""

    key: str
    finding: Finding


def waiting(sight: Sight) -> Iterator[Finding]:
    """Everything of which only time is missing, with the time at each seat."""
    found: dict[StatementHash, dict[Seat, int | None]] = defaultdict(dict)
    values: dict[StatementHash, Item] = {}
    for view in sight.view.seats:
        standing = sight.standing(view)
        for item in () if standing is None else standing.items.values():
            if item.pending and standing is not None:
                at = due(standing, item)
                values[item.statement] = item
                found[item.statement][view.seat] = None if at is None else at - standing.now
    for statement, seats in found.items():
        times = ", ".join(
            f"seat {seat} " + ("not yet" if left is None else f"in {period(max(left, 0) / 1000)}")
            for seat, left in sorted(seats.items())
        )
        item = values[statement]
        against = (
            "it can be vetoed no more" if item.phase is Phase.OVERRIDING else "it can be vetoed"
        )
        yield Finding(
            level=Level.NOTICE,
            cause=Cause.WAITING,
            what=f"{_name(item.value, statement)} waits and takes effect at {times}; {against}",
        )


def news(sight: Sight) -> Iterator[Told]:
    """What was ordered or has ended its wait, at whichever seats it is."""
    seats: dict[str, list[Seat]] = defaultdict(list)
    texts: dict[str, tuple[Cause, str]] = {}
    for view in sight.view.seats:
        for key, cause, text in _of_seat(sight, view):
            seats[key].append(view.seat)
            texts[key] = cause, text
    for key, (cause, text) in texts.items():
        where = seats_text(seats[key])
        yield Told(
            key=key,
            finding=Finding(level=Level.NOTICE, cause=cause, what=f"{text} ({where})"),
        )


def _of_seat(sight: Sight, view: SeatView) -> Iterator[tuple[str, Cause, str]]:
    standing = sight.standing(view)
    if standing is None:
        return
    for order in standing.tightened.values():
        by = ", ".join(sorted(order.persons))
        text = f"{_name(order.value, order.statement)} of {by}: {order.value.head.reason}"
        yield order.statement.hex(), Cause.ORDER, text
    for item in standing.items.values():
        warrant = isinstance(item.value, Warrant)
        words = (_WARRANT_TOLD if warrant else _TOLD).get(item.phase)
        if words is not None and item.number:
            text = f"{_name(item.value, item.statement)} {words}"
            yield f"{item.statement.hex()}/{item.phase.value}", Cause.IN_EFFECT, text


def alarm_findings(sight: Sight) -> Iterator[Finding]:
    """What vaults notice of themselves, and what they noticed since the last look."""
    for view in sight.view.seats:
        status = sight.status(view.seat)
        now = set[str]()
        for alarm in () if status is None else status.alarms:
            now.add(alarm.cause)
            bad = alarm.cause == AlarmCause.ENGINE_CORRUPT.value
            level = Level.CRITICAL if bad else Level.WARNING
            what = f"{alarm.cause} since {alarm.began}: {alarm.detail}"
            yield sight.finding(level, Cause.ALARM, view.seat, what)
        for entry in () if status is None else status.quarantined:
            what = f"cannot follow entry {entry.entry} of its log: {entry.why}"
            yield sight.finding(Level.WARNING, Cause.STATEMENT, view.seat, what)
        yield from _past_alarms(sight, view, now)
        yield from _refusals(sight, view)


def _past_alarms(sight: Sight, view: SeatView, now: set[str]) -> Iterator[Finding]:
    memory = sight.memory.seats.get(view.seat)
    seen = view.log_size if memory is None else memory.checkpoint.size
    causes = Counter(
        alarm.cause.value
        for number, alarm in view.alarms
        if number >= seen and alarm.cause.value not in now
    )
    for cause, _ in sorted(causes.items()):
        what = f"{cause} since the last look; over now"
        yield sight.finding(Level.NOTICE, Cause.ALARM, view.seat, what)


def _refusals(sight: Sight, view: SeatView) -> Iterator[Finding]:
    glance = sight.glances.get(view.seat)
    counts = {} if glance is None else glance.refusals
    if counts:
        text = ", ".join(f"{count} {cause}" for cause, count in sorted(counts.items()))
        yield sight.finding(Level.INFO, Cause.REFUSALS, view.seat, f"refused {text}")


def _name(value: Value, statement: StatementHash) -> str:
    if isinstance(value, Charter):
        return f"charter {value.era}.{value.version} ({statement.hex()[:16]})"
    kind = "warrant" if isinstance(value, Warrant) else value.kind.value
    return f"{kind} {statement.hex()[:16]}"
