"""Every vector of orders."""

from typing import Any

import pytest

from exclave.authority.envelope import ORDERS, parse_envelope
from exclave.authority.orders import kind_of, order_payload, parse_order
from exclave.errors import ExclaveError
from tests.vectors.cases import Loaded, load
from tools import make_vectors_orders
from tools.vector_cases import ROOT

CASES = load("orders")


def order(case: Loaded) -> dict[str, Any]:
    envelope = parse_envelope(case.given["envelope"].encode())
    parsed = parse_order(envelope)
    assert order_payload(parsed) == envelope.payload
    return {"kind": kind_of(parsed).value, "hash": envelope.statement_hash.hex()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    assert case.operation == "parse-order"
    if "refused" not in case.expect:
        assert order(case) == case.expect
        return
    with pytest.raises(ExclaveError) as caught:
        order(case)
    assert type(caught.value).__name__ == case.expect["refused"]


def test_every_kind_has_a_good_one() -> None:
    assert {case.expect["kind"] for case in CASES if "kind" in case.expect} == set(ORDERS)


def test_generator_writes_what_is_committed() -> None:
    for folder, cases in make_vectors_orders.folders().items():
        texts = {f"{case.case}.json": case.encode() for case in cases}
        found = {path.name: path.read_text() for path in (ROOT / "vectors" / folder).iterdir()}
        assert found == texts
