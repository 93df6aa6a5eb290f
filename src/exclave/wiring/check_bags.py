"""Checks of the bags: what befell one, who waits for one, and what was not read back for too long.

Each cause of each bag is a result of its own, under a name that stays, so that whoever is told of
it once hears of its end, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from exclave.carried.papers import Paper, TroubleCause
from exclave.check.bags import BagNotice, SeatBags
from exclave.clock import parse_time
from exclave.errors import ExclaveError
from exclave.plain_words import duration, roughly
from exclave.wiring.bag_watch import ReadLogs, kept_papers, read_logs, watch_bags
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.overview import seat_memory

if TYPE_CHECKING:
    from exclave.deposit.catalogue_entry import CatalogueEntry
    from exclave.wiring.depositor import Home

__all__ = ["bag_results", "check_bags"]

_HINTS: Final[Mapping[TroubleCause, str]] = {
    TroubleCause.LOST: "pack another bag for the seat: exclave bag pack",
    TroubleCause.OVERDUE: "ask who was to have it; his paper ends this: exclave bag receive",
    TroubleCause.OPENED: "tell the officials; that all of it is lodged at its seat ends this",
    TroubleCause.DUPLICATED: "tell the officials: exclave bag list shows who says what",
    TroubleCause.TORN: "lodge it all the same; what is not whole comes with another bag",
    TroubleCause.ASTRAY: "hand it on: its shards open at their own seat only",
    TroubleCause.GAP: "hand in the paper that is missing: exclave submit",
    TroubleCause.UNLODGED: "lodge or store it, or hand it on: exclave bag lodge, store, hand-over",
    TroubleCause.UNREAD: "read it back: exclave bag verify --papers --key, and hand in that paper",
}


def check_bags(
    home: Home, entries: Sequence[CatalogueEntry], moment: datetime
) -> Iterator[CheckResult]:
    """The papers in the logs and at home, and what they say together."""
    try:
        logs, kept = read_logs(home), kept_papers(home)
        papers = {paper.statement: paper for paper in (*logs.papers, *kept.papers)}
        found = watch_bags(home, papers.values(), seat_memory(home), entries, moment)
    except ExclaveError as error:
        yield CheckResult(what="bags", good=False, said=error.message, hint=error.hint)
        return
    yield _known(papers.values(), logs)
    for name, said in (*kept.wrong, *logs.wrong):
        yield CheckResult(
            what=f"paper {name}", good=True, warns=True, said=said,
            hint="the other papers count all the same",
        )  # fmt: skip
    first = min((parse_time(entry.started) for entry in entries), default=None)
    yield from bag_results(found, newest=home.settings.bags.newest, first=first, moment=moment)


def bag_results(
    found: Iterable[SeatBags], *, newest: int, first: datetime | None, moment: datetime
) -> Iterator[CheckResult]:
    """One result for each safe, one for each cause of each bag.

    `newest`: seconds that a safe may be old; `first`: when the first deposit began, from which a
    safe waits for its first bag.
    """
    for seat in found:
        if seat.safe:
            yield _safe(seat, newest, first, moment)
        for notice in seat.notices:
            yield _notice(notice)


def _known(papers: Collection[Paper], logs: ReadLogs) -> CheckResult:
    bags = len({paper.custody.bag for paper in papers})
    said = f"{len(papers)} papers of {bags} bags" if bags else "no papers of any"
    said += f", {logs.read} of {logs.asked} logs read"
    hint = None
    if logs.asked and not logs.read:
        hint = "what was read before still counts; what happened since is not known"
    if logs.unkept is not None:
        said += f"; they cannot be kept: {logs.unkept}"
        hint = "a log that is silent tomorrow would end what they say"
    return CheckResult(what="bags", good=True, warns=hint is not None, said=said, hint=hint)


def _notice(notice: BagNotice) -> CheckResult:
    return CheckResult(
        what=f"bag {notice.bag.hex()[:16]} for seat {notice.seat}, {notice.cause}",
        good=not notice.bad,
        warns=True,
        said=notice.said,
        hint=_HINTS[notice.cause],
    )


def _safe(seat: SeatBags, most: int, first: datetime | None, moment: datetime) -> CheckResult:
    what = f"safe of seat {seat.seat}"
    since = first if seat.newest is None else seat.newest
    if since is None:
        return CheckResult(what=what, good=True, said="no deposit yet that could be carried there")
    age = max(0, int((moment - since).total_seconds()))
    said = f"its newest bag is {roughly(age)} old, allowed is {duration(most)}"
    if seat.newest is None:
        said = f"no bag {roughly(age)} after the first deposit, allowed is {duration(most)}"
    if seat.under_way:
        said += f"; {seat.under_way} under way"
    return CheckResult(
        what=what, good=age <= most, said=said,
        figures=(Figure(label=f"seat{seat.seat}_bag_age", value=age, unit="s", bad=most),),
        hint=None if age <= most else "exclave bag pack, and carry it there",
    )  # fmt: skip
