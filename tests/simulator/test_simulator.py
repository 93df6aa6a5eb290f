"""Random schedules of seven vaults, two of them faulty: what holds, and what must be granted.

`make test` runs a few dozen fixed seeds, `make soak` more than ten thousand. A failing seed
prints its whole story. Each defence that is taken out must be caught: `tests/mutations/p6_*.toml`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from exclave.authority.charter_parts import RoleName
from exclave.ids import StatementHash
from exclave.standing.phases import Phase
from tests.simulator.adversary import Forker, consistent
from tests.simulator.check import Broken, Checker
from tests.simulator.schedule import run
from tests.simulator.world import (
    FAULTY,
    HEARTBEAT,
    QUORUM,
    RETENTION,
    VAULTS,
    Entry,
    Site,
    World,
    first_charter,
    first_name,
    new_world,
    persons,
)

QUICK, BATCH = 60, 10
SOAK, SOAK_BATCH = 10_500, 250


@pytest.mark.parametrize("start", range(0, QUICK, BATCH))
def test_schedules_keep_every_promise(start: int) -> None:
    for seed in range(start, start + BATCH):
        run(seed)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(QUICK, QUICK + SOAK, SOAK_BATCH))
def test_many_schedules_keep_every_promise(start: int) -> None:
    for seed in range(start, start + SOAK_BATCH):
        run(seed)


def test_a_seed_repeats_itself() -> None:
    one, other = run(7), run(7)
    assert one.trace == other.trace
    assert [s.standing for s in one.honest] == [s.standing for s in other.honest]


def test_schedules_do_what_they_are_for() -> None:
    """A simulator in which nothing happens proves nothing: over some seeds, everything does."""
    phases: set[Phase] = set()
    conflicts = eras = swept = 0
    for seed in range(20):
        world = run(seed)
        assert isinstance(world.after_step, Checker)
        phases |= world.after_step.phases
        for site in world.honest:
            conflicts += len(site.standing.conflicts)
            eras = max(eras, site.standing.charter.era)
            swept += len(site.swept)
    assert phases >= set(Phase) - {Phase.EXPIRED}
    assert conflicts
    assert eras >= 3
    assert swept


def test_quorum_tells_forks_apart() -> None:
    assert 2 * QUORUM - VAULTS > FAULTY


def test_a_fork_shown_to_one_witness_is_named_at_once() -> None:
    forker = Forker(number=0)
    forker.show(2, (0, 1, 2))
    forker.show(2, (0, 1))
    assert not forker.named
    forker.show(2, (0, 3))
    assert forker.named == {2}


def test_a_fork_shown_to_two_witnesses_is_named_when_they_are_compared() -> None:
    forker = Forker(number=0)
    forker.show(2, (0, 1))
    forker.show(3, (0, 2))
    assert not forker.named
    forker.compare()
    assert forker.named == {2, 3}
    assert not consistent((0, 1), (0, 2))


def test_a_check_that_fails_tells_the_story() -> None:
    world = new_world(bytes, [1.0] * VAULTS)
    world.say("somebody swept too early")
    world.honest[0].swept.append((1, RETENTION - 1))
    with pytest.raises(Broken, match=r"vault 2: pack 1 was swept.*\n.*swept too early"):
        Checker()(world)


def test_a_release_under_a_lockdown_is_noticed() -> None:
    world = new_world(lambda size: b"\x01" * size, [1.0] * VAULTS)
    checker = Checker()
    site = world.honest[0]
    warrant = world.pool.warrant(world.pool.first)
    name = world.pool.add(warrant)
    site.hear(name, persons("h1", "h2"))
    site.witness()
    site.tick(11)
    checker(world)
    lockdown = world.pool.add(world.pool.lockdown())
    event = site.log[1].event
    # A vault that forgot to obey: the entry is there, what stands is as before.
    site.log.append(Entry(event=event, at=site.service, name=lockdown, persons=persons("h4")))
    with pytest.raises(Broken, match="a lockdown stopped it"):
        checker(world)


def parted() -> tuple[World, Site, Site]:
    """Vault 2 with a witness quorum on one side, vault 5 without on the other."""
    world = new_world(lambda size: b"\x01" * size, [1.0] * VAULTS)
    world.groups = {5: 1, 6: 1}
    return world, world.sites[2], world.sites[5]


def beat(world: World) -> None:
    """A heartbeat of everybody: mirror to whom one reaches, hand the checkpoint round."""
    for source in world.sites:
        for target in world.sites:
            world.mirror(source, target, lost=lambda: False)
    for site in world.sites:
        world.heartbeat(site)
    world.pass_time(HEARTBEAT)


def home_charter(world: World) -> StatementHash:
    return world.pool.add(world.pool.charter_after(first_name(), first_charter()))


def test_a_lockdown_is_everywhere_within_one_heartbeat() -> None:
    world, one, other = parted()
    assert one.hear(world.pool.add(world.pool.lockdown()), persons("h4"))
    beat(world)
    assert not other.standing.locked
    world.groups = {}
    beat(world)
    assert all(site.standing.locked for site in world.sites)


def test_a_charter_logged_together_comes_into_force_within_two_heartbeats() -> None:
    world, one, other = parted()
    world.groups = {}
    name = home_charter(world)
    assert one.hear(name, persons("h2", "h3"))
    times: dict[int, float] = {}
    for _ in range(20):
        beat(world)
        for site in (one, other):
            if site.standing.in_force == name:
                times.setdefault(site.number, world.now)
    assert abs(times[2] - times[5]) <= 2 * HEARTBEAT


def test_a_charter_that_one_logged_alone_waits_again_at_the_other() -> None:
    """spec/standing.md 9: at most the whole wait and a heartbeat; no vault takes another's word."""
    world, one, other = parted()
    name = home_charter(world)
    assert one.hear(name, persons("h2", "h3"))
    for _ in range(12):
        beat(world)
    assert one.standing.in_force == name
    world.groups = {}
    healed = world.now
    while other.standing.in_force != name:
        beat(world)
        assert world.now <= healed + 10 + 2 * HEARTBEAT
    assert world.now > healed + 2 * HEARTBEAT


