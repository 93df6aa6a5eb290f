"""Ways around the rules that somebody might try, and what comes of each.

Every test is a list of who signs what, and when; `vault.pass_time` is in seconds. Delays are 10 s,
of exile_2 20 s, an exile charter settles after 100 s; overrides take 3 of home, exile 2 of 3.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName
from exclave.authority.orders import Lockdown
from exclave.errors import AuthorityError
from exclave.ids import PackRoot, StatementHash
from exclave.standing.admission import (
    PLACES,
    CharterUnknown,
    EraNotOpen,
    NobodyCounts,
    PlacesTaken,
    SlotTaken,
    StatementOutdated,
)
from exclave.standing.machine import due
from exclave.standing.phases import Phase
from exclave.standing.values import Value
from tests.support.polity import START, Polity, Vantage, hash_of, make_polity, person

PACK = PackRoot(b"\x01" * 32)


def with_roster(charter: Charter, name: RoleName, **changes: object) -> dict[str, object]:
    """The change of one roster, as a charter's fields; `members` by short name."""
    rosters = dict(charter.rosters)
    if "members" in changes:
        names = changes["members"]
        assert isinstance(names, tuple)
        changes["members"] = tuple(sorted(person(item) for item in names))
    rosters[name] = replace(rosters[name], **changes)  # type: ignore[arg-type]
    return {"rosters": tuple(rosters.items())}


def without(charter: Charter, *gone: str) -> dict[str, object]:
    """The change that takes these persons out of every roster."""
    names = {person(item) for item in gone}
    rosters = []
    for name, role in charter.rosters:
        members = tuple(p for p in role.members if p not in names)
        least = min(role.threshold, len(members) - ("exile" in name))
        rosters.append((name, replace(role, members=members, threshold=least)))
    return {"rosters": tuple(rosters)}


def opened(**settings: object) -> tuple[Polity, Vantage]:
    polity = make_polity(**settings)
    return polity, Vantage(polity.first)


# Delays


def test_a_chain_of_charters_does_not_shorten_the_first_delay() -> None:
    polity, vault = opened(delays={RoleName.GOVERN: 50})
    quick = polity.next(**with_roster(polity.first, RoleName.GOVERN, delay=0))
    quicker = polity.next(quick)
    names = [vault.hear(value, "h1", "h2") for value in (quick, quicker)]
    vault.pass_time(49.999)
    assert {vault.phase(name) for name in names} == {Phase.WAITING}
    vault.pass_time(0.001)
    assert vault.standing.in_force == names[1]


def test_a_longer_delay_lengthens_what_waits_already() -> None:
    polity, vault = opened()
    change = polity.next(**with_roster(polity.first, RoleName.READ, delay=60))
    vault.hear(change, "h1", "h2")
    vault.pass_time(5)
    warrant = vault.hear(polity.warrant(), "h1", "h2")
    vault.pass_time(5)
    assert vault.standing.charter.version == 2
    vault.pass_time(54)
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


def test_a_shorter_delay_shortens_nothing_that_waits() -> None:
    polity, vault = opened(delays={RoleName.RELEASE: 60})
    change = polity.next(**with_roster(polity.first, RoleName.RELEASE, delay=0))
    vault.hear(change, "h1", "h2")
    release = vault.hear(value := polity.release(PACK), "h1", "h2")
    vault.pass_time(10)
    assert vault.standing.charter.version == 2
    vault.hear(value, "h3")
    vault.pass_time(49)
    assert vault.phase(release) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(release) is Phase.EFFECTIVE


def test_a_veto_window_longer_than_the_delay_counts() -> None:
    polity = make_polity()
    changes = with_roster(polity.first, RoleName.READ, delay=0, veto_window=30)
    vault = Vantage(first := replace(polity.first, **changes))  # type: ignore[arg-type]
    warrant = vault.hear(Polity(first=first).warrant(), "h1", "h2")
    vault.pass_time(29)
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


@pytest.mark.parametrize("order", [*itertools.permutations(["h1", "h2", "h3"])])
def test_signatures_in_any_order_complete_at_the_second(order: tuple[str, ...]) -> None:
    polity, vault = opened()
    warrant = vault.hear(value := polity.warrant(), order[0])
    vault.pass_time(500)
    vault.hear(value, order[1])
    vault.pass_time(9)
    vault.hear(value, order[2])
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


# Vetoes and overrides


