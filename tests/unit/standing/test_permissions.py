"""Permission for the host: who gives it, for what, and what a host declares by itself."""

from datetime import timedelta

import pytest

from exclave.authority.agreement import Act
from exclave.authority.fields import FieldInvalid
from exclave.cli.words.standing import listing_json, standing_lines
from exclave.ids import Seat
from exclave.standing.admission import NobodyCounts
from exclave.standing.agreed import ActUnlisted, AgreementUnknown, declared
from exclave.standing.listing import listed
from exclave.standing.phases import Phase
from tests.support.polity import START, Polity, Vantage, host_polity

DAY = timedelta(days=1)


def fresh() -> tuple[Polity, Vantage]:
    """An agreement about seat 1 that lists enter and power."""
    polity = host_polity()
    vault = Vantage(polity.first)
    vault.hear(polity.agreement(), "host", "h1", "h2")
    return polity, vault


def test_govern_permits_what_the_agreement_lists() -> None:
    """At once, with enough signatures; until then one can stop it."""
    polity, vault = fresh()
    grant = polity.grant()
    name = vault.hear(grant, "h1")
    assert vault.phase(name) is Phase.INCOMPLETE
    vault.hear(grant, "h2")
    assert vault.phase(name) is Phase.EFFECTIVE
    stopped = vault.hear(polity.grant(), "h1")
    vault.hear(polity.veto(stopped), "h3")
    assert vault.phase(stopped) is Phase.VETOED


def test_what_no_agreement_lists_is_not_permitted() -> None:
    """Nor anything at a seat without one."""
    polity, vault = fresh()
    with pytest.raises(ActUnlisted, match="got move"):
        vault.hear(polity.grant(Act.MOVE), "h1", "h2")
    with pytest.raises(AgreementUnknown):
        vault.hear(polity.grant(seat=2), "h1", "h2")


def test_the_host_permits_itself_nothing() -> None:
    """Neither its state's key nor its log key is a signature under a grant."""
    polity, vault = fresh()
    for names in (["host"], ["log1"], ["host", "log1"]):
        with pytest.raises(NobodyCounts):
            vault.hear(polity.grant(), *names)


def test_under_a_lockdown_exile_permits() -> None:
    """Home does not."""
    polity, vault = fresh()
    vault.hear(polity.lockdown(), "h1")
    with pytest.raises(NobodyCounts):
        vault.hear(polity.grant(), "h1", "h2")
    name = vault.hear(polity.grant(), "b1", "b2")
    assert vault.phase(name) is Phase.EFFECTIVE


def test_a_host_declares_by_its_own_log_key() -> None:
    """Nobody else for it, and no official; whatever stands at home."""
    polity, vault = fresh()
    for names in (["log2"], ["host"]):
        with pytest.raises(NobodyCounts):
            vault.hear(polity.declare(), *names)
    at_home = vault.hear(polity.declare(), "h1", "h2", "h3", "h4")
    assert vault.phase(at_home) is Phase.INCOMPLETE
    assert not declared(vault.standing, Seat(1), START, START)
    vault.hear(polity.lockdown(), "h1")
    name = vault.hear(polity.declare(), "log1")
    assert vault.phase(name) is Phase.EFFECTIVE
    assert declared(vault.standing, Seat(1), START - DAY, START)
    assert declared(vault.standing, Seat(1), START + DAY, START + 2 * DAY)
    assert not declared(vault.standing, Seat(1), START + 2 * DAY, START + 3 * DAY)
    assert not declared(vault.standing, Seat(2), START, START)


def test_both_have_an_end_that_is_near() -> None:
    """31 days, and 7."""
    polity = host_polity()
    polity.grant(days=31)
    polity.declare(days=7)
    for build in (lambda: polity.grant(days=32), lambda: polity.declare(days=8),
                  lambda: polity.grant(days=0)):  # fmt: skip
        with pytest.raises(FieldInvalid):
            build()


def test_what_is_permitted_is_listed_until_it_is_over() -> None:
    """With the agreement, for people and for programs."""
    polity, vault = fresh()
    vault.hear(polity.grant(), "h1", "h2")
    vault.hear(polity.declare(days=2), "log1")
    one = listed(vault.standing)
    lines = list(standing_lines({Seat(1): one}, (), START))
    assert sum("enter at seat 1" in line for line in lines) == 1
    assert sum("restart at seat 1" in line for line in lines) == 1
    assert sum("in effect (seat 1)" in line for line in lines) == 1
    later = list(standing_lines({Seat(1): one}, (), START + 1.5 * DAY))
    assert not any("enter at" in line for line in later)
    assert any("restart at" in line for line in later)
    value = listing_json(one)
    assert [item["kind"] for item in value["permissions"]] == ["grant", "declare"]  # type: ignore[attr-defined]
