"""What somebody must look after of bags, read like policy: who is told, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from exclave.authority.custody import Act
from exclave.carried.papers import BagLimits, TroubleCause, judge_bags
from exclave.check.bags import TOLD, FedSeat, SeatBags, look_after
from exclave.ids import Seat
from exclave.wiring.check_bags import bag_results
from exclave.wiring.check_results import CheckResult, Severity
from tests.support.papers import COURIER, HOME, START, Story, party_of_seat

LIMITS = BagLimits()
DAY = 86_400


def looked(
    *stories: Story, days: float, safe: bool = True, lacks: int | None = None, seat: int = 3
) -> SeatBags:
    """Seat 3's bags, so many days after the first of them began."""
    now = START + timedelta(days=days)
    states = judge_bags(
        [paper for story in stories for paper in story.papers],
        now=now,
        safes={Seat(seat)} if safe else (),
        limits=LIMITS,
    )
    fed = FedSeat(seat=Seat(seat), safe=safe, lacks=lacks, holds=None)
    [found] = look_after(states, [fed], limits=LIMITS, now=now)
    return found


def told(found: SeatBags) -> dict[str, bool]:
    """What is told, and whether it is bad."""
    return {str(notice.cause): notice.bad for notice in found.notices}


def sent(**where: int) -> Story:
    """Sealed and handed over to the seat on day 1."""
    story = Story(**where)
    return story.says(Act.SEALED, HOME).says(Act.HANDED_OVER, HOME, to=party_of_seat(story.seat))


def arrived(day: float = 2, **where: int) -> Story:
    story = sent(**where)
    return story.says(Act.RECEIVED, party_of_seat(story.seat), day=day).lodged(day=day)


def test_a_bag_that_comes_as_it_should_is_nobodys_business() -> None:
    assert told(looked(sent(), days=15)) == {}
    found = looked(arrived(), days=300)
    assert (told(found), found.kept, found.under_way, found.newest) == ({}, 1, 0, START)


@pytest.mark.parametrize(
    ("days", "expected"), [(15, {}), (15.1, {"overdue": False}), (29.1, {"overdue": True})]
)
def test_a_bag_under_way_for_too_long(days: float, expected: dict[str, bool]) -> None:
    found = looked(sent(), days=days)
    assert (told(found), found.under_way) == (expected, 1)


@pytest.mark.parametrize(
    ("days", "expected"), [(16, {}), (16.1, {"unlodged": False}), (30.1, {"unlodged": True})]
)
def test_a_bag_received_and_not_lodged(days: float, expected: dict[str, bool]) -> None:
    assert told(looked(sent().says(Act.RECEIVED, COURIER), days=days)) == expected


@pytest.mark.parametrize(
    ("days", "expected"), [(367, {}), (367.1, {"unread": False}), (732.1, {"unread": True})]
)
def test_a_bag_that_nobody_read_back(days: float, expected: dict[str, bool]) -> None:
    assert told(looked(arrived(), days=days)) == expected
    read = arrived().says(Act.VERIFIED, party_of_seat(3), day=days)
    assert told(looked(read, days=days)) == {}


@pytest.mark.parametrize(
    ("story", "cause", "bad"),
    [
        (lambda: sent().says(Act.OPENED, COURIER, marks="cut"), "opened", True),
        (lambda: sent().says(Act.LOST, COURIER), "lost", True),
        (lambda: sent().says(Act.SEALED, HOME), "duplicated", True),
        (lambda: sent().says(Act.VERIFIED, COURIER, bad=2), "torn", False),
        (lambda: sent().says(Act.RECEIVED, party_of_seat(2)), "astray", False),
        (lambda: Story().says(Act.RECEIVED, COURIER), "gap", False),
    ],
)
def test_what_befell_a_bag_is_told_until_a_later_one_is_there(
    story: object, cause: str, bad: bool
) -> None:
    assert callable(story)
    assert told(looked(story(), days=5)) == {cause: bad}
    later = Story(bag=1).says(Act.SEALED, HOME, day=6).lodged(day=7)
    assert told(looked(story(), later, days=8)) == {}
    on_its_way = Story(bag=1).says(Act.SEALED, HOME, day=6)
    assert cause in told(looked(story(), on_its_way, days=8))
    sealed_before = Story(bag=1).says(Act.SEALED, HOME, day=-1).lodged(day=7)
    assert cause in told(looked(story(), sealed_before, days=8))


def test_it_is_over_when_all_of_it_is_lodged_all_the_same() -> None:
    opened = sent().says(Act.OPENED, COURIER, marks="cut")
    assert told(looked(opened.lodged(), days=5)) == {}
    in_pieces = sent().says(Act.OPENED, COURIER, marks="cut").lodged(bad=1)
    assert told(looked(in_pieces, days=5)) == {"opened": True, "torn": False}