def test_a_veto_of_an_incomplete_warrant_holds_when_it_is_signed_later() -> None:
    polity, vault = opened()
    warrant = vault.hear(value := polity.warrant(), "h1")
    vault.hear(polity.veto(warrant), "a1")
    vault.hear(value, "h2")
    vault.pass_time(500)
    assert vault.phase(warrant) is Phase.VETOED


def test_a_veto_after_it_took_effect_comes_too_late() -> None:
    polity, vault = opened()
    warrant = vault.hear(polity.warrant(), "h1", "h2")
    vault.pass_time(10)
    vault.hear(polity.veto(warrant), "h4")
    assert vault.phase(warrant) is Phase.EFFECTIVE


def test_an_override_waits_twice_and_a_lockdown_stops_it() -> None:
    polity, vault = opened()
    warrant = vault.hear(polity.warrant(), "h1", "h2", "h3")
    vault.hear(polity.veto(warrant), "h4")
    assert vault.phase(warrant) is Phase.OVERRIDING
    vault.pass_time(19)
    assert vault.phase(warrant) is Phase.OVERRIDING
    vault.hear(polity.lockdown(), "h4")
    assert vault.phase(warrant) is Phase.STOPPED


def test_a_vetoed_charter_whose_slot_is_taken_is_not_revived() -> None:
    polity, vault = opened()
    dead = vault.hear(value := polity.next(), "h1", "h2")
    vault.hear(polity.veto(dead), "h4")
    taken = vault.hear(polity.next(), "h1", "h2")
    vault.pass_time(10)
    vault.hear(value, "h3")
    vault.pass_time(500)
    assert vault.phase(dead) is Phase.SUPERSEDED
    assert vault.standing.in_force == taken


def test_the_removed_who_keep_a_voice_may_veto() -> None:
    polity, vault = opened()
    members = ("h1", "h2", "h3")
    change = vault.hear(
        polity.next(**with_roster(polity.first, RoleName.GOVERN, members=members)), "h1", "h2"
    )
    vault.hear(polity.veto(change), "h4")  # still in alarm
    assert vault.phase(change) is Phase.VETOED


def test_a_veto_before_the_charter_that_removes_its_signer_counts_for_nothing() -> None:
    polity, vault = opened()
    change = polity.next(**without(polity.first, "h4"))
    vault.hear(polity.veto(hash_of(change)), "h4")
    vault.hear(change, "h1", "h2")
    vault.pass_time(10)
    assert vault.standing.in_force == hash_of(change)


def test_home_cannot_veto_beforehand_what_exile_will_sign() -> None:
    polity, vault = opened()
    era = polity.era()
    warrant = polity.warrant()
    for target in (era, warrant):
        vault.hear(polity.veto(hash_of(target)), "h4")
    vault.hear(polity.lockdown(), "h1")
    names = [vault.hear(value, "a1", "a2") for value in (warrant, era)]
    assert {vault.phase(name) for name in names} == {Phase.WAITING}
    vault.hear(polity.veto(names[0]), "b1")
    assert vault.phase(names[0]) is Phase.VETOED


def test_exile_overrides_with_one_more_and_twice_the_wait() -> None:
    polity, vault = opened()
    vault.hear(polity.lockdown(), "h1")
    warrant = vault.hear(value := polity.warrant(), "a1", "a2")
    vault.hear(polity.veto(warrant), "b1")
    assert vault.phase(warrant) is Phase.VETOED
    vault.hear(value, "a3")
    vault.pass_time(19)
    assert vault.phase(warrant) is Phase.OVERRIDING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


# Lockdown and unlock


def test_both_exile_rosters_the_earlier_counts() -> None:
    polity, vault = opened()
    vault.hear(polity.lockdown(), "h1")
    warrant = vault.hear(value := polity.warrant(), "b1", "b2")
    vault.pass_time(2)
    vault.hear(value, "a1", "a2")
    vault.pass_time(9)
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


def test_two_lockdowns_need_both_named() -> None:
    polity, vault = opened()
    first, second = (vault.hear(polity.lockdown(), name) for name in ("h1", "a1"))
    vault.hear(polity.unlock(first), "a1", "a2")
    vault.pass_time(10)
    assert vault.standing.locked
    vault.hear(polity.unlock(second), "b1", "b2")
    vault.pass_time(20)
    assert not vault.standing.locked


