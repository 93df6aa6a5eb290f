"""Every vector of orders."""

from typing import Any

import pytest

from exclave.authority.envelope import ORDERS, parse_envelope
from exclave.authority.orders import kind_of, order_payload, parse_order
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_orders

CASES = load("orders")


def order(case: Loaded) -> dict[str, Any]:
    envelope = parse_envelope(case.given["envelope"].encode())
    parsed = parse_order(envelope)
    assert order_payload(parsed) == envelope.payload
    return {"kind": kind_of(parsed).value, "hash": envelope.statement_hash.hex()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    assert case.operation == "parse-order"
    require_expected(case, lambda: order(case))


def test_every_kind_has_a_good_one() -> None:
    assert {case.expect["kind"] for case in CASES if "kind" in case.expect} == set(ORDERS)


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_orders.folders())
