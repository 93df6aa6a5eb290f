"""Every vector of bags: inventories, blocks, papers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from exclave.authority.custody import custody_envelope, parse_custody
from exclave.authority.envelope import Envelope, Kind
from exclave.carried.blocks import parse_block
from exclave.carried.inventory import parse_inventory
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_bag

CASES = load("bag")


def expand(value: dict[str, Any]) -> bytes:
    """The shorthand for a block that is mostly zeros."""
    return bytes.fromhex(value["head"]) + bytes(value["zeros"]) + bytes.fromhex(value["tail"])


def inventory(given: dict[str, Any]) -> dict[str, Any]:
    data = given["inventory"].encode()
    parsed = parse_inventory(data)
    assert parsed.encode() == data
    return {
        "hash": parsed.hash.hex(),
        "items": len(parsed.items),
        "content": parsed.content_size,
    }


def block(given: dict[str, Any]) -> dict[str, Any]:
    raw = expand(given["block"])
    parsed = parse_block(raw)
    assert parsed.encode() == raw
    return {
        "kind": int(parsed.kind),
        "seat": parsed.address.seat,
        "volume": parsed.volume,
        "number": parsed.number,
        "offset": parsed.offset,
        "size": parsed.size,
        "data": hashlib.sha256(parsed.data).hexdigest(),
    }


def custody(given: dict[str, Any]) -> dict[str, Any]:
    payload = given["payload"].encode()
    parsed = parse_custody(Envelope(payload=payload, kind=Kind.CUSTODY))
    assert custody_envelope(parsed).payload == payload
    return {"act": parsed.act.value}


OPERATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "parse-inventory": inventory,
    "parse-block": block,
    "parse-custody": custody,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    require_expected(case, lambda: OPERATIONS[case.operation](case.given))


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in CASES} == set(OPERATIONS)


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_bag.folders())