def test_an_unlock_may_name_a_lockdown_that_comes_later() -> None:
    polity, vault = opened()
    later = polity.lockdown()
    first = vault.hear(polity.lockdown(), "h1")
    vault.hear(polity.unlock(first, hash_of(later)), "a1", "a2")
    vault.pass_time(10)
    vault.hear(later, "h2")
    assert not vault.standing.locked


def test_an_unlock_counts_under_lockdown_only() -> None:
    polity, vault = opened()
    lockdown = polity.lockdown()
    unlock = vault.hear(polity.unlock(hash_of(lockdown)), "a1", "a2")
    vault.pass_time(500)
    assert vault.phase(unlock) is Phase.INCOMPLETE
    vault.hear(lockdown, "h1")
    assert vault.standing.locked
    vault.pass_time(10)
    assert not vault.standing.locked


def test_a_saboteur_who_locks_again_is_out_with_the_new_era() -> None:
    polity, vault = opened()
    lockdown = vault.hear(polity.lockdown(), "h4")
    vault.hear(polity.unlock(lockdown), "a1", "a2")
    vault.pass_time(9)
    again = vault.hear(polity.lockdown(), "h4")
    vault.pass_time(1)
    assert vault.standing.open_lockdowns == {again}
    era = polity.era(**without(polity.first, "h4"))
    with pytest.raises(AuthorityError):  # its govern roster is still home's
        vault.hear(era, "a1", "a2")
    changes = dict(without(polity.first, "h4")["rosters"])  # type: ignore[call-overload]
    role = replace(
        changes[RoleName.GOVERN], members=dict(polity.first.rosters)[RoleName.EXILE_1].members
    )
    changes[RoleName.GOVERN] = role
    era = vault.hear(polity.era(rosters=tuple(changes.items())), "a1", "a2")
    vault.pass_time(10)
    assert vault.standing.in_force == era
    with pytest.raises(NobodyCounts):
        vault.hear(polity.lockdown(), "h4")
    vault.hear(polity.unlock(again), "a1", "a2")
    vault.pass_time(10)
    assert not vault.standing.locked


def test_lockdown_releases_nothing_and_lets_exile_read_on_after_it() -> None:
    polity, vault = opened()
    home = vault.hear(polity.warrant(), "h1", "h2")
    vault.pass_time(10)
    lockdown = vault.hear(polity.lockdown(), "b3")
    assert vault.phase(home) is Phase.STOPPED
    exile = vault.hear(polity.warrant(), "b1", "b2")
    vault.hear(polity.unlock(lockdown), "a1", "a2")
    vault.pass_time(10)
    assert not vault.standing.locked
    assert vault.phase(exile) is Phase.STOPPED  # it still waited when home came back


@pytest.mark.parametrize("kind", ["release", "lift", "narrow"])
def test_under_lockdown_nobody_signs_what_is_homes(kind: str) -> None:
    polity, vault = opened()
    values: dict[str, Value] = {
        "release": polity.release(PACK),
        "lift": polity.lift(StatementHash(PACK)),
        "narrow": polity.narrow(StatementHash(PACK), None),
    }
    vault.hear(polity.lockdown(), "h1")
    order = vault.hear(values[kind], "a1", "a2", "b1", "b2")
    vault.pass_time(500)
    assert vault.phase(order) is Phase.INCOMPLETE


# Eras, exile rosters and conflicts


def test_whoever_changes_the_exile_rosters_has_not_disarmed_the_old_ones() -> None:
    polity, vault = opened(home=6)
    rosters = dict(polity.first.rosters)
    for name, members in ((RoleName.EXILE_1, ("b1", "b2")), (RoleName.EXILE_2, ("b3", "a3"))):
        people = tuple(sorted(person(item) for item in members))
        rosters[name] = replace(rosters[name], members=people, threshold=1)
    vault.hear(polity.next(rosters=tuple(rosters.items())), "h1", "h2")
    vault.pass_time(10)
    vault.hear(polity.lockdown(), "a1")
    assert vault.standing.exile == polity.first.statement_hash
    warrant = vault.hear(polity.warrant(vault.standing.charter), "a1", "a2")
    assert vault.phase(warrant) is Phase.WAITING


def test_a_second_change_settles_no_sooner_than_the_first() -> None:
    polity, vault = opened()
    first = polity.next(delays=replace(polity.first.delays, exile_change=20))
    vault.hear(first, "h1", "h2")
    vault.pass_time(10)
    vault.hear(polity.next(first), "h1", "h2")
    vault.pass_time(10 + 89)
    vault.hear(polity.lockdown(), "h1")
    assert vault.standing.exile == polity.first.statement_hash


