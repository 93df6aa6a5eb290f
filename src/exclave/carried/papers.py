"""What the papers of bags say together: where each is, and what went wrong (spec/bag.md 5).

A pure function over custody statements, whose signatures were checked, and what was read of the
bags now. Rules: the order in which statements came to hand decides nothing; what contradicts itself
is named, never resolved; a trouble that the seat's own word made good stays one, and says so.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from exclave.authority.custody import Act, Custody, Party, PartyRole
from exclave.ids import BagId, Seat, StatementHash
from exclave.values import dataclass

__all__ = ["BagLimits", "BagState", "Paper", "Trouble", "TroubleCause", "judge_bags"]

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
    UNLODGED = "unlodged"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True, kw_only=True)
class BagLimits:
    """How long a bag may be as it is before somebody is asked (spec/bag.md 5)."""

    under_way: timedelta = timedelta(days=14)  # handed over, and not received
    unlodged: timedelta = timedelta(days=14)  # with somebody, and neither lodged nor handed on
    unread: timedelta = timedelta(days=365)  # kept, and not read back


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong, in words."""

    cause: TroubleCause
    what: str
    since: datetime  # when the paper that shows it says that it was signed
    mended: bool = False  # all of the bag was lodged at its own seat after it


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
    lodged: datetime | None  # when all of it was last lodged at its own seat
    copy: bool  # of what its seat holds itself
    kept: bool  # where it is to stay: in a safe, or a copy
    troubles: tuple[Trouble, ...]


