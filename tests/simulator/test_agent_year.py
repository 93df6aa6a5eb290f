"""A year of the agent in virtual time: everything is lodged, alarms are just those expected."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from exclave.agent.state import Result
from tests.support.agent_world import BEGIN, HOUR, RPO, SEATS, Outage, World

YEAR = timedelta(days=365)
# Long enough for a person to hear of it, or so short that nobody should.
LONG = {
    "seat-1": {"seat:1"},
    "seat-2": {"seat:2"},
    "seat-3": {"seat:3"},
    "line": {"rpo:population", "rpo:land", "job:nightly", "job:land", "job:logs"},
    "db-population": {"job:nightly", "rpo:population"},
    "db-land": {"job:land", "rpo:land"},
    "agent": {"rpo:population", "rpo:land"},
}


def outages(seed: int, days: int) -> tuple[list[Outage], Counter[str]]:
    """One at a time, days apart, each long or short; and the alarms that they must make."""
    source = random.Random(seed)
    found: list[Outage] = []
    expected: Counter[str] = Counter()
    moment = BEGIN + timedelta(days=2)
    while moment < BEGIN + timedelta(days=days - 8):
        what = source.choice(sorted(LONG))
        long = source.random() < 0.4
        hours = source.uniform(34, 60) if long else source.uniform(0.02, 0.9)
        found.append(Outage(what, moment, hours))
        if long:
            expected.update(LONG[what])
        moment += timedelta(hours=hours + source.uniform(30, 90))
    return found, expected


def year(seed: int, days: int = 365) -> tuple[World, Counter[str]]:
    plan, expected = outages(seed, days)
    world = World(outages=tuple(plan), seed=seed)
    world.run_until(BEGIN + timedelta(days=days))
    return world, expected


def require_lodged(world: World, days: int) -> None:
    """Every deposit is at every seat, and none is missing that could have been made."""
    assert world.spool == dict.fromkeys(SEATS, 0)
    assert set(world.held.values()) == {len(world.deposits)}
    down = sum(o.hours for o in world.outages if o.hours > 1) / 24
    made = Counter(register for register, _ in world.deposits)
    assert days - down - 12 < made["population"] <= days + 12
    assert 4 * (days - down) - 60 < made["land"] <= 4 * days + 60


def require_balance(world: World) -> Counter[str]:
    """Each alarm is followed by its all-clear, and nothing is told twice; gives the alarms."""
    open_: dict[str, datetime] = {}
    alarms: Counter[str] = Counter()
    for moment, what, key in world.told.log:
        assert (key in open_) is (what == "clear"), (moment, what, key)
        if what == "alarm":
            open_[key] = moment
            alarms[key] += 1
        else:
            del open_[key]
    assert open_ == {}
    return alarms


@pytest.mark.parametrize("seed", [11])
def test_a_year_with_outages(seed: int) -> None:
    world, expected = year(seed)
    assert len(world.outages) > 60
    assert sum(expected.values()) > 30
    assert require_balance(world) == expected
    require_lodged(world, 365)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_more_years_with_outages(seed: int) -> None:
    world, expected = year(seed)
    assert require_balance(world) == expected
    require_lodged(world, 365)


def test_a_quiet_year_is_quiet() -> None:
    world = World()
    world.run_until(BEGIN + timedelta(days=60))
    assert world.told.log == []
    assert {result for _, _, result in world.runs} == {Result.GOOD}
    made = Counter(register for register, _ in world.deposits)
    assert made == {"population": 60, "land": 240}
    for register, rpo in RPO.items():
        moments = [moment for name, moment in world.deposits if name == register]
        gaps = [(b - a).total_seconds() for a, b in pairwise(moments)]
        assert max(gaps) < rpo - HOUR / 2


def test_a_seat_down_for_seven_days_is_complete_afterwards() -> None:
    world = World(outages=(Outage("seat-2", BEGIN + timedelta(days=3), 7 * 24),))
    world.run_until(BEGIN + timedelta(days=10))
    assert world.spool[SEATS[1]] == 7 + 28
    world.run_until(BEGIN + timedelta(days=12))
    require_lodged(world, 12)
    assert [(what, key) for _, what, key in world.told.log] == [
        ("alarm", "seat:2"),
        ("clear", "seat:2"),
    ]


def test_outages_on_top_of_each_other_end_with_everything_lodged() -> None:
    source = random.Random(5)
    many = tuple(
        Outage(
            source.choice(["seat-1", "seat-2", "line", "db-land", "db-population", "agent"]),
            BEGIN + timedelta(hours=source.uniform(24, 50 * 24)),
            source.expovariate(1 / 8),
        )
        for _ in range(90)
    )
    world = World(outages=many, seed=5)
    world.run_until(BEGIN + timedelta(days=60))
    assert require_balance(world)
    assert world.spool == dict.fromkeys(SEATS, 0)
    assert set(world.held.values()) == {len(world.deposits)}
