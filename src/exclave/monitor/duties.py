"""Whether the seats that owe it cosign their fellows' logs (spec/agreements.md 6).

Rules: a cosignature counts whoever hands it out, the one that owes it or the one that is owed; a
vault that does not answer asked nobody, and nobody is named for its log.
"""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.charter import Charter
from exclave.authority.witnesses import witnesses_of
from exclave.clock import format_time
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.ledger.cosignature import CosignedBy, count_witnesses
from exclave.ledger.note import MAX_COSIGNED_LINES, parse_note
from exclave.monitor.values import Cause, Finding, Level, Sight, period
from exclave.standing.agreed import Duty, duty_of
from exclave.standing.values import Standing

__all__ = ["duty_findings"]


def duty_findings(sight: Sight) -> Iterator[Finding]:
    """Every duty that is not kept, one finding a seat."""
    for entry in sight.charter.active_seats:
        standing = _standing(sight, entry.seat)
        duty = None if standing is None else duty_of(standing, entry.seat, sight.now)
        if standing is None or duty is None:
            continue
        if standing.now - duty.since < 1000 * duty.freshness:
            continue
        late = [late for log in duty.logs if (late := _late(sight, entry.seat, log, duty))]
        if late:
            level = max((item[0] for item in late), key=lambda level: level.value)
            what = "; ".join(item[1] for item in late)
            agreed = f"agreed is every {period(duty.freshness)}"
            yield sight.finding(level, Cause.DUTY, entry.seat, f"{what}; {agreed}")


def _standing(sight: Sight, seat: Seat) -> Standing | None:
    """What stands at a seat; by the others' logs where its own is not shown."""
    views = sorted(sight.view.seats, key=lambda view: view.seat != seat)
    found = (sight.standing(view) for view in views if view.verified)
    return next((standing for standing in found if standing is not None), None)


def _late(sight: Sight, owing: Seat, log: Seat, duty: Duty) -> tuple[Level, str] | None:
    """How much it matters that a seat has not cosigned a log, and since when; None when it has."""
    if sight.status(log) is None:
        return None
    by = {item.party.key: item.moment for item in _lines(sight, owing, log)}
    last = by.get(owing)
    if last is not None and sight.age(last) <= duty.freshness:
        return None
    others = (moment for party, moment in by.items() if party not in (owing, log))
    asked = any(sight.age(moment) <= duty.freshness for moment in others)
    since = "at all" if last is None else f"since {format_time(last)}"
    why = "" if asked else " (nor has any other: perhaps nobody was asked)"
    return (
        Level.CRITICAL if asked else Level.WARNING,
        f"has not cosigned the log of seat {log} {since}{why}",
    )


def _lines(sight: Sight, owing: Seat, log: Seat) -> list[CosignedBy]:
    """Who cosigned a log, and when: by what the seat that owes hands out, and by the log itself."""
    notes: list[bytes | None] = []
    for seat in (owing, log):
        glance = sight.glances.get(seat)
        notes.append(None if glance is None else glance.heads.get(log))
    fellow = sight.glances.get(log)
    notes.append(None if fellow is None else fellow.cosigned)
    found: dict[Seat | str, CosignedBy] = {}
    for note in notes:
        for item in () if note is None else _counted(sight.charter, note):
            known = found.get(item.party.key)
            if known is None or known.timestamp < item.timestamp:
                found[item.party.key] = item
    return list(found.values())


def _counted(charter: Charter, note: bytes) -> tuple[CosignedBy, ...]:
    try:
        return count_witnesses(parse_note(note, most=MAX_COSIGNED_LINES), witnesses_of(charter))
    except ExclaveError:
        return ()  # a note with a forged line says nothing for anybody
