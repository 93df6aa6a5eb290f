"""Agreements as the machine follows them: who makes one, which counts, why none is in force."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exclave.authority.agreement import (
    Act,
    AgreedSeat,
    AgreementNotNext,
    AgreementUnfit,
    AgreementWeakened,
    DelayFloors,
)
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.charter_parts import RoleName
from exclave.errors import ExclaveError
from exclave.ids import MissionId, Seat
from exclave.standing.admission import PLACES, NobodyCounts, PlacesTaken
from exclave.standing.agreed import (
    AgreementExpired,
    AgreementIncomplete,
    AgreementMissing,
    AgreementNotBegun,
    AgreementTerminated,
    AgreementUnknown,
    AgreementUnmet,
    Asking,
    in_effect,
    require_agreement,
)
from exclave.standing.phases import Phase
from tests.support.polity import START, Polity, Vantage, hash_of, host_key, host_polity

SEAT = Seat(1)
NOW = START + timedelta(days=1)


def fresh(**settings: object) -> tuple[Polity, Vantage]:
    """A mission whose charter pins the receiving states' keys, and one vault's log."""
    polity = host_polity(**settings)
    return polity, Vantage(polity.first)


def cause(vault: Vantage, **changes: object) -> str | None:
    """Why no deposits are taken at seat 1; None when they are."""
    asking = replace(Asking(expiry=NOW), **changes)  # type: ignore[arg-type]
    try:
        require_agreement(vault.standing, SEAT, asking)
    except ExclaveError as error:
        return type(error).__name__
    return None


def test_both_states_sign_and_nothing_waits() -> None:
    """One signature after the other, in any order; one side alone is nothing."""
    polity, vault = fresh()
    assert cause(vault) == AgreementMissing.__name__
    agreement = polity.agreement()
    name = vault.hear(agreement, "host")
    assert cause(vault) == AgreementIncomplete.__name__
    vault.hear(agreement, "h1")
    assert vault.phase(name) is Phase.INCOMPLETE
    vault.hear(agreement, "h2")
    assert vault.phase(name) is Phase.EFFECTIVE
    assert cause(vault) is None
    alone = polity.agreement(seats=(AgreedSeat(seat=Seat(2), addresses=()),), key=host_key("host2"))
    alone = replace(alone, state=polity.first.seats[1].state)
    name = vault.hear(alone, "h1", "h2", "h3", "h4")
    assert vault.phase(name) is Phase.INCOMPLETE
    vault.hear(alone, "host2")
    assert vault.phase(name) is Phase.EFFECTIVE


def test_the_key_is_the_one_that_the_charter_pins() -> None:
    """Another key, another state, a seat that is none: not taken."""
    polity, vault = fresh()
    bad = (
        polity.agreement(key=host_key("host2")),
        polity.agreement(state="ZZ"),
        polity.agreement(seats=(AgreedSeat(seat=Seat(99), addresses=()),)),
        polity.agreement(witness=replace(polity.agreement().witness, seats=(Seat(98),))),
    )
    for agreement in bad:
        with pytest.raises(AgreementUnfit):
            vault.hear(agreement, "host", "host2", "h1", "h2")
    plain = Vantage(replace(polity.first, seats=tuple(
        replace(seat, agreement=None) for seat in polity.first.seats
    )))  # fmt: skip
    other = Polity(first=plain.charter)
    with pytest.raises(AgreementUnfit, match="since it pins none"):
        plain.hear(other.agreement(), "host", "h1", "h2")


def test_of_another_mission() -> None:
    """It says so itself."""
    polity, vault = fresh()
    head = replace(polity.head(), mission=MissionId(b"\x05" * 32))
    with pytest.raises(MissionMismatch):
        vault.hear(polity.agreement(head=head), "host", "h1", "h2")


def test_signed_by_nobody_who_counts() -> None:
    """Not logged."""
    polity, vault = fresh()
    with pytest.raises(NobodyCounts):
        vault.hear(polity.agreement(), "host2", "a stranger")


def test_a_new_version_only_strengthens() -> None:
    """And takes the place of the one before it, once both have signed."""
    polity, vault = fresh()
    first = polity.agreement()
    vault.hear(first, "host", "h1", "h2")
    weaker = polity.agreement(first, capacity=first.capacity - 1)
    with pytest.raises(AgreementWeakened, match="capacity"):
        vault.hear(weaker, "host", "h1", "h2")
    second = polity.agreement(first, capacity=2 * first.capacity)
    rival = polity.agreement(first, notice=1000)
    for value in (second, rival):
        vault.hear(value, "host", "h1")
    vault.hear(second, "h2")
    assert [vault.phase(hash_of(item)) for item in (first, second, rival)] == [
        Phase.SUPERSEDED,
        Phase.EFFECTIVE,
        Phase.SUPERSEDED,
    ]
    found = in_effect(vault.standing, SEAT)
    assert found is not None
    assert found.statement == hash_of(second)
    with pytest.raises(AgreementNotNext, match="another one has followed"):
        vault.hear(polity.agreement(first), "host", "h1", "h2")
    skipped = replace(polity.agreement(second), version=7)
    with pytest.raises(AgreementNotNext, match="version 3"):
        vault.hear(skipped, "host", "h1", "h2")


def test_what_is_not_here_yet_may_come() -> None:
    """A version whose predecessor is only half signed; a second first one."""
    polity, vault = fresh()
    first = polity.agreement()
    with pytest.raises(AgreementUnknown):
        vault.hear(polity.agreement(first), "host", "h1", "h2")
    vault.hear(first, "host", "h1")
    with pytest.raises(AgreementUnknown):
        vault.hear(polity.agreement(first), "host", "h1", "h2")
    vault.hear(first, "h2")
    with pytest.raises(AgreementUnknown, match="has another one in effect"):
        vault.hear(polity.agreement(), "host", "h1", "h2")


def test_terminated_by_the_sending_state_after_its_wait_and_notice() -> None:
    """One official can stop that until then; nothing follows a terminated one but a new first."""
    polity, vault = fresh(delays={RoleName.GOVERN: 10})
    first = polity.agreement()
    name = vault.hear(first, "host", "h1", "h2")
    end = vault.hear(polity.terminate(name), "h1", "h2")
    vault.hear(polity.veto(end), "h3")
    assert vault.phase(end) is Phase.VETOED
    end = vault.hear(polity.terminate(name), "h1", "h2")
    vault.pass_time(9)
    assert vault.phase(end) is Phase.WAITING
    vault.pass_time(1)
    assert vault.phase(end) is Phase.EFFECTIVE
    vault.pass_time(first.notice - 1)
    assert cause(vault) is None
    with pytest.raises(AgreementNotNext, match="terminated"):
        vault.hear(polity.agreement(first), "host", "h1", "h2")
    vault.pass_time(1)
    assert cause(vault) == AgreementTerminated.__name__
    vault.hear(polity.agreement(capacity=1), "host", "h1", "h2")
    assert cause(vault) is None


def test_terminated_by_the_host_at_once_and_whatever_stands_at_home() -> None:
    """Its notice runs all the same; nobody at home is asked, nor can anybody veto it."""
    polity, vault = fresh()
    first = polity.agreement()
    vault.hear(first, "host", "h1", "h2")
    second = polity.agreement(first, notice=80)
    vault.hear(second, "host", "h1", "h2")
    vault.hear(polity.lockdown(), "h1")
    end = vault.hear(polity.terminate(hash_of(first)), "host")
    assert vault.phase(end) is Phase.EFFECTIVE
    vault.pass_time(79)
    assert cause(vault) is None
    vault.pass_time(1)
    assert cause(vault) == AgreementTerminated.__name__


def test_another_host_terminates_nothing() -> None:
    """Neither one of another seat, nor one that names what is not here."""
    polity, vault = fresh()
    name = vault.hear(polity.agreement(), "host", "h1", "h2")
    with pytest.raises(NobodyCounts):
        vault.hear(polity.terminate(name), "host2")
    with pytest.raises(AgreementUnknown):
        vault.hear(polity.terminate(hash_of(polity.agreement())), "host")


def test_under_a_lockdown_exile_signs() -> None:
    """Home cannot."""
    polity, vault = fresh()
    vault.hear(polity.lockdown(), "h1")
    agreement = polity.agreement()
    name = vault.hear(agreement, "host", "h1", "h2")
    assert vault.phase(name) is Phase.INCOMPLETE
    vault.hear(agreement, "a1", "a2")
    assert vault.phase(name) is Phase.EFFECTIVE


def test_a_veto_stops_what_only_one_state_signed() -> None:
    """What both signed stands."""
    polity, vault = fresh()
    agreement = polity.agreement()
    name = vault.hear(agreement, "host")
    vault.hear(polity.veto(name), "h1")
    vault.hear(agreement, "h1", "h2")
    assert vault.phase(name) is Phase.VETOED
    signed = vault.hear(polity.agreement(), "host", "h1", "h2")
    vault.hear(polity.veto(signed), "h1")
    assert vault.phase(signed) is Phase.EFFECTIVE


def test_its_time() -> None:
    """In expiry time; what ran out is prolonged."""
    polity, vault = fresh()
    first = polity.agreement()
    vault.hear(first, "host", "h1", "h2")
    assert cause(vault, expiry=START - timedelta(seconds=1)) == AgreementNotBegun.__name__
    assert cause(vault, expiry=START + timedelta(days=364)) is None
    assert cause(vault, expiry=START + timedelta(days=365)) == AgreementExpired.__name__
    vault.hear(polity.agreement(first, until=None), "host", "h1", "h2")
    assert cause(vault, expiry=START + timedelta(days=9999)) is None


def test_the_charter_keeps_what_was_agreed() -> None:
    """Its retention and its waits; and the key is the one that the folder names."""
    floors = DelayFloors(govern=0, read=0, release=0, exile_change=101)
    for changes in ({"retention": 36_500}, {"delays": floors}):
        polity, vault = fresh(exile_change=100)
        vault.hear(polity.agreement(**changes), "host", "h1", "h2")
        assert cause(vault) == AgreementUnmet.__name__
    polity, vault = fresh()
    vault.hear(polity.agreement(), "host", "h1", "h2")
    assert cause(vault, pinned=host_key().key_id) is None
    assert cause(vault, pinned=host_key("host2").key_id) == AgreementUnmet.__name__


def test_a_host_has_places_as_a_person_has() -> None:
    """Else its key could fill the log."""
    polity, vault = fresh()
    for _ in range(PLACES):
        vault.hear(polity.agreement(), "host")
    with pytest.raises(PlacesTaken):
        vault.hear(polity.agreement(), "host")
    vault.hear(polity.agreement(), "h1")


def test_a_host_alone_weakens_nothing() -> None:
    """Nor does the sending state: a version that gives less is not taken from both either."""
    polity, vault = fresh()
    first = polity.agreement()
    vault.hear(first, "host", "h1", "h2")
    for weaker in (
        polity.agreement(first, notice=0),
        polity.agreement(first, maintenance=(Act.ENTER, Act.MOVE, Act.POWER)),
        polity.agreement(first, until=START + timedelta(days=1)),
    ):
        for names in (["host"], ["h1", "h2"], ["host", "h1", "h2"]):
            with pytest.raises(AgreementWeakened):
                vault.hear(weaker, *names)
