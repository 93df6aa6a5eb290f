"""What stands, laid out for people: with hashes, who signed, how long still, and what differs."""

from __future__ import annotations

from datetime import timedelta

from exclave.authority.envelope import Kind
from exclave.cli.words.standing import listing_json, standing_lines
from exclave.ids import Seat
from exclave.standing.listing import differences, listed
from exclave.standing.phases import Phase
from tests.support.polity import START, Vantage, make_polity, person


def test_open_statements_come_with_hash_signers_and_seconds() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    begun = vault.hear(polity.warrant(), "h1")
    waiting = vault.hear(polity.lift(b"\x01" * 32), "h1", "h2")  # type: ignore[arg-type]
    charter = vault.hear(polity.next(), "h2", "h3")
    vetoed = vault.hear(polity.warrant(), "h2", "h3")
    vault.hear(polity.veto(vetoed), "h4")
    vault.pass_time(4)
    one = listed(vault.standing)
    assert [(item.statement, item.kind, item.phase, item.seconds) for item in one.open] == [
        (begun, Kind.WARRANT, Phase.INCOMPLETE, None),
        (waiting, Kind.LIFT, Phase.WAITING, 6),
        (charter, Kind.CHARTER, Phase.WAITING, 6),
        (vetoed, Kind.WARRANT, Phase.VETOED, None),
    ]
    assert one.open[1].signed == tuple(sorted((person("h1"), person("h2"))))
    vault.pass_time(6)
    names = [item.statement for item in listed(vault.standing).open]
    assert names == [begun, vetoed], "what took effect is no longer open"
    assert listed(vault.standing).charter.version == 2


def test_a_released_warrant_is_open_until_it_ends() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    vault.hear(polity.warrant(), "h1", "h2")
    vault.pass_time(10)
    (item,) = listed(vault.standing).open
    assert item.phase is Phase.EFFECTIVE
    vault.pass_time(1000)
    assert listed(vault.standing).open == ()


def test_orders_that_stand_and_no_others() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    lifted, hold = (vault.hear(polity.hold(), "h1") for _ in range(2))
    never, declared = (vault.hear(polity.compromise(START, "home"), "h1") for _ in range(2))
    extend = vault.hear(polity.extend(START + timedelta(days=9)), "h2")
    vault.hear(polity.lift(lifted), "h1", "h2")
    vault.hear(polity.narrow(never, None), "h1", "h2")
    vault.pass_time(10)
    lockdown = vault.hear(polity.lockdown(), "a1")
    one = listed(vault.standing)
    assert [item.statement for item in one.given] == [hold, declared, extend, lockdown]
    assert one.locked
    lines = list(standing_lines({Seat(1): one}, (), START))
    assert lines[0] == ("seat 1: charter 1.1 in force, LOCKED DOWN: exile of charter 1.1 acts")
    assert f"hold {hold.hex()}" in lines
    assert f"lockdown {lockdown.hex()}" in lines
    assert listing_json(one)["locked"] is True


def test_what_vaults_do_not_agree_on_is_named_with_the_seats() -> None:
    polity = make_polity()
    here, there, third = (Vantage(polity.first) for _ in range(3))
    warrant, hold, lockdown = polity.warrant(), polity.hold(), polity.lockdown()
    for vault in (here, there, third):
        vault.hear(hold, "h1")
    assert differences({Seat(1): listed(here.standing), Seat(2): listed(there.standing)}) == ()
    name = here.hear(warrant, "h1", "h2")
    third.hear(warrant, "h1", "h2")
    locked = there.hear(lockdown, "a1")
    found = differences(
        {
            Seat(1): listed(here.standing),
            Seat(2): listed(there.standing),
            Seat(3): listed(third.standing),
        }
    )
    assert found == (
        f"warrant {name.hex()}: waiting at seats 1, 3; not there at seat 2",
        f"lockdown {locked.hex()}: does not stand at seats 1, 3; stands at seat 2",
    )


def test_a_conflict_shows_with_both_charters() -> None:
    polity = make_polity()
    vault = Vantage(polity.first)
    first, second = polity.next(), polity.next()
    vault.hear(first, "h1", "h2")
    vault.hear(second, "h1", "h2")
    one = listed(vault.standing)
    assert one.frozen
    (line,) = [x for x in standing_lines({Seat(1): one}, (), START) if x.startswith("CONFLICT")]
    assert first.statement_hash.hex() in line
    assert second.statement_hash.hex() in line