def test_exile_1_beats_exile_2_in_either_order() -> None:
    polity = make_polity()
    second, first = polity.era(govern=RoleName.EXILE_2), polity.era()
    for order in ((first, second), (second, first)):
        vault = Vantage(polity.first)
        vault.hear(polity.lockdown(), "h1")
        for value in order:
            vault.hear(value, *(("a1", "a2") if value is first else ("b1", "b2")))
        vault.pass_time(20)
        assert vault.standing.in_force == hash_of(first)
        assert vault.standing.frozen_era is None


@pytest.mark.parametrize("unlocked", [False, True])
def test_exile_1_beats_exile_2_even_when_that_is_in_force(unlocked: bool) -> None:
    polity, vault = opened()
    lockdown = vault.hear(polity.lockdown(), "h1")
    # The second roster even changes the first one: who may contest is who might have opened.
    rosters = dict(polity.era(govern=RoleName.EXILE_2).rosters)
    rosters[RoleName.EXILE_1] = replace(
        rosters[RoleName.EXILE_1], members=tuple(person(n) for n in ("h1", "h2", "h3"))
    )
    people = tuple(
        replace(o, place=polity.first.officials[0].place) for o in polity.first.officials
    )
    second = polity.era(rosters=tuple(rosters.items()), officials=people)
    vault.hear(second, "b1", "b2")
    vault.pass_time(20)
    if unlocked:
        vault.hear(polity.unlock(lockdown), "b1", "b2")
        vault.pass_time(20)
    warrant = vault.hear(polity.warrant(second), *(("h1", "h2") if unlocked else ("b1", "b2")))
    first = vault.hear(polity.era(), "a1", "a2")
    assert vault.phase(warrant) is Phase.STOPPED
    assert vault.standing.frozen_era is not None
    vault.pass_time(10)
    assert vault.standing.in_force == first
    assert vault.standing.frozen_era is None


def test_two_charters_of_one_exile_roster_freeze_until_a_third_era() -> None:
    polity, vault = opened()
    vault.hear(polity.lockdown(), "h1")
    one, two = polity.era(), polity.era()
    vault.hear(one, "a1", "a2")
    vault.hear(two, "a1", "a3")
    warrant = vault.hear(polity.warrant(), "a1", "a2")
    assert vault.phase(warrant) is Phase.INCOMPLETE
    vault.hear(polity.era(two), "a1", "a2")  # after the one that is only in conflict here
    vault.pass_time(10)
    assert vault.standing.charter.era == 3
    assert vault.standing.frozen_era is None


def test_an_era_may_be_left_out_after_any_charter_that_is_logged() -> None:
    polity, vault = opened()
    lost = polity.era()  # of the other vaults; never logged here
    vault.hear(polity.lockdown(), "h1")
    with pytest.raises(CharterUnknown, match="is not here"):
        vault.hear(polity.era(lost), "a1", "a2")
    third = replace(polity.era(), era=3)
    vault.hear(third, "a1", "a2")
    vault.pass_time(10)
    assert vault.standing.charter == third
    with pytest.raises(StatementOutdated, match="era 3 or the next"):
        vault.hear(lost, "a1", "a2")
    with pytest.raises(CharterUnknown, match=r"expected a later era after 3\.1"):
        vault.hear(replace(polity.era(third), era=3), "a1", "a2")


def test_those_who_have_left_cannot_make_a_conflict_once_home_has_moved_on() -> None:
    polity, vault = opened()
    old = polity.next()
    change = polity.next(**without(polity.first, "h1"))
    vault.hear(change, "h2", "h3")
    vault.pass_time(10)
    vault.hear(polity.next(change), "h2", "h3")
    vault.pass_time(10)
    with pytest.raises(SlotTaken):
        vault.hear(old, "h1", "h2")
    assert vault.standing.frozen_era is None


def test_an_era_beats_changes_of_home_that_wait() -> None:
    polity, vault = opened()
    one = polity.next()
    two = polity.next(one)
    names = [vault.hear(value, "h1", "h2") for value in (one, two)]
    vault.hear(polity.veto(names[0]), "h4")
    assert [vault.phase(name) for name in names] == [Phase.VETOED, Phase.STOPPED]
    vault.hear(polity.lockdown(), "h4")
    vault.hear(polity.era(), "a1", "a2")
    vault.pass_time(10)
    assert vault.phase(names[0]) is Phase.SUPERSEDED
    with pytest.raises((EraNotOpen, StatementOutdated)):
        vault.hear(polity.next(), "h1", "h2")


