"""Papers read like policy: what was said, and what is wrong with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exclave.authority.custody import Act
from exclave.carried.papers import BagLimits, BagState, TroubleCause, judge_bags
from exclave.ids import Seat
from tests.support.papers import COURIER, HOME, START, Story, party_of_seat

SEAT, OTHER_SEAT = party_of_seat(3), party_of_seat(2)


def judged(story: Story, *, days: float = 10, torn: int = 0, safe: bool = False) -> BagState:
    [state] = judge_bags(
        reversed(story.papers),
        now=START + timedelta(days=days),
        torn={story.bag: torn},
        safes={Seat(3)} if safe else (),
    )
    return state


def sealed() -> Story:
    return Story().says(Act.SEALED, HOME)


def carried() -> Story:
    return sealed().says(Act.HANDED_OVER, HOME, to=COURIER).says(Act.RECEIVED, COURIER)


def causes(state: BagState) -> set[TroubleCause]:
    return {trouble.cause for trouble in state.troubles}


def test_a_bag_is_with_whoever_had_it_last() -> None:
    assert judged(sealed()).holder == HOME
    assert judged(carried()).holder == COURIER
    under_way = judged(sealed().says(Act.HANDED_OVER, HOME, to=COURIER))
    assert (under_way.holder, under_way.under_way_to) == (None, COURIER)
    story = carried().says(Act.HANDED_OVER, COURIER, to=SEAT).says(Act.RECEIVED, SEAT)
    state = judged(story.says(Act.VERIFIED, SEAT).says(Act.LODGED, SEAT))
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
    assert cause in causes(judged(story()))


def test_what_is_lost_may_be_found_again() -> None:
    lost = carried().says(Act.LOST, COURIER)
    assert judged(lost).holder is None
    found = judged(lost.says(Act.RECEIVED, SEAT))
    assert (found.holder, causes(found)) == (SEAT, set())


def test_a_courier_who_is_long_under_way_is_asked_after() -> None:
    story = sealed().says(Act.HANDED_OVER, HOME, to=COURIER)
    assert causes(judged(story, days=15)) == set()
    assert causes(judged(story, days=16)) == {TroubleCause.OVERDUE}


def test_what_is_read_now_counts_too() -> None:
    assert causes(judged(carried(), torn=3)) == {TroubleCause.TORN}


def test_a_paper_that_came_twice_is_one() -> None:
    story = carried()
    story.papers += story.papers
    assert causes(judged(story)) == set()


def test_whoever_has_it_and_does_nothing_is_asked() -> None:
    """Received and not lodged, or sealed and never handed over; a copy stays where it is."""
    assert causes(judged(carried(), days=16)) == set()
    assert causes(judged(carried(), days=17)) == {TroubleCause.UNLODGED}
    assert causes(judged(sealed(), days=15)) == {TroubleCause.UNLODGED}
    copy = Story().says(Act.SEALED, SEAT)
    assert causes(judged(copy, days=15)) == set()
    assert judged(copy).kept
    assert causes(judged(carried().lodged(), days=400)) == set()


def test_what_a_safe_keeps_is_read_back_every_year() -> None:
    story = carried().lodged(day=3)
    assert causes(judged(story, days=368, safe=True)) == set()
    assert causes(judged(story, days=369, safe=True)) == {TroubleCause.UNREAD}
    story.says(Act.VERIFIED, SEAT, day=370)
    assert causes(judged(story, days=400, safe=True)) == set()
    assert causes(judged(Story().says(Act.SEALED, SEAT), days=366)) == {TroubleCause.UNREAD}


def test_all_of_it_lodged_makes_good_what_was_before() -> None:
    story = carried().says(Act.OPENED, COURIER, marks="cut")
    assert not any(trouble.mended for trouble in judged(story).troubles)
    assert all(trouble.mended for trouble in judged(story.lodged()).troubles)
    again = story.says(Act.OPENED, SEAT, marks="the safe was forced")
    assert [trouble.mended for trouble in judged(again).troubles] == [True, False]


def test_a_bag_that_came_in_pieces_is_not_lodged() -> None:
    state = judged(carried().lodged(bad=2), days=40, safe=True)
    assert (state.lodged, state.kept, causes(state)) == (None, True, {TroubleCause.TORN})
    assert not any(trouble.mended for trouble in state.troubles)


def test_limits_may_be_others() -> None:
    limits = BagLimits(under_way=timedelta(days=2), unlodged=timedelta(days=3))
    story = sealed().says(Act.HANDED_OVER, HOME, to=COURIER)
    [state] = judge_bags(story.papers, now=START + timedelta(days=4), limits=limits)
    assert causes(state) == {TroubleCause.OVERDUE}
