"""Properties of what stands: replayed, reordered, doubled and delayed logs (spec/standing.md).

Vaults are those of the simulator: a log and a clock. Named exceptions to agreement stand in
spec/standing.md 9; here orders differ, and time passes only when everybody has everything.
"""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName
from exclave.authority.orders import Lockdown
from exclave.ids import PersonId, StatementHash
from exclave.standing.machine import advance, begin, follow
from exclave.standing.phases import FINAL, Phase
from exclave.standing.values import Heard, Standing
from tests.simulator.world import Pool, Site, first_charter, first_name, persons

PEOPLE = ("h1", "h2", "h3", "h4", "a1", "a2", "a3", "b1", "b2", "b3")
KINDS = ("warrant", "release", "unlock", "veto", "hold", "lockdown", "charter", "era_a", "era_b")
EXAMPLES = 25
Signed = tuple[StatementHash, frozenset[PersonId]]

acts = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sets(st.sampled_from(PEOPLE), min_size=1, max_size=4)),
    min_size=1,
    max_size=12,
)


def make(kind: str, pool: Pool, made: list[StatementHash]) -> StatementHash:
    """A statement of that kind; what needs another one names the last that was made."""
    target = made[-1] if made else StatementHash(b"\x05" * 32)
    first = first_charter()
    if kind.startswith("era") or kind == "charter":
        name = RoleName.EXILE_1 if kind == "era_a" else RoleName.EXILE_2
        govern = first.role(name if kind != "charter" else RoleName.GOVERN)
        era = None if kind == "charter" else first.era + 1
        return pool.add(pool.charter_after(first_name(), first, era, govern=govern))
    if kind == "unlock":
        locks = {n for n in made if isinstance(pool.names[n], Lockdown)} or {target}
        return pool.add(pool.unlock(*locks))
    if kind == "veto":
        return pool.add(pool.veto(target))
    if kind == "release":
        return pool.add(pool.release(b"\x01" * 32))  # type: ignore[arg-type]
    return pool.add(
        pool.warrant(first)
        if kind == "warrant"
        else pool.hold()
        if kind == "hold"
        else pool.lockdown()
    )


def world_of(script: list[tuple[str, set[str]]]) -> tuple[Pool, list[Signed]]:
    pool = Pool(first=first_charter(), random=random.Random(1).randbytes)
    pool.names[first_name()] = first_charter()
    made: list[StatementHash] = []
    signed: list[Signed] = []
    for kind, names in script:
        # More signatures of the last one, or a new statement.
        name = (
            made[-1]
            if made and kind == "warrant" and len(made) % 3 == 2
            else make(kind, pool, made)
        )
        made.append(name)
        signed.append((name, persons(*names)))
    return pool, signed


def phases(site: Site) -> dict[StatementHash, Phase]:
    return {name: item.phase for name, item in site.standing.items.items()}


def start(site: Site) -> Standing:
    event = site.log[0].event
    assert isinstance(event, Heard)
    return begin(event)


@settings(max_examples=EXAMPLES, deadline=None)
@given(acts, st.lists(st.integers(0, 15), min_size=12, max_size=12), st.integers(0, 2**16))
def test_the_same_log_gives_the_same_standing(
    script: list[tuple[str, set[str]]], pauses: list[int], seed: int
) -> None:
    pool, signed = world_of(script)
    site = Site(number=2, pool=pool)
    chance = random.Random(seed)
    for (name, signers), pause in zip(signed, pauses, strict=False):
        site.hear(name, signers)
        if chance.random() < 0.6:
            site.witness()
        site.tick(pause)
    events = [entry.event for entry in site.log[1:]]
    at_once = advance(follow(start(site), events), site.service)
    stepwise = start(site)
    for event, entry in zip(events, site.log[1:], strict=True):
        between = chance.randint(stepwise.now, max(stepwise.now, entry.at))
        stepwise = advance(advance(stepwise, between), entry.at)
        stepwise = follow(stepwise, [event])
    stepwise = advance(stepwise, site.service)
    assert at_once == stepwise == site.standing


@settings(max_examples=EXAMPLES, deadline=None)
@given(acts, st.lists(st.integers(0, 15), min_size=12, max_size=12))
def test_tightening_is_immediate_and_final_phases_stay(
    script: list[tuple[str, set[str]]], pauses: list[int]
) -> None:
    pool, signed = world_of(script)
    site = Site(number=2, pool=pool)
    for (name, signers), pause in zip(signed, pauses, strict=False):
        before = site.standing
        logged = site.hear(name, signers)
        if logged and isinstance(pool.names[name], Lockdown) and name not in before.tightened:
            named = [i for i in before.items.values() if name in getattr(i.value, "lockdowns", ())]
            assert site.standing.locked or any(i.phase is Phase.EFFECTIVE for i in named)
        site.witness()
        site.tick(pause)
        after = site.standing
        for statement, order in before.tightened.items():
            assert after.tightened[statement].persons >= order.persons
        for statement, item in before.items.items():
            if item.phase in FINAL:
                assert after.items[statement].phase is item.phase
        assert after.charter.order >= before.charter.order


@settings(max_examples=EXAMPLES, deadline=None)
@given(acts, st.lists(st.randoms(use_true_random=False), min_size=2, max_size=2))
def test_vaults_agree_whatever_came_first(
    script: list[tuple[str, set[str]]], orders: list[random.Random]
) -> None:
    """Without charters of home: two of these conflict or not, by what came before the lockdown."""
    pool, signed = world_of([(k, n) for k, n in script if k != "charter"])
    sites = [Site(number=2, pool=pool), Site(number=3, pool=pool)]
    for site, chance in zip(sites, orders, strict=True):
        deliveries = signed * 2
        chance.shuffle(deliveries)
        # Everything again until nothing new is taken: what was refused waits for what it needs.
        for name, signers in deliveries + signed * 3:
            site.hear(name, signers)
        site.witness()
        site.tick(9)
    locked = {site.standing.locked for site in sites}
    assert len(locked) == 1
    for site in sites:
        site.tick(500)
    one, other = sites
    exceptions = excepted(sites)
    for name in phases(one).keys() & phases(other).keys() - exceptions:
        effective = [s.standing.items[name].effective is not None for s in sites]
        assert effective[0] == effective[1], (name.hex()[:6], pool.names[name])
    frozen = [site.standing.frozen_era for site in sites]
    if frozen == [None, None] and not exceptions:
        assert one.standing.in_force == other.standing.in_force


def excepted(sites: list[Site]) -> set[StatementHash]:
    """What spec/standing.md 9 lets differ: stopped or vetoed here, unseen there."""
    found: set[StatementHash] = set()
    if any(site.standing.conflicts for site in sites):
        return {name for site in sites for name in site.standing.items}
    for site in sites:
        for name, item in site.standing.items.items():
            if item.phase in {Phase.STOPPED, Phase.VETOED}:
                found.add(name)
            if isinstance(item.value, Charter) and item.phase is Phase.SUPERSEDED:
                found.add(name)
    return found
