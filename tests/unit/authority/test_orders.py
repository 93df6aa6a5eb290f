"""Orders: what is refused on construction already, and what the named charter decides."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exclave.authority.charter import Charter, NotInCharter, parse_charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.fields import FieldInvalid, OrderBroken
from exclave.authority.orders import (
    LAST_UNTIL,
    MAX_NAMES,
    MAX_PACKS,
    Compromise,
    Extend,
    Hold,
    Lift,
    Lockdown,
    NamesOutOfBounds,
    Narrow,
    Order,
    OrderHead,
    Release,
    Unlock,
    UntilTooFar,
    Veto,
    check_order,
    kind_of,
    order_payload,
    parse_order,
)
from exclave.encoding import canonical_json
from exclave.errors import ExclaveError
from exclave.ids import DepositId, MissionId, PackRoot, StatementHash
from tools import vector_authority

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
ONE, TWO = StatementHash(b"\x01" * 32), StatementHash(b"\x02" * 32)
HEAD = OrderHead(
    mission=MissionId(bytes(32)),
    charter=StatementHash(bytes(32)),
    nonce=bytes(16),
    issued=WHEN,
    reason="test",
)


def charter() -> Charter:
    payload = canonical_json(vector_authority.charter())
    return parse_charter(Envelope(payload=payload, kind=Kind.CHARTER))


def roots(count: int) -> tuple[bytes, ...]:
    return tuple(number.to_bytes(32, "big") for number in range(count))


@pytest.mark.parametrize(
    "order",
    [
        Veto(head=HEAD, target=ONE),
        Lockdown(head=HEAD),
        Hold(head=HEAD, deposits=(DepositId(bytes(16)),)),
        Extend(head=HEAD, deposits=None, until=WHEN),
        Compromise(head=HEAD, depositors=("home", "home-2"), since=WHEN),
        Release(head=HEAD, packs=tuple(map(PackRoot, roots(MAX_PACKS)))),
        Lift(head=HEAD, holds=(ONE, TWO)),
        Narrow(head=HEAD, compromise=ONE, since=WHEN),
        Unlock(head=HEAD, lockdowns=tuple(map(StatementHash, roots(MAX_NAMES)))),
    ],
    ids=lambda order: order.kind.value,
)
def test_what_is_written_is_read(order: Order) -> None:
    envelope = Envelope(payload=order_payload(order), kind=kind_of(order))
    assert parse_order(envelope) == order


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: replace(HEAD, nonce=bytes(8)), FieldInvalid, "expected 16 bytes, got 8"),
        (lambda: replace(HEAD, reason="a\tb"), FieldInvalid, "order.reason: expected one line"),
        (lambda: Hold(head=HEAD, deposits=()), NamesOutOfBounds, "hold.deposits: expected 1 to"),
        (
            lambda: Extend(head=HEAD, deposits=None, until=LAST_UNTIL),
            UntilTooFar,
            "expected before 2106-01-01T00:00:00Z, got 2106-01-01T00:00:00Z",
        ),
        (
            lambda: Release(head=HEAD, packs=tuple(map(PackRoot, roots(MAX_PACKS + 1)))),
            NamesOutOfBounds,
            "expected 1 to 8192, got 8193",
        ),
        (lambda: Lift(head=HEAD, holds=(TWO, ONE)), OrderBroken, "lift.holds[1]"),
        (lambda: Unlock(head=HEAD, lockdowns=(ONE, ONE)), OrderBroken, "unlock.lockdowns[1]"),
        (
            lambda: Compromise(head=HEAD, depositors=("b", "a"), since=WHEN),
            OrderBroken,
            "compromise.depositors[1]",
        ),
    ],
)
def test_orders_out_of_bounds_are_not_made(
    make: Callable[[], object], error: type[ExclaveError], says: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert says in caught.value.message


def test_an_order_is_held_to_the_charter_that_it_names() -> None:
    law = charter()
    head = replace(HEAD, mission=law.mission_id)
    check_order(Lockdown(head=head), law)
    with pytest.raises(MissionMismatch):
        check_order(Lockdown(head=HEAD), law)
    with pytest.raises(NotInCharter):
        check_order(Compromise(head=head, depositors=("stranger",), since=WHEN), law)
