"""Asking: what every seat of a mission answers, in the order that makes it comparable.

Statuses, cosigned notes and what each seat cosigned of the others come first, the logs after them:
an honest log can then only be ahead of what was said about it. Decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence

from exclave.authority.envelope import Kind, parse_envelope, payload_object
from exclave.authority.fields import Node
from exclave.clock import Clock
from exclave.errors import ExclaveError
from exclave.ids import MissionId, Seat
from exclave.ledger.entry import EntryType
from exclave.monitor.memory import Memory
from exclave.monitor.values import Glance, Sight
from exclave.values import replace
from exclave.vault.interface import PublicRecord
from exclave.vault.survey.survey import SeatView, SurveyLimits, survey

__all__ = ["LIMITS", "look"]

LIMITS = SurveyLimits(seconds=120)
"""A host that answers drop by drop must not keep a monitor from naming it."""

_MOST_REFUSALS = 48
"""Bodies of refusals that are read of a seat in one look, the newest: an entry is an hour."""


async def look(
    records: Sequence[PublicRecord], mission: MissionId, *, memory: Memory, clock: Clock
) -> Sight:
    """One look; raises `MissionNotFound` when no seat shows the mission's charter."""
    seats = [record.seat for record in records]
    glances = dict(
        zip(seats, await asyncio.gather(*(_glance(one, seats) for one in records)), strict=True)
    )
    # Here and not at the end: what was said is as old as this, however long the logs take.
    now = clock()
    view = await survey(records, mission, limits=LIMITS)
    by_seat = {item.seat: item for item in view.seats}
    counts = await asyncio.gather(
        *(_refusals(record, by_seat[record.seat], memory) for record in records)
    )
    return Sight(
        view=view,
        glances={
            seat: replace(glances[seat], refusals=count)
            for seat, count in zip(seats, counts, strict=True)
        },
        now=now,
        memory=memory,
    )


async def _glance(record: PublicRecord, seats: Sequence[Seat]) -> Glance:
    try:
        async with asyncio.timeout(LIMITS.seconds):
            status = await record.status()
    except TimeoutError:
        return Glance(status="no answer in time", cosigned=None)
    except ExclaveError as error:
        return Glance(status=error.message, cosigned=None)
    cosigned, *notes = await asyncio.gather(
        _optional(record.cosigned()), *(_optional(record.witness_head(seat)) for seat in seats)
    )
    heads: dict[Seat, bytes] = {}
    for seat, note in zip(seats, notes, strict=True):
        if note is not None:
            heads[seat] = note
    return Glance(status=status, cosigned=cosigned, heads=heads)


async def _optional(asked: Coroutine[None, None, bytes]) -> bytes | None:
    """A note that need not be there; that it is missing is judged by its absence."""
    try:
        async with asyncio.timeout(LIMITS.seconds):
            return await asked
    except (TimeoutError, ExclaveError):
        return None


async def _refusals(record: PublicRecord, view: SeatView, memory: Memory) -> Mapping[str, int]:
    """Refusals by cause, logged since the last look."""
    known = memory.seats.get(record.seat)
    if known is None or not view.verified:
        return {}
    fresh = view.entries[known.checkpoint.size :]
    entries = [item for item in fresh if item.type is EntryType.REFUSALS][-_MOST_REFUSALS:]
    counts: Counter[str] = Counter()
    try:
        async with asyncio.timeout(LIMITS.seconds):
            for entry in entries:
                counts.update(_counted(await record.body(entry.hash)))
    except (TimeoutError, ExclaveError):
        counts["unreadable"] += 1
    return counts


def _counted(body: bytes) -> Counter[str]:
    envelope = parse_envelope(body, kinds=[Kind.REFUSALS])
    fields = payload_object(envelope, Kind.REFUSALS).fields("kind", "mission", "hour", "counts")
    counts: Counter[str] = Counter()
    for line in fields["counts"].items(most=256):
        _, cause, number = line.items(least=3, most=3)
        counts[cause.slug()] += Node.integer(number)
    return counts