def test_a_vault_that_lacks_nothing_misses_no_bag() -> None:
    lost = sent().says(Act.LOST, COURIER)
    for lacks, expected in ((None, {"lost"}), (3, {"lost"}), (0, set())):
        assert told(looked(lost, days=5, safe=False, lacks=lacks)).keys() == expected
    # A safe is told of as long as its own word has not come: home knows nothing else of it.
    assert told(looked(lost, days=5, safe=True, lacks=0)).keys() == {"lost"}


def test_what_a_safe_loses_no_later_bag_brings_back() -> None:
    keeper = party_of_seat(3)
    later = Story(bag=1).says(Act.SEALED, HOME, day=6).lodged(day=7)
    for story in (arrived().says(Act.LOST, keeper), arrived().says(Act.VERIFIED, keeper, bad=1)):
        assert told(looked(story, later, days=8))
    assert "unread" in told(looked(arrived(), later, days=368))


def test_a_copy_is_replaced_by_the_next() -> None:
    seat = party_of_seat(3)
    old = Story().says(Act.SEALED, seat)
    assert told(looked(old, days=366, safe=False, lacks=0)) == {"unread": False}
    new = Story(bag=1).says(Act.SEALED, seat, day=300)
    found = looked(old, new, days=366, safe=False, lacks=0)
    assert (told(found), found.kept, found.newest) == ({}, 2, None)


def test_papers_that_contradict_each_other_are_told_for_a_while() -> None:
    twice = arrived().says(Act.SEALED, HOME, day=3)
    assert told(looked(twice, days=3 + TOLD.days)) == {"duplicated": True}
    assert told(looked(twice, days=3.1 + TOLD.days)) == {}


def test_seats_without_bags_are_left_out_unless_they_are_safes() -> None:
    now = START
    seats = [
        FedSeat(seat=Seat(number), safe=number == 2, lacks=None, holds=None) for number in (1, 2, 3)
    ]
    states = judge_bags(sent().papers, now=now)
    found = look_after(states, reversed(seats), limits=LIMITS, now=now)
    assert [(item.seat, item.under_way) for item in found] == [(2, 0), (3, 1)]


def results(*stories: Story, days: float, first: float | None = -1) -> dict[str, CheckResult]:
    """As `check` says it; the first deposit was a day before the first bag."""
    found = bag_results(
        [looked(*stories, days=days)],
        newest=90 * DAY,
        first=None if first is None else START + timedelta(days=first),
        moment=START + timedelta(days=days),
    )
    return {item.what: item for item in found}


def test_a_safe_is_as_old_as_its_newest_bag() -> None:
    [safe] = results(arrived(), days=80).values()
    assert (safe.what, safe.severity) == ("safe of seat 3", Severity.GOOD)
    assert safe.said == "its newest bag is 80 d old, allowed is 90 d"
    assert [(f.label, f.value, f.bad) for f in safe.figures] == [
        ("seat3_bag_age", 80 * DAY, 90 * DAY)
    ]
    old, on_its_way = arrived(), Story(bag=1).says(Act.SEALED, HOME, day=91)
    on_its_way.says(Act.HANDED_OVER, HOME, to=party_of_seat(3), day=91)
    safe = results(old, on_its_way, days=92)["safe of seat 3"]
    assert (safe.severity, safe.said) == (
        Severity.BAD,
        "its newest bag is 92 d old, allowed is 90 d; 1 under way",
    )


def test_a_safe_waits_for_its_first_bag_from_the_first_deposit_on() -> None:
    def waiting(days: float, first: float | None) -> CheckResult:
        [safe] = results(days=days, first=first).values()
        return safe

    assert waiting(500, None).severity is Severity.GOOD
    assert waiting(89, 0).severity is Severity.GOOD
    late = waiting(91, 0)
    assert late.severity is Severity.BAD
    assert late.said == "no bag 91 d after the first deposit, allowed is 90 d"


def test_what_the_safes_own_word_brought_home_counts() -> None:
    """A bag of several safes has papers of one of them: home settled it for the others."""
    fed = FedSeat(seat=Seat(4), safe=True, lacks=0, holds=START)
    [found] = look_after([], [fed], limits=LIMITS, now=START)
    assert found.newest == START


def every_trouble() -> Iterator[Story]:
    yield sent().says(Act.OPENED, COURIER, marks="cut").says(Act.VERIFIED, COURIER, bad=1)
    yield sent(bag=1)
    yield Story(bag=2).says(Act.RECEIVED, COURIER)


def test_each_cause_of_each_bag_is_a_result_under_a_name_that_stays() -> None:
    causes = {
        TroubleCause.OPENED, TroubleCause.TORN, TroubleCause.OVERDUE, TroubleCause.GAP,
        TroubleCause.UNLODGED,
    }  # fmt: skip
    names = [set(results(*every_trouble(), days=days)) for days in (20, 40)]
    assert names[0] == names[1]
    assert {name.rpartition(", ")[2] for name in names[0]} == {*causes, "safe of seat 3"}
    for found in results(*every_trouble(), days=20).values():
        assert found.severity is Severity.GOOD or found.hint