def judge_bags(
    papers: Iterable[Paper],
    *,
    now: datetime,
    torn: Mapping[BagId, int] | None = None,
    safes: Collection[Seat] = (),
    limits: BagLimits | None = None,
) -> tuple[BagState, ...]:
    """Each bag of these papers, oldest first; `torn`: items not whole of bags read now.

    `safes` are the seats at which a bag stays a bag.
    """
    bags: dict[BagId, dict[StatementHash, Paper]] = {}
    for paper in papers:
        bags.setdefault(paper.custody.bag, {})[paper.statement] = paper
    most = BagLimits() if limits is None else limits
    states = [
        _judge(_Way.of(known, torn=(torn or {}).get(bag, 0)), now, safes, most)
        for bag, known in bags.items()
    ]
    return tuple(sorted(states, key=lambda state: (state.newest.custody.time, state.bag)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A bag's papers, each after those that it follows."""

    known: Mapping[StatementHash, Paper]
    papers: tuple[Paper, ...]
    torn: int

    @classmethod
    def of(cls, known: Mapping[StatementHash, Paper], *, torn: int) -> _Way:
        way = sorted(known.values(), key=lambda p: (_depth(p, known), p.custody.time, p.statement))
        return cls(known=known, papers=tuple(way), torn=torn)

    @property
    def acts(self) -> list[Custody]:
        return [paper.custody for paper in self.papers]

    @property
    def sealed(self) -> Custody | None:
        return next((one for one in self.acts if one.act is Act.SEALED), None)

    @property
    def whole(self) -> int:
        """Where its own seat last lodged all of it; -1: nowhere."""
        found = (
            at
            for at, one in enumerate(self.acts)
            if one.act is Act.LODGED and one.bad == 0 and one.by == _own(one.seat)
        )
        return max(found, default=-1)

    def trouble(self, cause: TroubleCause, paper: Custody, what: str) -> Trouble:
        """What a paper of this way shows."""
        return Trouble(
            cause=cause,
            what=what,
            since=paper.time,
            mended=self.acts.index(paper) < self.whole,
        )


def _judge(way: _Way, now: datetime, safes: Collection[Seat], limits: BagLimits) -> BagState:
    acts, sealed, whole = way.acts, way.sealed, way.whole
    placed = max((at for at, one in enumerate(acts) if one.act in _PLACES), default=-1)
    moved = [one for one in acts[placed + 1 :] if one.act in {Act.HANDED_OVER, Act.LOST}]
    handed = moved[-1] if moved and moved[-1].act is Act.HANDED_OVER else None
    here = acts[placed] if placed >= 0 and not moved else None
    copy = sealed is not None and sealed.by == _own(sealed.seat)
    lodged = here is not None and here.act is Act.LODGED
    kept = here is not None and (acts[0].seat in safes if lodged else copy)
    read = max((one.time for one in acts if one.good is not None), default=None)
    return BagState(
        bag=acts[0].bag,
        seat=acts[0].seat,
        newest=way.papers[-1],
        holder=None if here is None else here.by,
        under_way_to=None if handed is None else handed.to,
        sealed=None if sealed is None else sealed.time,
        read=read,
        lodged=acts[whole].time if whole >= 0 else None,
        copy=copy,
        kept=kept,
        troubles=(
            *_lost(way, moved, now, limits),
            *([] if here is None or lodged or copy else _unlodged(way, here, now, limits)),
            *(_unread(way, read, now, limits) if kept else []),
            *_opened(way),
            *_duplicated(way),
            *_torn(way, now),
            *_astray(way),
            *_gaps(way),
        ),
    )


def _own(seat: Seat) -> Party:
    return Party(PartyRole.SEAT, str(seat))


def _depth(paper: Paper, known: Mapping[StatementHash, Paper]) -> int:
    """How many statements lie behind one. Hashes cannot lead in a circle."""
    depth, before = 0, paper.custody.previous
    while before is not None:
        depth += 1
        behind = known.get(before)
        before = None if behind is None else behind.custody.previous
    return depth


def _lost(way: _Way, moved: Sequence[Custody], now: datetime, limits: BagLimits) -> list[Trouble]:
    if not moved:
        return []
    last = moved[-1]
    if last.act is Act.LOST:
        return [way.trouble(TroubleCause.LOST, last, f"{last.by} says that it is lost")]
    if now - last.time > limits.under_way:
        what = f"handed over to {last.to} {(now - last.time).days} days ago and not received"
        return [way.trouble(TroubleCause.OVERDUE, last, what)]
    return []


def _unlodged(way: _Way, here: Custody, now: datetime, limits: BagLimits) -> list[Trouble]:
    if now - here.time <= limits.unlodged:
        return []
    since = f"{here.act} by {here.by} {(now - here.time).days} days ago"
    what = f"{since}, and neither lodged nor handed on"
    return [way.trouble(TroubleCause.UNLODGED, here, what)]


def _unread(way: _Way, read: datetime | None, now: datetime, limits: BagLimits) -> list[Trouble]:
    since = max(way.acts[0].time if read is None else read, way.acts[0].time)
    if now - since <= limits.unread:
        return []
    what = f"nobody read it for {(now - since).days} days"
    return [Trouble(cause=TroubleCause.UNREAD, what=what, since=since)]


def _opened(way: _Way) -> list[Trouble]:
    found = [
        way.trouble(TroubleCause.OPENED, one, f"{one.by}: {one.marks or 'seals are broken'}")
        for one in way.acts
        if one.act is Act.OPENED
    ]
    sealed = way.sealed
    found += [
        way.trouble(
            TroubleCause.OPENED,
            one,
            f"sealed with {sealed.marks!r}, received by {one.by} with {one.marks!r}",
        )
        for one in way.acts
        if sealed is not None and one.act is Act.RECEIVED and one.marks != sealed.marks
    ]
    return found


def _duplicated(way: _Way) -> list[Trouble]:
    """Never mended by the bag itself: which of two it is that was lodged, nobody can tell."""
    found = []
    newest = max(one.time for one in way.acts)
    inventories = {one.inventory for one in way.acts}
    if len(inventories) > 1:
        found.append((f"{len(inventories)} inventories under one name", newest))
    seen: dict[tuple[Act, StatementHash | None], list[Custody]] = {}
    for one in way.acts:
        if one.act in _PLACES:
            seen.setdefault((one.act, one.previous), []).append(one)
    for (act, _), several in seen.items():
        if len(several) > 1:
            what = f"{act} twice, by {' and by '.join(str(one.by) for one in several)}"
            found.append((what, max(one.time for one in several)))
    return [Trouble(cause=TroubleCause.DUPLICATED, what=what, since=since) for what, since in found]


def _torn(way: _Way, now: datetime) -> list[Trouble]:
    found = [
        way.trouble(TroubleCause.TORN, one, f"{one.by} found {one.bad} items that are not whole")
        for one in way.acts
        if one.bad
    ]
    if way.torn:
        what = f"{way.torn} items are not whole now"
        found.append(Trouble(cause=TroubleCause.TORN, what=what, since=now))
    return found


def _astray(way: _Way) -> list[Trouble]:
    return [
        way.trouble(TroubleCause.ASTRAY, one, f"{one.act} by {one.by}, is for seat {one.seat}")
        for one in way.acts
        if one.act in {Act.RECEIVED, Act.LODGED}
        and one.by.role is PartyRole.SEAT
        and one.by != _own(one.seat)
    ]


def _gaps(way: _Way) -> list[Trouble]:
    return [
        way.trouble(
            TroubleCause.GAP, one, f"{one.act} by {one.by} follows a paper that is not here"
        )
        for one in way.acts
        if one.previous is not None and one.previous not in way.known
    ]
