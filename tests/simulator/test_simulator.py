"""Random schedules of seven vaults, two of them faulty: what holds, and what must be granted.

`make test` runs a few hundred fixed seeds, `make soak` more than ten thousand. A failing seed
prints its whole story. Each defence that is taken out must be caught: `tests/mutations/p6_*.toml`.
"""

from __future__ import annotations

import pytest

from exclave.standing.phases import Phase
from tests.simulator.adversary import Forker, consistent
from tests.simulator.check import Broken, Checker
from tests.simulator.schedule import run
from tests.simulator.world import FAULTY, QUORUM, RETENTION, VAULTS, Entry, new_world, persons

QUICK, BATCH = 120, 10
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
    with pytest.raises(Broken, match="had stopped"):
        checker(world)
