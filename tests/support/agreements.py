"""Agreements in the small mission of `tests.support.vault_world`, signed by whom a test says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from exclave.authority.agreement import (
    Act,
    AgreedSeat,
    Agreement,
    DelayFloors,
    Terminate,
    WitnessDuties,
)
from exclave.authority.envelope import Envelope
from exclave.authority.order_parts import OrderHead
from exclave.authority.orders import Order, order_payload
from exclave.ids import Seat, StatementHash
from tests.support.vault_world import START, World

BOTH = (0, 1)
"""Officials of the govern roster, as many as it needs."""


def head(world: World) -> OrderHead:
    """What every order has."""
    return OrderHead(
        mission=world.mission,
        charter=StatementHash(world.envelope.statement_hash),
        nonce=os.urandom(16),
        issued=START,
        reason="a test",
    )


def agreement(world: World, seat: int = 1, **changes: object) -> Agreement:
    """One about a seat."""
    made = Agreement(
        head=head(world),
        version=1,
        previous=None,
        state=world.charter.seat(Seat(seat)).state,
        key=world.vaults[Seat(seat)].state.public,
        seats=(AgreedSeat(seat=Seat(seat), addresses=()),),
        capacity=2**40,
        retention=1,
        delays=DelayFloors(govern=0, read=0, release=0, exile_change=0),
        witness=WitnessDuties(seats=(), freshness=60),
        maintenance=(Act.ENTER,),
        notice=60,
        treaty=bytes(32),
        since=START - timedelta(days=1),
        until=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def next_version(world: World, before: Agreement, **changes: object) -> Agreement:
    """The version after it."""
    name = statement_of(before)
    return replace(
        before, head=head(world), version=before.version + 1, previous=name,
        **changes,  # type: ignore[arg-type]
    )  # fmt: skip


def terminate(world: World, before: Agreement) -> Terminate:
    """The end of it."""
    return Terminate(head=head(world), agreement=statement_of(before))


def statement_of(order: Order) -> StatementHash:
    """Its hash."""
    return Envelope(payload=order_payload(order), kind=order.kind).statement_hash


def signed(
    world: World, order: Order, people: Sequence[int] = BOTH, hosts: Sequence[int] = (1,)
) -> bytes:
    """It with the signatures of officials, and of the receiving states of those seats."""
    envelope = world.officials_sign(Envelope(payload=order_payload(order), kind=order.kind), people)
    for seat in hosts:
        key = world.vaults[Seat(seat)].state
        envelope = envelope.with_signature(key.public, key.sign(envelope.pae))
    return envelope.to_bytes()
