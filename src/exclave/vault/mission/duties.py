"""Witness duties that an agreement lays on this seat, and on others for its log.

Looks (spec/agreements.md 6) and decides nothing: what is not kept becomes an alarm, here for what
this vault owes, and at a fellow for what it is owed.

Rule: nobody is late before he could be in time: a duty counts from when it took effect, and from
when this vault started.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from exclave.authority.alarm import AlarmCause
from exclave.clock import format_time
from exclave.errors import IntegrityError
from exclave.ids import Seat
from exclave.ledger.checkpoint import origin_for
from exclave.ledger.cosignature import Witnesses, WitnessParty, count_witnesses
from exclave.ledger.note import MAX_COSIGNED_LINES, parse_note
from exclave.standing.agreed import Duty, duty_of
from exclave.standing.values import Standing

if TYPE_CHECKING:
    from exclave.vault.mission.mission import Mission

__all__ = ["Duties"]


class Duties:
    """One mission's, for as long as the vault serves it."""

    def __init__(self, mission: Mission) -> None:
        self._mission = mission
        self._started_ms = mission.service.now()
        self._seen: dict[Seat, datetime] = {}  # of other seats, in this log's cosigned checkpoints

    def look(self) -> dict[AlarmCause, str]:
        """What is not kept now, with details; the lock is held by the caller."""
        mission, now = self._mission, self._mission.clock()
        for seat, moment in mission.witness_times().items():
            if not isinstance(seat, str) and moment >= self._seen.get(seat, moment):
                self._seen[seat] = moment
        standing = mission.standing()
        found = {
            AlarmCause.WITNESS_DUTY: "; ".join(self._owing(standing, now)),
            AlarmCause.WITNESS_OWED: "; ".join(self._owed(standing, now)),
        }
        return {cause: detail for cause, detail in found.items() if detail}

    def _owing(self, standing: Standing, now: datetime) -> Iterator[str]:
        duty = duty_of(standing, self._mission.seat, now)
        if duty is None or not self._counts(standing, duty):
            return
        for log in duty.logs:
            last = self._cosigned(log)
            if _late(last, now, duty):
                yield f"log of seat {log}: not cosigned here {_since(last)}, {_agreed(duty)}"

    def _owed(self, standing: Standing, now: datetime) -> Iterator[str]:
        for entry in standing.charter.active_seats:
            duty = None if entry.seat == self._mission.seat else duty_of(standing, entry.seat, now)
            if duty is None or self._mission.seat not in duty.logs:
                continue
            last = self._seen.get(entry.seat)
            if self._counts(standing, duty) and _late(last, now, duty):
                what = f"seat {entry.seat}: has not cosigned this log {_since(last)}"
                yield f"{what}, {_agreed(duty)}"

    def _counts(self, standing: Standing, duty: Duty) -> bool:
        since = max(duty.since, self._started_ms)
        return standing.now - since >= 1000 * duty.freshness

    def _cosigned(self, log: Seat) -> datetime | None:
        """When this witness last cosigned a log, by what it keeps of it."""
        mission = self._mission
        own = mission.witnessing.cosigner
        party = WitnessParty(name=own.name, seat=mission.seat, verifiers=own.verifiers())
        try:
            note = mission.witnessing.newest(origin_for(mission.mission, log))
            if note is None:
                return None
            by = count_witnesses(
                parse_note(note, most=MAX_COSIGNED_LINES),
                Witnesses(quorum=1, parties=(party,), freshness=1),
            )
        except IntegrityError:
            return None  # `fsck` names what cannot be read, and the witness of that log has stopped
        return by[0].moment if by else None


def _late(last: datetime | None, now: datetime, duty: Duty) -> bool:
    return last is None or now - last > timedelta(seconds=duty.freshness)


def _since(last: datetime | None) -> str:
    return "at all" if last is None else f"since {format_time(last.replace(microsecond=0))}"


def _agreed(duty: Duty) -> str:
    return f"agreed is every {duty.freshness} s"
