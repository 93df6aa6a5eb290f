"""What the papers of bags say together: where each is, and what went wrong (spec/bag.md 5).

A pure function over custody statements, whose signatures were checked, and what was read of the
bags now. Rules: the order in which statements came to hand decides nothing; what contradicts itself
is named, never resolved.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from exclave.authority.custody import Act, Custody, Party, PartyRole
from exclave.ids import BagId, Seat, StatementHash
from exclave.values import dataclass

__all__ = ["OVERDUE", "BagState", "Paper", "Trouble", "TroubleCause", "judge_bags"]

OVERDUE: Final = timedelta(days=14)
"""A courier who is longer under way is asked after."""
_PLACES: Final = frozenset({Act.SEALED, Act.RECEIVED, Act.LODGED})


class TroubleCause(enum.StrEnum):
    """What can be wrong with a bag."""

    OPENED = "opened"
    LOST = "lost"
    OVERDUE = "overdue"
    DUPLICATED = "duplicated"
    TORN = "torn"
    ASTRAY = "astray"
    GAP = "gap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong, in words."""

    cause: TroubleCause
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A custody statement under its hash."""

    statement: StatementHash
    custody: Custody


@dataclass(frozen=True, slots=True, kw_only=True)
class BagState:
    """One bag as its papers show it."""

    bag: BagId
    seat: Seat
    newest: Paper
    holder: Party | None  # None: under way, or lost
    under_way_to: Party | None
    sealed: datetime | None
    read: datetime | None  # when every byte was last read, by the papers
    troubles: tuple[Trouble, ...]


def judge_bags(
    papers: Iterable[Paper], *, now: datetime, torn: Mapping[BagId, int] | None = None
) -> tuple[BagState, ...]:
    """Each bag of these papers, oldest first; `torn`: items not whole of bags read now."""
    bags: dict[BagId, dict[StatementHash, Paper]] = {}
    for paper in papers:
        bags.setdefault(paper.custody.bag, {})[paper.statement] = paper
    states = [_judge(known, now, (torn or {}).get(bag, 0)) for bag, known in bags.items()]
    return tuple(sorted(states, key=lambda state: (state.newest.custody.time, state.bag)))


def _judge(known: Mapping[StatementHash, Paper], now: datetime, torn: int) -> BagState:
    way = sorted(known.values(), key=lambda p: (_depth(p, known), p.custody.time, p.statement))
    acts = [paper.custody for paper in way]
    placed = max((at for at, one in enumerate(acts) if one.act in _PLACES), default=-1)
    moved = [one for one in acts[placed + 1 :] if one.act in {Act.HANDED_OVER, Act.LOST}]
    handed = moved[-1] if moved and moved[-1].act is Act.HANDED_OVER else None
    sealed = next((one for one in acts if one.act is Act.SEALED), None)
    return BagState(
        bag=acts[0].bag,
        seat=acts[0].seat,
        newest=way[-1],
        holder=acts[placed].by if placed >= 0 and not moved else None,
        under_way_to=None if handed is None else handed.to,
        sealed=None if sealed is None else sealed.time,
        read=max((one.time for one in acts if one.good is not None), default=None),
        troubles=(
            *_lost(moved, handed, now),
            *_opened(acts, sealed),
            *_duplicated(way),
            *_torn(acts, torn),
            *_astray(acts),
            *_gaps(way, known),
        ),
    )


def _depth(paper: Paper, known: Mapping[StatementHash, Paper]) -> int:
    """How many statements lie behind one. Hashes cannot lead in a circle."""
    depth, before = 0, paper.custody.previous
    while before is not None:
        depth += 1
        behind = known.get(before)
        before = None if behind is None else behind.custody.previous
    return depth


def _lost(moved: Sequence[Custody], handed: Custody | None, now: datetime) -> list[Trouble]:
    if moved and moved[-1].act is Act.LOST:
        return [Trouble(cause=TroubleCause.LOST, what=f"{moved[-1].by} says that it is lost")]
    if handed is not None and now - handed.time > OVERDUE:
        days = (now - handed.time).days
        return [
            Trouble(
                cause=TroubleCause.OVERDUE,
                what=f"handed over to {handed.to} {days} days ago and not received",
            )
        ]
    return []


def _opened(acts: Sequence[Custody], sealed: Custody | None) -> list[Trouble]:
    found = [
        Trouble(cause=TroubleCause.OPENED, what=f"{one.by}: {one.marks or 'seals are broken'}")
        for one in acts
        if one.act is Act.OPENED
    ]
    found += [
        Trouble(
            cause=TroubleCause.OPENED,
            what=f"sealed with {sealed.marks!r}, received by {one.by} with {one.marks!r}",
        )
        for one in acts
        if sealed is not None and one.act is Act.RECEIVED and one.marks != sealed.marks
    ]
    return found


def _duplicated(way: Sequence[Paper]) -> list[Trouble]:
    inventories = {paper.custody.inventory for paper in way}
    found = []
    if len(inventories) > 1:
        found.append(f"{len(inventories)} inventories under one name")
    seen: dict[tuple[Act, StatementHash | None], list[Custody]] = {}
    for paper in way:
        one = paper.custody
        if one.act in _PLACES:
            seen.setdefault((one.act, one.previous), []).append(one)
    for (act, _), several in seen.items():
        if len(several) > 1:
            found.append(f"{act} twice, by {' and by '.join(str(one.by) for one in several)}")
    return [Trouble(cause=TroubleCause.DUPLICATED, what=what) for what in found]


def _torn(acts: Sequence[Custody], torn: int) -> list[Trouble]:
    found = [f"{one.by} found {one.bad} items that are not whole" for one in acts if one.bad]
    if torn:
        found.append(f"{torn} items are not whole now")
    return [Trouble(cause=TroubleCause.TORN, what=what) for what in found]


def _astray(acts: Sequence[Custody]) -> list[Trouble]:
    return [
        Trouble(cause=TroubleCause.ASTRAY, what=f"{one.act} by {one.by}, is for seat {one.seat}")
        for one in acts
        if one.act in {Act.RECEIVED, Act.LODGED}
        and one.by.role is PartyRole.SEAT
        and one.by.id != str(one.seat)
    ]


def _gaps(way: Sequence[Paper], known: Mapping[StatementHash, Paper]) -> list[Trouble]:
    return [
        Trouble(
            cause=TroubleCause.GAP,
            what=f"{paper.custody.act} by {paper.custody.by} follows a paper that is not here",
        )
        for paper in way
        if paper.custody.previous is not None and paper.custody.previous not in known
    ]
