"""P6: tightening is easy, loosening is slow.

The attacker's powers: he holds a whole home threshold (h1 and h2 sign whatever he wants, one
signature at a time or together), one saboteur more at home (h4) and one in the first exile roster
(a3). He hands in whatever he likes at whatever vault and moment, in any order, and nobody but the
vault's own table stands in his way. He does not have a threshold of an exile roster, and h3, a1,
a2, b1, b2 and b3 are not his.

What defends is the table of `exclave.standing`; `tests/simulator/` plays the same attacker against
seven vaults at once. Positive control: what he tries takes effect when nobody says no, after its
public delay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from exclave.authority.charter_parts import RoleName
from exclave.errors import AuthorityError
from exclave.ids import PackRoot, StatementHash
from exclave.standing.phases import Phase
from exclave.standing.values import Value
from tests.support.polity import Polity, Vantage, make_polity, person

Attack = Callable[[Polity, Vantage], Value]


def seize(polity: Polity, vault: Vantage) -> Value:
    """A charter in which nobody but the attacker has a say at home."""
    mine = tuple(sorted(person(name) for name in ("h1", "h2")))
    rosters = dict(polity.first.rosters)
    for name in (RoleName.ALARM, RoleName.READ, RoleName.GOVERN):
        least = 1 if name is RoleName.ALARM else 2
        rosters[name] = replace(rosters[name], members=mine, threshold=least)
    return polity.next(rosters=tuple(rosters.items()))


def hurry(polity: Polity, vault: Vantage) -> Value:
    """A charter without delays."""
    rosters = {name: replace(role, delay=0) for name, role in polity.first.rosters}
    rosters[RoleName.EXILE_2] = replace(rosters[RoleName.EXILE_2], delay=1)
    return polity.next(rosters=tuple(rosters.items()))


def read(polity: Polity, vault: Vantage) -> Value:
    return polity.warrant()


def sweep(polity: Polity, vault: Vantage) -> Value:
    return polity.release(PackRoot(b"\x01" * 32))


ATTACKS: tuple[Attack, ...] = (seize, hurry, read, sweep)


def attacked(attack: Attack) -> tuple[Polity, Vantage, StatementHash]:
    polity = make_polity()
    vault = Vantage(polity.first)
    return polity, vault, vault.hear(attack(polity, vault), "h1", "h2")


@pytest.mark.parametrize("attack", ATTACKS)
def test_control_it_takes_effect_after_its_public_delay(attack: Attack) -> None:
    _, vault, name = attacked(attack)
    vault.pass_time(9.999)
    assert vault.phase(name) is Phase.WAITING
    vault.pass_time(0.001)
    assert vault.phase(name) is Phase.EFFECTIVE


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("who", ["h3", "a1", "b3"])
def test_one_person_stops_it_until_the_last_moment(attack: Attack, who: str) -> None:
    polity, vault, name = attacked(attack)
    if attack is seize and who == "h3":
        who = "a1"  # nobody vetoes his own removal; h3 locks down instead, as below
    vault.pass_time(9.999)
    vault.hear(polity.veto(name), who)
    vault.pass_time(1000)
    assert vault.standing.items[name].effective is None


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("who", ["h3", "a1", "b3"])
def test_one_person_locks_home_out(attack: Attack, who: str) -> None:
    polity, vault, name = attacked(attack)
    vault.pass_time(9.999)
    vault.hear(polity.lockdown(), who)
    for value in (polity.warrant(), polity.next(), polity.release(PackRoot(b"\x02" * 32))):
        with pytest.raises(AuthorityError):
            vault.hear(value, "h1", "h2", "h4")
    with pytest.raises(AuthorityError):
        vault.hear(polity.era(), "h1", "h2", "h4", "a3")
    vault.pass_time(1000)
    assert vault.standing.items[name].effective is None
    assert vault.standing.in_force == polity.first.statement_hash


def test_he_reads_nothing_that_was_released_before_the_lockdown() -> None:
    polity, vault, name = attacked(read)
    vault.pass_time(10)
    vault.hear(polity.lockdown(), "b1")
    assert vault.phase(name) is Phase.STOPPED


def test_three_of_his_override_a_veto_only_after_twice_the_delay_and_not_a_lockdown() -> None:
    polity, vault, name = attacked(read)
    vault.hear(polity.veto(name), "h3")
    vault.hear(vault.standing.items[name].value, "h4")
    vault.pass_time(19.999)
    assert vault.phase(name) is Phase.OVERRIDING
    vault.hear(polity.lockdown(), "h3")
    vault.pass_time(1000)
    assert vault.phase(name) is Phase.STOPPED


def test_his_charter_does_not_disarm_exile_before_it_has_settled() -> None:
    polity, vault, name = attacked(seize)
    swapped = dict(polity.first.rosters)
    swapped[RoleName.EXILE_1], swapped[RoleName.EXILE_2] = (
        replace(swapped[RoleName.EXILE_1], members=swapped[RoleName.EXILE_2].members),
        replace(swapped[RoleName.EXILE_2], members=swapped[RoleName.EXILE_1].members),
    )
    value = vault.standing.items[name].value
    after = polity.next(value, rosters=tuple(swapped.items()))  # type: ignore[arg-type]
    vault.hear(after, "h1", "h2")
    vault.pass_time(109)
    assert vault.standing.charter.version == 3
    vault.hear(polity.lockdown(), "a1")
    assert vault.standing.exile == polity.first.statement_hash


def test_his_saboteurs_do_not_keep_exile_from_reading() -> None:
    polity, vault, _ = attacked(seize)
    vault.hear(polity.lockdown(), "h3")
    warrant = vault.hear(value := polity.warrant(), "b1", "b2")
    vault.hear(polity.veto(warrant), "a3")
    with pytest.raises(AuthorityError):
        vault.hear(polity.veto(warrant), "h4")
    vault.hear(value, "b3")
    vault.hear(polity.veto(warrant), "a3")
    for _ in range(4):
        vault.pass_time(10)
        vault.hear(polity.lockdown(), "h4")
    assert vault.phase(warrant) is Phase.EFFECTIVE
