"""A year of bags in the agent's virtual time: what befalls one is told once, and so is its end.

The agent's scheduler and causes are the real ones, and so is everything that `check` makes of the
papers; what is made up are the papers, as couriers and keepers would have signed them by that day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from exclave.agent.jobs import Job, JobKind
from exclave.agent.reading import outcome_of
from exclave.agent.state import Outcome
from exclave.authority.custody import Act
from exclave.carried.papers import BagLimits, judge_bags
from exclave.check.bags import FedSeat, look_after
from exclave.cli.check import results_json
from exclave.ids import Seat
from exclave.wiring.check_bags import bag_results
from exclave.wiring.check_results import worst
from tests.simulator.test_agent_year import require_balance
from tests.support.agent_world import BEGIN, ORDERS, Outage, World, job
from tests.support.papers import COURIER, HOME, START, Story, party_of_seat

SAFE = Seat(3)
WATCHED = replace(ORDERS, jobs=(job("renewals", JobKind.CHECK, "Mon..Fri 08:30 UTC"),), rpo={})
OFFSET = (START - BEGIN) / timedelta(days=1)
NEWEST = 60 * 86_400


@dataclass
class Couriers(World):
    """As `World`, with one safe and the papers that its bags get."""

    stories: Sequence[Story] = field(default=())

    def _outcome(self, done: Job) -> Outcome:
        if done.kind is not JobKind.CHECK:
            return super()._outcome(done)
        limits = BagLimits()
        papers = [
            paper
            for story in self.stories
            for paper in story.papers
            if paper.custody.time <= self.now
        ]
        states = judge_bags(papers, now=self.now, safes={SAFE}, limits=limits)
        fed = FedSeat(seat=SAFE, safe=True, lacks=None, holds=None)
        found = look_after(states, [fed], limits=limits, now=self.now)
        results = tuple(bag_results(found, newest=NEWEST, first=BEGIN, moment=self.now))
        said = json.dumps(results_json(results, int(worst(results)))).encode()
        return outcome_of(done, int(worst(results)), said, b"")


def bag(number: int, *steps: Callable[[Story], object]) -> Story:
    story = Story(bag=number, seat=SAFE)
    for step in steps:
        step(story)
    return story


def sealed(day: float) -> Callable[[Story], object]:
    return lambda story: story.says(Act.SEALED, HOME, day=day - OFFSET)


def sent(day: float) -> Callable[[Story], object]:
    return lambda story: story.says(Act.HANDED_OVER, HOME, to=party_of_seat(SAFE), day=day - OFFSET)


def stored(day: float) -> Callable[[Story], object]:
    return lambda story: story.lodged(day=day - OFFSET)


def says(act: Act, day: float, **more: str) -> Callable[[Story], object]:
    return lambda story: story.says(act, COURIER, day=day - OFFSET, **more)  # type: ignore[arg-type]


def year(*stories: Story, outages: Sequence[Outage] = (), days: int = 365) -> Couriers:
    world = Couriers(stories=stories, orders=WATCHED, outages=tuple(outages))
    world.run_until(BEGIN + timedelta(days=days))
    return world


def told(world: World) -> list[tuple[str, str]]:
    return [(what, key.removeprefix("renewals:")) for _, what, key in world.told.log]


def usual(number: int, day: float) -> Story:
    """A bag that comes within a week."""
    return bag(number, sealed(day), sent(day + 1), says(Act.RECEIVED, day + 5), stored(day + 7))


def test_a_year_of_bags_that_come_is_quiet() -> None:
    world = year(*(usual(number, 10 + 50 * number) for number in range(8)))
    assert told(world) == []


def test_each_trouble_is_told_once_and_its_end() -> None:
    """One is overdue, one is opened and comes all the same, one is lost and replaced."""
    names = [f"bag {bytes([number] * 8).hex()} for seat 3, " for number in range(4)]
    world = year(
        bag(0, sealed(10), sent(11), stored(40)),
        bag(1, sealed(60), sent(61), says(Act.OPENED, 65, marks="cut"), stored(68)),
        bag(2, sealed(100), sent(101), says(Act.LOST, 110)),
        bag(3, sealed(112), sent(113), stored(119)),
        *(usual(number, 50 * number - 40) for number in range(4, 9)),
        # The agent itself is away while one of them is told: it says nothing twice.
        outages=[Outage("agent", BEGIN + timedelta(days=111), 5)],
    )
    assert told(world) == [
        ("alarm", names[0] + "overdue"),
        ("clear", names[0] + "overdue"),
        ("alarm", names[1] + "opened"),
        ("clear", names[1] + "opened"),
        ("alarm", names[2] + "lost"),
        ("clear", names[2] + "lost"),
    ]
    require_balance(world)


def test_a_reminder_comes_on_the_next_working_day() -> None:
    world = year(bag(0, sealed(10), sent(11), stored(40)), days=60)
    [(moment, _, _), _] = world.told.log
    assert timedelta() <= moment - (BEGIN + timedelta(days=25)) < timedelta(days=4)
    assert moment.weekday() < 5


def test_a_safe_that_nobody_feeds_and_bags_that_nobody_reads() -> None:
    """The safe when its newest is 60 days old, the bag when it was not read for a year."""
    world = year(usual(0, 10), usual(1, 90), days=400)
    assert Counter(told(world)) == {
        ("alarm", "safe of seat 3"): 2,
        ("clear", "safe of seat 3"): 1,
        ("alarm", f"bag {bytes(8).hex()} for seat 3, unread"): 1,
    }