def test_a_charter_never_comes_before_the_one_that_it_builds_on() -> None:
    polity, vault = opened()
    one = polity.next(**with_roster(polity.first, RoleName.GOVERN, delay=40))
    two = polity.next(one)
    names = [vault.hear(value, "h1", "h2") for value in (one, two)]
    vault.hear(polity.veto(names[0]), "h4")
    vault.pass_time(100)
    assert [vault.phase(name) for name in names] == [Phase.VETOED, Phase.STOPPED]
    assert due(vault.standing, vault.standing.items[names[1]]) is None


def test_a_charter_whose_predecessor_waits_longer_waits_for_it() -> None:
    polity, vault = opened()
    one = polity.next()
    two = polity.next(one)
    vault.hear(one, "h1", "h2", "h3")
    vault.hear(polity.veto(hash_of(one)), "h4")
    vault.hear(two, "h1", "h2")
    assert vault.phase(hash_of(one)) is Phase.OVERRIDING
    vault.pass_time(19.999)
    assert vault.phase(hash_of(two)) is Phase.WAITING
    vault.pass_time(0.001)
    assert vault.standing.in_force == hash_of(two)
    assert [name for name, _ in vault.standing.history][1] == hash_of(one)


# Recount


def test_a_signer_who_left_no_longer_counts_for_what_waits_or_is_released() -> None:
    polity, vault = opened()
    released = vault.hear(value := polity.warrant(), "h1", "h4")
    vault.pass_time(5)
    change = polity.next(**without(polity.first, "h4"))
    vault.hear(change, "h1", "h2")
    vault.pass_time(9)
    assert vault.phase(released) is Phase.EFFECTIVE
    vault.pass_time(1)
    assert vault.phase(released) is Phase.INCOMPLETE
    vault.hear(value, "h2")
    assert vault.phase(released) is Phase.WAITING


def test_a_lost_override_brings_the_veto_back() -> None:
    polity, vault = opened(delays={RoleName.READ: 30})
    warrant = vault.hear(polity.warrant(), "h1", "h2", "h3")
    vault.hear(polity.veto(warrant), "h4")
    assert vault.phase(warrant) is Phase.OVERRIDING
    vault.hear(polity.next(**with_roster(polity.first, RoleName.OVERRIDE, threshold=4)), "h1", "h2")
    vault.pass_time(10)
    assert vault.phase(warrant) is Phase.VETOED


# Places


def test_a_flood_of_one_person_leaves_everybody_else_his_places() -> None:
    polity, vault = opened()
    for _ in range(PLACES):
        vault.hear(polity.warrant(), "h1")
    with pytest.raises(PlacesTaken):
        vault.hear(polity.warrant(), "h1")
    vault.hear(polity.warrant(), "h1", "h2")


@pytest.mark.parametrize("kind", ["hold", "lockdown"])
def test_a_person_tightens_so_often_a_day(kind: str) -> None:
    polity, vault = opened()
    make = polity.hold if kind == "hold" else polity.lockdown
    for _ in range(PLACES):
        vault.hear(make(), "h1")
    with pytest.raises(PlacesTaken):
        vault.hear(make(), "h1")
    if kind == "hold":
        vault.hear(polity.lockdown(), "h1")
    vault.pass_time(24 * 3600)
    vault.hear(make() if kind == "lockdown" else polity.lockdown(), "h1")


def test_one_person_can_veto_all_that_a_quorum_opens() -> None:
    polity, vault = opened()
    made = [polity.warrant() for _ in range(2 * PLACES)]
    for number, value in enumerate(made):
        vault.hear(value, "h1" if number < PLACES else "h2")
    for value in made:
        vault.hear(value, "h1", "h2")
    for value in made:
        vault.hear(polity.veto(hash_of(value)), "h4")
    assert {vault.phase(hash_of(value)) for value in made} == {Phase.VETOED}


def test_an_extension_remembers_who_signed_it() -> None:
    polity, vault = opened()
    extend = vault.hear(polity.extend(START + timedelta(days=9)), "h1")
    assert not vault.standing.tightened[extend].by_threshold
    vault.hear(vault.standing.tightened[extend].value, "h2")
    assert vault.standing.tightened[extend].by_threshold
    assert not isinstance(vault.standing.tightened[extend].value, Lockdown)
