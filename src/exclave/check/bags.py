"""What somebody must look after of a mission's bags: pure, from what their papers say together.

Rules
- Nothing is told that was made good: what befell a bag is over when all of it was lodged at its own
  seat, when a bag that was sealed later was, or, at a vault, when home knows that it lacks nothing.
- Of a safe all bags are kept, each with only what was new: one that was lodged there and is lost,
  torn or not read back is made good by no other.
- Papers that contradict each other are told for `TOLD`, since nothing can make them agree.
- A limit that has passed warns; one that has passed twice over is bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from exclave.carried.papers import BagLimits, BagState, Trouble, TroubleCause
from exclave.ids import BagId, Seat
from exclave.values import dataclass

__all__ = ["TOLD", "BagNotice", "FedSeat", "SeatBags", "look_after"]

TOLD: Final = timedelta(days=90)
_PAPERS: Final = frozenset({TroubleCause.DUPLICATED, TroubleCause.GAP})
_BAD: Final = frozenset({TroubleCause.LOST, TroubleCause.OPENED, TroubleCause.DUPLICATED})
_OWN: Final = frozenset({TroubleCause.LOST, TroubleCause.TORN, TroubleCause.UNREAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class FedSeat:
    """A seat as home knows it."""

    seat: Seat
    safe: bool
    lacks: int | None  # shards; None: home does not know
    holds: datetime | None  # when the newest deposit began of which the seat's word came home


@dataclass(frozen=True, slots=True, kw_only=True)
class BagNotice:
    """One thing to look after; of one bag each cause once."""

    bag: BagId
    seat: Seat
    cause: TroubleCause
    bad: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatBags:
    """The bags of one seat."""

    seat: Seat
    safe: bool
    newest: datetime | None  # when what came last was sealed
    read: datetime | None  # of what is kept, when that was read which was not for longest
    under_way: int
    kept: int
    notices: tuple[BagNotice, ...]


def look_after(
    states: Sequence[BagState], seats: Iterable[FedSeat], *, limits: BagLimits, now: datetime
) -> tuple[SeatBags, ...]:
    """Every seat that is a safe or has a bag, in order; `states` as `judge_bags` gives them."""
    found = []
    for seat in sorted(seats, key=lambda item: item.seat):
        bags = [state for state in states if state.seat == seat.seat]
        if bags or seat.safe:
            found.append(_seat(seat, bags, limits, now))
    return tuple(found)


def _seat(seat: FedSeat, bags: Sequence[BagState], limits: BagLimits, now: datetime) -> SeatBags:
    came = [bag.sealed for bag in bags if bag.lodged is not None and bag.sealed is not None]
    if seat.safe and seat.holds is not None:
        came.append(seat.holds)
    kept = [bag for bag in bags if bag.kept]
    return SeatBags(
        seat=seat.seat,
        safe=seat.safe,
        newest=max(came, default=None),
        read=min((_read(bag) for bag in kept), default=None),
        under_way=sum(bag.under_way_to is not None for bag in bags),
        kept=len(kept),
        notices=tuple(item for bag in bags for item in _notices(seat, bag, bags, limits, now)),
    )


def _read(bag: BagState) -> datetime:
    return bag.read or bag.sealed or bag.newest.custody.time


def _notices(
    seat: FedSeat, bag: BagState, bags: Sequence[BagState], limits: BagLimits, now: datetime
) -> Iterator[BagNotice]:
    replaced = _replaced(seat, bag, bags)
    found: dict[TroubleCause, list[Trouble]] = {}
    for item in bag.troubles:
        own = item.cause in _OWN and seat.safe and bag.lodged is not None
        if item.mended or (replaced and not own):
            continue
        if item.cause in _PAPERS and now - item.since > TOLD:
            continue
        found.setdefault(item.cause, []).append(item)
    for cause, items in found.items():
        yield BagNotice(
            bag=bag.bag,
            seat=bag.seat,
            cause=cause,
            bad=cause in _BAD or any(_twice(item, limits, now) for item in items),
            said="; ".join(item.what for item in items),
        )


def _replaced(seat: FedSeat, bag: BagState, bags: Sequence[BagState]) -> bool:
    """Whether what it brings has come another way. A copy brings nothing that is not there."""
    if not seat.safe and seat.lacks == 0 and not bag.copy:
        return True
    sealed = bag.sealed or bag.newest.custody.time
    return any(
        other.sealed is not None
        and other.sealed > sealed
        and (other.copy if bag.copy else other.lodged is not None)
        for other in bags
    )


def _twice(item: Trouble, limits: BagLimits, now: datetime) -> bool:
    most = {
        TroubleCause.OVERDUE: limits.under_way,
        TroubleCause.UNLODGED: limits.unlodged,
        TroubleCause.UNREAD: limits.unread,
    }.get(item.cause)
    return most is not None and now - item.since > 2 * most
