"""Papers read like policy: what was said, and what is wrong with it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from exclave.authority.custody import Act, Custody, Party, PartyRole, custody_envelope
from exclave.carried.papers import BagState, Paper, TroubleCause, judge_bags
from exclave.ids import BagId, MissionId, Seat, StatementHash

START = datetime(2026, 3, 1, tzinfo=UTC)
HOME = Party(PartyRole.DEPOSITOR, "home")
COURIER = Party(PartyRole.OFFICIAL, "p-0123456789abcdef")
SEAT = Party(PartyRole.SEAT, "3")
OTHER_SEAT = Party(PartyRole.SEAT, "2")


class Story:
    """Papers one after the other, a day apart."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []

    def says(
        self,
        act: Act,
        by: Party,
        *,
        to: Party | None = None,
        marks: str = "lead 1",
        bad: int | None = None,
        after: int = -1,
        inventory: bytes = bytes(32),
    ) -> Story:
        counted = act in {Act.VERIFIED, Act.LODGED}
        previous = None
        if act is not Act.SEALED:
            previous = self.papers[after].statement if self.papers else StatementHash(bytes(32))
        custody = Custody(
            mission=MissionId(bytes(32)),
            bag=BagId(bytes(16)),
            inventory=inventory,
            seat=Seat(3),
            act=act,
            by=by,
            to=to,
            previous=previous,
            marks=marks,
            good=9 if counted else None,
            bad=(bad or 0) if counted else None,
            time=START + timedelta(days=len(self.papers)),
        )
        statement = StatementHash(hashlib.sha256(custody_envelope(custody).payload).digest())
        self.papers.append(Paper(statement=statement, custody=custody))
        return self

    def judged(self, *, days: int = 10, torn: int = 0) -> BagState:
        [state] = judge_bags(
            reversed(self.papers), now=START + timedelta(days=days), torn={BagId(bytes(16)): torn}
        )
        return state


def sealed() -> Story:
    return Story().says(Act.SEALED, HOME)


def carried() -> Story:
    return sealed().says(Act.HANDED_OVER, HOME, to=COURIER).says(Act.RECEIVED, COURIER)


def causes(state: BagState) -> set[TroubleCause]:
    return {trouble.cause for trouble in state.troubles}


def test_a_bag_is_with_whoever_had_it_last() -> None:
    assert sealed().judged().holder == HOME
    assert carried().judged().holder == COURIER
    under_way = sealed().says(Act.HANDED_OVER, HOME, to=COURIER).judged()
    assert (under_way.holder, under_way.under_way_to) == (None, COURIER)
    story = carried().says(Act.HANDED_OVER, COURIER, to=SEAT).says(Act.RECEIVED, SEAT)
    state = story.says(Act.VERIFIED, SEAT).says(Act.LODGED, SEAT).judged()
    assert (state.holder, causes(state)) == (SEAT, set())
    assert state.sealed == START
    assert state.read == START + timedelta(days=6)


@pytest.mark.parametrize(
    ("story", "cause"),
    [
        (lambda: carried().says(Act.OPENED, COURIER, marks="cut"), TroubleCause.OPENED),
        (
            lambda: (
                sealed()
                .says(Act.HANDED_OVER, HOME, to=COURIER)
                .says(Act.RECEIVED, COURIER, marks="lead 2")
            ),
            TroubleCause.OPENED,
        ),
        (lambda: carried().says(Act.LOST, COURIER), TroubleCause.LOST),
        (lambda: sealed().says(Act.SEALED, HOME), TroubleCause.DUPLICATED),
        (
            lambda: carried().says(Act.RECEIVED, OTHER_SEAT, after=1),
            TroubleCause.DUPLICATED,
        ),
        (
            lambda: carried().says(Act.VERIFIED, COURIER, inventory=bytes(31) + b"\1"),
            TroubleCause.DUPLICATED,
        ),
        (lambda: carried().says(Act.VERIFIED, COURIER, bad=2), TroubleCause.TORN),
        (lambda: carried().says(Act.LODGED, SEAT, bad=1), TroubleCause.TORN),
        (lambda: carried().says(Act.LODGED, OTHER_SEAT), TroubleCause.ASTRAY),
        (lambda: Story().says(Act.RECEIVED, COURIER), TroubleCause.GAP),
    ],
)
def test_what_is_wrong_is_named(story: object, cause: TroubleCause) -> None:
    assert callable(story)
    assert cause in causes(story().judged())


def test_what_is_lost_may_be_found_again() -> None:
    lost = carried().says(Act.LOST, COURIER)
    assert lost.judged().holder is None
    found = lost.says(Act.RECEIVED, SEAT).judged()
    assert (found.holder, causes(found)) == (SEAT, set())


def test_a_courier_who_is_long_under_way_is_asked_after() -> None:
    story = sealed().says(Act.HANDED_OVER, HOME, to=COURIER)
    assert causes(story.judged(days=15)) == set()
    assert causes(story.judged(days=16)) == {TroubleCause.OVERDUE}


def test_what_is_read_now_counts_too() -> None:
    assert causes(carried().judged(torn=3)) == {TroubleCause.TORN}


def test_a_paper_that_came_twice_is_one() -> None:
    story = carried()
    story.papers += story.papers
    assert causes(story.judged()) == set()
