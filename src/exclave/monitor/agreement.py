"""Rules between the seats: statements that one has and another lacks, and what stands where.

Vaults mirror every statement to each other within seconds, so that what stays apart is withheld by
somebody: those who lack it, or whoever has it alone. Rules: only logs that could be checked are
compared; differences younger than a heartbeat are on their way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import datetime
from typing import Final

from exclave.ids import Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.monitor.values import Cause, Finding, Level, Sight, period, seats_text
from exclave.standing.values import Standing
from exclave.values import dataclass
from exclave.vault.survey.survey import SeatView

__all__ = ["Apart", "agreement_findings", "apart"]

_MIRRORED: Final = {
    EntryType.RECORD: "record",
    EntryType.LODGED: "record",
    EntryType.CHARTER: "charter",
    EntryType.CONFLICT: "charter",
    EntryType.WARRANT: "warrant",
    EntryType.ORDER: "order",
    EntryType.SUPPLEMENT: "supplement",
    EntryType.CUSTODY: "custody",
    EntryType.ATTESTATION: "attestation",
}
_PAST: Final = frozenset({"charter", "warrant", "order"})
"""What may be over, and then is no seat's that was not there yet; records reach every seat."""
_SHOWN: Final = 3
_VERBS: Final = {  # of the others: whether they lack it, and whether it is one seat
    (True, True): "lacks",
    (True, False): "lack",
    (False, True): "has",
    (False, False): "have",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Something in which seats differ, since when, and whom to name for it."""

    key: str  # in the monitor's memory
    cause: Cause
    named: tuple[Seat, ...]
    what: str  # of a seat that is named
    since: datetime


def apart(sight: Sight) -> tuple[Apart, ...]:
    """All differences that are there now, however young."""
    views = [view for view in sight.view.seats if view.verified]
    return (
        *_statements(sight, views),
        *_standings(
            sight,
            views,
            Cause.CHARTER,
            lambda standing: standing.in_force,
            lambda standing: (
                f"charter {standing.charter.era}.{standing.charter.version} "
                f"({standing.in_force.hex()[:16]}) is in force there"
            ),
        ),
        *_standings(
            sight,
            views,
            Cause.LOCKDOWN,
            lambda standing: standing.locked,
            lambda standing: (
                "a lockdown stands there" if standing.locked else "no lockdown stands there"
            ),
        ),
    )


def agreement_findings(sight: Sight, differences: Sequence[Apart]) -> Iterator[Finding]:
    """What of the differences is old enough to be named, one finding a seat and cause."""
    by_seat: dict[tuple[Seat, Cause], list[Apart]] = defaultdict(list)
    for item in differences:
        if sight.age(item.since) > sight.heartbeat:
            for seat in item.named:
                by_seat[seat, item.cause].append(item)
    for (seat, cause), items in sorted(by_seat.items(), key=lambda pair: pair[0][0]):
        age = max(sight.age(item.since) for item in items)
        shown = "; ".join(item.what for item in items[:_SHOWN])
        more = f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
        level = Level.CRITICAL if age > sight.freshness else Level.WARNING
        yield sight.finding(level, cause, seat, f"{shown}{more}; so for {period(age)}")
    yield from _conflicts(sight)


def _statements(sight: Sight, views: Sequence[SeatView]) -> Iterator[Apart]:
    kinds: dict[StatementHash, str] = {}
    logged: dict[StatementHash, dict[Seat, datetime]] = defaultdict(dict)
    for view in views:
        for entry in view.entries:
            if entry.statement is not None and entry.type in _MIRRORED:
                kinds.setdefault(entry.statement, _MIRRORED[entry.type])
                logged[entry.statement].setdefault(view.seat, entry.logged)
    everybody = {view.seat for view in views}
    for statement, times in logged.items():
        having, lacking = set(times), everybody - set(times)
        if kinds[statement] in _PAST:
            lacking -= _joined_since(views, min(times.values()))
        if not lacking:
            continue
        key = f"statement/{statement.hex()}"
        name = f"{kinds[statement]} {statement.hex()[:16]}"
        alone = len(having) < len(lacking)
        others = lacking if alone else having
        yield Apart(
            key=key,
            cause=Cause.DISAGREEMENT,
            named=tuple(sorted(having if alone else lacking)),
            what=f"{'has' if alone else 'lacks'} {name}, which {seats_text(others)} "
            + _VERBS[alone, len(others) == 1],
            # Without memory the latest of their claims: an early one alone must not accuse.
            since=sight.since(key, max(times.values())),
        )


def _joined_since(views: Sequence[SeatView], moment: datetime) -> set[Seat]:
    """Seats that joined later: what was over before is refused there (spec/standing.md 10)."""
    return {
        view.seat
        for view in views
        if view.standing is not None and view.standing.seating and view.entries[0].logged > moment
    }


def _standings(
    sight: Sight,
    views: Sequence[SeatView],
    cause: Cause,
    value: Callable[[Standing], Hashable],
    words: Callable[[Standing], str],
) -> Iterator[Apart]:
    """Seats where something else stands than at most of them."""
    groups: dict[Hashable, list[tuple[Seat, Standing]]] = defaultdict(list)
    for view in views:
        standing = sight.standing(view)
        if standing is not None:
            groups[value(standing)].append((view.seat, standing))
    ordered = sorted(groups.values(), key=len, reverse=True)
    most = tuple(seat for seat, _ in ordered[0]) if ordered else ()
    for group in ordered[1:]:
        for seat, standing in group:
            key = f"{cause.value}/{seat}"
            there = words(ordered[0][0][1]).removesuffix(" there")
            yield Apart(
                key=key,
                cause=cause,
                named=(seat,),
                what=f"{words(standing)}; at {seats_text(most)} {there}",
                since=sight.since(key),
            )


def _conflicts(sight: Sight) -> Iterator[Finding]:
    """Charters whose place was taken: somebody signed two."""
    found: dict[tuple[StatementHash, StatementHash], list[Seat]] = defaultdict(list)
    for view in sight.view.seats:
        standing = view.standing
        for conflict in () if standing is None else standing.conflicts:
            # A charter in force of a later era has settled it.
            if standing is not None and conflict.order[0] >= standing.charter.era:
                found[conflict.first, conflict.second].append(view.seat)
    for (first, second), seats in found.items():
        yield Finding(
            level=Level.CRITICAL,
            cause=Cause.CONFLICT,
            what=f"charters {first.hex()[:16]} and {second.hex()[:16]} were signed for one place; "
            f"the second is in conflict at {seats_text(seats)}",
        )
