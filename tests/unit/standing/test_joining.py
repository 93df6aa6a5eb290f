"""A seat that joined: what took effect before it was there is in effect at once (10)."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Role, RoleName
from exclave.errors import QuorumNotReached
from exclave.ids import Seat
from exclave.signer.parties import new_vault_key
from exclave.standing.admission import PLACES, PlacesTaken, SlotTaken
from exclave.standing.effects import held
from exclave.standing.phases import Phase
from exclave.vault.survey.survey import _in_force
from tests.support.polity import Polity, Vantage, make_polity, person

NEW = Seat(9)


def more_seats(charter: Charter) -> dict[str, Any]:
    """The charter's seats and the new one, as changes."""
    new = replace(charter.seats[0], seat=NEW, vault="new", **new_keys())
    return {
        "seats": (*charter.seats, new),
        "dispersal": replace(charter.dispersal, n=charter.dispersal.n + 1),
        "witness": replace(charter.witness, q=charter.dispersal.n),
    }


def new_keys() -> dict[str, Any]:
    """Keys that no other party of the charter has."""
    other = new_vault_key("new", os.urandom)
    log, seat, first, second = other.public
    return {"log_key": log, "seat_key": seat, "witness_keys": (first, second), "identity": b"new"}


def grown(polity: Polity, before: Charter | None = None, **changes: Any) -> Charter:
    """The next charter, with the new seat."""
    return polity.next(before, **more_seats(before or polity.first), **changes)


def without(charter: Charter, *gone: str) -> tuple[tuple[RoleName, Role], ...]:
    """Rosters without some persons."""
    left = {person(name) for name in gone}
    return tuple(
        (name, replace(role, members=tuple(m for m in role.members if m not in left)))
        for name, role in charter.rosters
    )


def test_the_history_is_in_effect_at_once_and_what_follows_waits() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seen=False, seat=NEW)
    assert vault.standing.joining
    hold = vault.hear(polity.hold(), "h4")
    second = polity.next()
    vault.hear(second, "h1", "h2")
    assert vault.standing.charter == second
    vault.hear(polity.lift(hold), "h1", "h2")
    assert held(vault.standing) == frozenset()
    third = grown(polity, second)
    vault.hear(third, "h1", "h2")
    assert vault.standing.charter == third
    assert vault.standing.seated_by == third.statement_hash
    fourth = vault.hear(polity.next(third), "h1", "h2")
    assert vault.phase(fourth) is Phase.WAITING
    vault.pass_time(30)
    assert vault.phase(fourth) is Phase.EFFECTIVE
    assert vault.standing.seated_by == third.statement_hash


def test_the_history_asks_for_the_same_signatures() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seat=NEW)
    with pytest.raises(QuorumNotReached):
        vault.hear(grown(polity), "h1")
    warrant = vault.hear(polity.lift(vault.hear(polity.hold(), "h1")), "h1")
    assert vault.phase(warrant) is Phase.INCOMPLETE


def test_a_seat_of_the_beginning_waits_for_every_charter() -> None:
    polity = make_polity()
    for seat in (None, polity.first.seats[0].seat):
        vault = Vantage(polity.first, seat=seat)
        charter = vault.hear(grown(polity), "h1", "h2")
        assert vault.phase(charter) is Phase.WAITING


def test_a_lockdown_of_somebody_who_left_with_the_era_stands() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seat=NEW)
    lockdown = vault.hear(polity.lockdown(), "h4")
    era = polity.era(**more_seats(polity.first))
    era = replace(era, rosters=without(era, "h4"))
    vault.hear(era, "a1", "a2")
    assert vault.standing.charter == era
    assert vault.standing.open_lockdowns == {lockdown}
    assert vault.standing.exile == era.statement_hash


def test_exile_of_the_charter_that_has_the_seat_settles_as_elsewhere() -> None:
    polity = make_polity(exile=(5, 3))
    vault = Vantage(polity.first, seat=NEW)
    second = polity.next(rosters=without(polity.first, "a5"))
    third = grown(polity, second, rosters=without(polity.first, "a4", "a5"))
    vault.hear(second, "h1", "h2")
    vault.hear(third, "h1", "h2")
    vault.hear(polity.lockdown(), "b1")
    assert vault.standing.exile == second.statement_hash
    later = Vantage(polity.first, seat=NEW)
    later.hear(second, "h1", "h2")
    later.hear(third, "h1", "h2")
    later.pass_time(100)
    later.hear(polity.lockdown(), "b1")
    assert later.standing.exile == third.statement_hash


def test_what_died_before_it_joined_does_not_freeze_it() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seat=NEW)
    vault.hear(grown(polity), "h1", "h2")
    with pytest.raises(SlotTaken):
        vault.hear(polity.next(), "h1", "h2")
    assert vault.standing.frozen_era is None


def test_the_first_exile_roster_still_takes_an_era_from_the_second() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seat=NEW)
    vault.hear(polity.lockdown(), "a1")
    second = polity.era(**more_seats(polity.first), govern=RoleName.EXILE_2)
    vault.hear(second, "b1", "b2")
    first = polity.era(**more_seats(polity.first))
    vault.hear(first, "a1", "a2")
    assert vault.phase(second.statement_hash) is Phase.SUPERSEDED
    assert vault.phase(first.statement_hash) is Phase.WAITING


def test_orders_of_the_history_take_no_places() -> None:
    polity = make_polity()
    vault = Vantage(polity.first, seat=NEW)
    for _ in range(PLACES + 1):
        vault.hear(polity.hold(), "h1")
    vault.hear(grown(polity), "h2", "h3")
    for _ in range(PLACES):
        vault.hear(polity.hold(), "h1")
    with pytest.raises(PlacesTaken):
        vault.hear(polity.hold(), "h1")


def test_a_seat_is_no_witness_of_what_seated_it() -> None:
    """Home enrols its own vault by a charter that waits elsewhere: readers do not go by it (P6)."""
    polity = make_polity()
    waiting = grown(polity)
    old, new = Vantage(polity.first), Vantage(polity.first, seat=NEW)
    for vault in (old, new):
        vault.hear(waiting, "h1", "h2")
    chain: Any = SimpleNamespace(newest=waiting, charters=(polity.first, waiting))
    views: list[Any] = [SimpleNamespace(standing=vault.standing) for vault in (old, new)]
    assert new.standing.charter == waiting
    assert _in_force(chain, views) == polity.first
    assert _in_force(chain, views[1:]) == waiting, "nobody else can be read"
    old.pass_time(10)
    views[0] = SimpleNamespace(standing=old.standing)
    assert _in_force(chain, views) == waiting