def test_without_a_quorum_the_dark_delay_runs() -> None:
    world, _, other = parted()
    name = home_charter(world)
    assert other.hear(name, persons("h2", "h3"))
    for second in range(31):
        assert (other.standing.in_force == name) == (second >= 30)
        beat(world)


def test_eras_opened_apart_for_long_are_joined_by_one_above_both() -> None:
    """spec/standing.md 9: neither side takes the other's era any more."""
    world, one, other = parted()
    first = first_charter()
    for site, names in ((one, ("a1", "a2")), (other, ("b1", "b2", "b3"))):
        assert site.hear(world.pool.add(world.pool.lockdown()), persons(names[0]))
        govern = replace(first.role(RoleName.GOVERN), members=tuple(sorted(persons(*names))))
        second = world.pool.add(world.pool.charter_after(first_name(), first, 2, govern=govern))
        assert site.hear(second, persons(*names))
        for _ in range(140):
            beat(world)
        third = world.pool.charter_after(second, site.standing.charter, 3)
        assert site.standing.in_force == second
        assert site.hear(world.pool.add(third), persons(*names))
    for _ in range(140):
        beat(world)
    world.groups = {}
    for _ in range(140):
        beat(world)
    assert one.standing.in_force != other.standing.in_force
    assert {site.standing.charter.era for site in (one, other)} == {3}
    members = persons("a1", "a2", "b1", "b2", "b3")
    govern = replace(first.role(RoleName.GOVERN), members=tuple(sorted(members)))
    fourth = world.pool.add(world.pool.charter_after(first_name(), first, 4, govern=govern))
    for site in (one, other):
        assert site.hear(fourth, members)
    for _ in range(140):
        beat(world)
    assert all(site.standing.in_force == fourth for site in world.sites)
