"""What strengthening is: an order on agreements, field by field (spec/agreements.md 3)."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from exclave.authority.agreement import (
    Act,
    AgreedSeat,
    Agreement,
    DelayFloors,
    WitnessDuties,
    weakened,
)
from exclave.authority.charter_parts import Address
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.orders import order_payload, parse_order
from exclave.ids import Seat
from tests.support.polity import START, host_polity

FIRST = host_polity().agreement()
SMALL = st.integers(0, 3)
ADDRESSES = st.sets(st.sampled_from("12")).map(
    lambda ends: tuple(Address(data=f"10.0.0.1:{end}", public=f"10.0.0.1:{end}") for end in ends)
)
SEATS = st.dictionaries(st.integers(1, 3), ADDRESSES, min_size=1).map(
    lambda found: tuple(
        AgreedSeat(seat=Seat(number), addresses=found[number]) for number in sorted(found)
    )
)
LOGS = st.sets(st.integers(1, 3)).map(lambda found: tuple(map(Seat, sorted(found))))


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    """Small ones, so that many pairs are comparable."""
    until = draw(st.none() | st.integers(4, 6))
    return replace(
        FIRST,
        seats=draw(SEATS),
        capacity=1 + draw(SMALL),
        retention=1 + draw(SMALL),
        delays=DelayFloors(
            govern=draw(SMALL), read=draw(SMALL), release=draw(SMALL), exile_change=draw(SMALL)
        ),
        witness=WitnessDuties(seats=draw(LOGS), freshness=1 + draw(SMALL)),
        maintenance=tuple(sorted(draw(st.sets(st.sampled_from(list(Act)[:3]))))),
        notice=draw(SMALL),
        since=START + timedelta(days=draw(SMALL)),
        until=None if until is None else START + timedelta(days=until),
    )


def stronger(agreement: Agreement) -> list[Agreement]:
    """The next ones up, one field each, and the same with both free fields changed."""
    until = agreement.until
    more = (
        {"capacity": agreement.capacity + 1},
        {"retention": agreement.retention + 1},
        {"delays": replace(agreement.delays, read=agreement.delays.read + 1)},
        {"delays": replace(agreement.delays, exile_change=agreement.delays.exile_change + 1)},
        {"witness": replace(agreement.witness, seats=(Seat(1), Seat(2), Seat(3)))},
        {"witness": replace(agreement.witness, freshness=max(1, agreement.witness.freshness - 1))},
        {"maintenance": agreement.maintenance[1:]},
        {"notice": agreement.notice + 1},
        {"since": agreement.since - timedelta(days=1)},
        {"until": None if until is None else until + timedelta(days=1)},
        {"seats": (*agreement.seats, AgreedSeat(seat=Seat(9), addresses=()))},
        {"treaty": b"\x0a" * 32},
    )
    return [replace(agreement, **changes) for changes in more]  # type: ignore[arg-type]


@given(agreements())
def test_what_gives_more_weakens_nothing(agreement: Agreement) -> None:
    """And where it differs in what is ordered, the way back weakens exactly that field."""
    assert weakened(agreement, agreement) == ()
    for better in stronger(agreement):
        assert weakened(agreement, better) == ()
        assert len(weakened(better, agreement)) <= 1


@given(agreements(), agreements(), agreements())
def test_it_is_an_order(one: Agreement, two: Agreement, three: Agreement) -> None:
    """Many small amendments weaken no more than one; two that weaken nothing are the same."""
    if not weakened(one, two) and not weakened(two, three):
        assert weakened(one, three) == ()
    if not weakened(one, two) and not weakened(two, one):
        for name in ("capacity", "retention", "delays", "maintenance", "notice", "since", "until"):
            assert getattr(one, name) == getattr(two, name)
        assert one.witness == two.witness
        assert one.numbers == two.numbers


@given(agreements())
def test_written_and_read_again(agreement: Agreement) -> None:
    """The same bytes."""
    payload = order_payload(agreement)
    read = parse_order(Envelope(payload=payload, kind=Kind.AGREEMENT))
    assert read == agreement
    assert order_payload(read) == payload
