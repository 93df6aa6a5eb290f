"""Standing at one vault, read like policy: who signs what, when, and what then stands."""

from dataclasses import replace

import pytest

from exclave.authority.charter_parts import RoleName
from exclave.errors import QuorumNotReached
from exclave.ids import PackRoot
from exclave.standing.admission import EraNotOpen, NobodyCounts
from exclave.standing.phases import Phase
from tests.support.polity import Vantage, hash_of, make_polity, person


def test_warrant_waits_and_is_released() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    warrant = vault.hear(polity.warrant(), "h1")
    assert vault.phase(warrant) is Phase.INCOMPLETE
    vault.hear(vault.standing.items[warrant].value, "h2")
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(9.999)
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(0.001)
    assert vault.phase(warrant) is Phase.EFFECTIVE
    vault.pass_time(1000)
    assert vault.phase(warrant) is Phase.EXPIRED


def test_unseen_statement_waits_dark() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seen=False)
    warrant = vault.hear(polity.warrant(), "h1", "h2")
    vault.pass_time(29)
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


def test_witnesses_late_count_from_then() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seen=False)
    warrant = vault.hear(polity.warrant(), "h1", "h2")
    vault.pass_time(5)
    vault.witness()
    vault.pass_time(9)
    assert vault.phase(warrant) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


@pytest.mark.parametrize("before", [True, False])
def test_veto_kills_and_override_revives(before: bool) -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    value = polity.warrant()
    veto = polity.veto(hash_of(value))
    if before:
        vault.hear(veto, "h4")
    warrant = vault.hear(value, "h1", "h2")
    if not before:
        vault.hear(veto, "h4")
    assert vault.phase(warrant) is Phase.VETOED
    vault.pass_time(500)
    assert vault.phase(warrant) is Phase.VETOED
    vault.hear(value, "h3")
    assert vault.phase(warrant) is Phase.OVERRIDING
    vault.hear(polity.veto(warrant), "h4")
    vault.pass_time(19)
    assert vault.phase(warrant) is Phase.OVERRIDING
    vault.pass_time(1)
    assert vault.phase(warrant) is Phase.EFFECTIVE


def test_lockdown_stops_home_and_exile_reads() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    released, waiting = (vault.hear(polity.warrant(), "h1", "h2") for _ in range(2))
    change = vault.hear(polity.next(), "h1", "h2")
    vault.pass_time(5)
    lockdown = vault.hear(polity.lockdown(), "a3")
    assert vault.standing.locked
    assert {vault.phase(item) for item in (released, waiting, change)} == {Phase.STOPPED}
    with pytest.raises(NobodyCounts, match="somebody who may"):
        vault.hear(polity.warrant(), "h1", "h2", "h3")
    with pytest.raises(EraNotOpen):
        vault.hear(polity.next(), "h1", "h2")
    with pytest.raises(NobodyCounts):
        vault.hear(polity.veto(released), "h1")
    warrant = vault.hear(polity.warrant(), "a1", "a2")
    vault.pass_time(10)
    assert vault.phase(warrant) is Phase.EFFECTIVE
    unlock = vault.hear(polity.unlock(lockdown), "a1", "a2")
    vault.pass_time(10)
    assert vault.phase(unlock) is Phase.EFFECTIVE
    assert not vault.standing.locked
    assert vault.phase(warrant) is Phase.EFFECTIVE
    assert vault.phase(vault.hear(polity.warrant(), "h1", "h2")) is Phase.WAITING


def test_exile_opens_an_era() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    with pytest.raises(EraNotOpen, match="expected a lockdown"):
        vault.hear(polity.era(), "a1", "a2")
    vault.hear(polity.lockdown(), "h1")
    with pytest.raises(QuorumNotReached):
        vault.hear(polity.era(), "h1", "h2", "a1")
    second = vault.hear(polity.era(govern=RoleName.EXILE_2), "b1", "b2")
    first = vault.hear(polity.era(), "a1", "a2")
    assert vault.phase(second) is Phase.SUPERSEDED
    vault.pass_time(10)
    assert vault.standing.in_force == first


def test_changed_exile_rosters_settle_slowly() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    rosters = dict(polity.first.rosters)
    rosters[RoleName.EXILE_1] = replace(
        rosters[RoleName.EXILE_1], members=tuple(person(n) for n in ("b1", "b2", "b3"))
    )
    rosters[RoleName.EXILE_2] = replace(
        rosters[RoleName.EXILE_2], members=tuple(person(n) for n in ("a1", "a2", "a3"))
    )
    vault.hear(polity.next(rosters=tuple(rosters.items())), "h1", "h2")
    vault.pass_time(10)
    assert vault.standing.charter.version == 2
    vault.pass_time(99)
    early = vault.standing
    vault.hear(polity.lockdown(), "a1")
    assert vault.standing.exile == polity.first.statement_hash
    vault.standing = early
    vault.pass_time(1)
    vault.hear(polity.lockdown(), "a1")
    assert vault.standing.exile == vault.standing.in_force


def test_conflict_freezes_until_a_new_era() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    one = vault.hear(polity.next(), "h1", "h2")
    warrant = vault.hear(polity.warrant(), "h1", "h2")
    two = vault.hear(polity.next(), "h1", "h2")
    assert vault.standing.conflicts[0].second == two
    assert {vault.phase(one), vault.phase(warrant)} == {Phase.STOPPED}
    assert vault.phase(vault.hear(polity.warrant(), "h1", "h2")) is Phase.INCOMPLETE
    with pytest.raises(EraNotOpen):
        vault.hear(polity.next(), "h1", "h2")
    vault.hear(polity.lockdown(), "h1")
    vault.hear(polity.era(), "a1", "a2")
    vault.pass_time(10)
    assert vault.standing.charter.era == 2
    assert vault.standing.frozen_era is None


def test_nobody_vetoes_his_own_removal() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    rosters = {
        name: replace(role, members=tuple(p for p in role.members if p != person("h4")))
        for name, role in polity.first.rosters
    }
    change = vault.hear(polity.next(rosters=tuple(rosters.items())), "h1", "h2")
    vault.hear(polity.veto(change), "h4")
    assert vault.phase(change) is Phase.WAITING
    vault.hear(polity.veto(change), "h3")
    assert vault.phase(change) is Phase.VETOED


def test_release_needs_time_and_the_lift_of_nothing() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    release = vault.hear(polity.release(PackRoot(b"\x01" * 32)), "h1", "h2")
    vault.pass_time(10)
    assert vault.phase(release) is Phase.EFFECTIVE
