"""Parsers of authority: arbitrary JSON is refused by name, or read and written back unchanged."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exclave.authority.annex import annex_bytes, parse_annex
from exclave.authority.card import card_text, parse_card
from exclave.authority.charter import charter_payload, parse_charter
from exclave.authority.charter_parts import Place, ShareGroup
from exclave.authority.envelope import Envelope, Kind, envelope_for, parse_envelope
from exclave.authority.layout import (
    check_layout,
    combination_count,
    covering_combinations,
    share_combinations,
)
from exclave.authority.orders import order_payload, parse_order
from exclave.authority.record import parse_record, record_payload
from exclave.authority.seat_request import parse_seat_request, seat_request_payload
from exclave.authority.supplement import parse_supplement, supplement_payload
from exclave.authority.unsealing import (
    answer_envelope,
    parse_unseal_request,
    parse_unsealed,
    request_envelope,
)
from exclave.authority.warrant import parse_warrant, warrant_payload
from exclave.encoding import b64encode, canonical_json
from exclave.errors import ExclaveError
from tests.vectors.cases import load
from tools import make_vectors_orders, vector_authority

Parser = Callable[[bytes], bytes]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
    | st.text(max_size=40)
    | st.sampled_from(["00" * 32, "00" * 16, "AAAA", "all", "XA", "p-0000000000000000"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdefgz_", min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def _payload(kind: Kind, read: Callable[[Envelope], Any], write: Callable[[Any], bytes]) -> Parser:
    return lambda data: write(read(Envelope(payload=data, kind=kind)))


def _text_of(folder: str, case: str) -> dict[str, Any]:
    given_ = next(item for item in load(folder) if item.name == case).given
    text = given_.get("payload") or given_["payloads"][-1]
    value: dict[str, Any] = json.loads(text)
    return value


RECORD = b64encode(envelope_for(_text_of("records", "record-next")).to_bytes())
KEY = vector_authority.charter()["recovery"][0]["key"]
SEAT = vector_authority.charter()["seats"][0]
SEALED = {"deposit": "00" * 16, "sealed": "A" * 1556 + "AA=="}
GOOD: dict[str, tuple[dict[str, Any], Parser]] = {
    "charter": (
        _text_of("charter", "charter"),
        _payload(Kind.CHARTER, parse_charter, charter_payload),
    ),
    "warrant": (
        vector_authority.warrant("00" * 32, "11" * 32),
        _payload(Kind.WARRANT, parse_warrant, warrant_payload),
    ),
    "record": (
        _text_of("records", "record"),
        _payload(Kind.RECORD, parse_record, record_payload),
    ),
    "supplement": (
        {"kind": "supplement", "mission": "00" * 32, "seat": 1, "shards": [["11" * 32, "22" * 32]]},
        _payload(Kind.SUPPLEMENT, parse_supplement, supplement_payload),
    ),
    "seat-request": (
        {name: SEAT[name] for name in SEAT if name not in {"seat", "type", "agreement", "retired"}}
        | {"kind": "seat-request", "receiving_state_key": None, "created": "2026-01-02T03:04:05Z"},
        _payload(Kind.SEAT_REQUEST, parse_seat_request, seat_request_payload),
    ),
    "unseal-request": (
        {
            "kind": "unseal-request",
            "mission": "00" * 32,
            "epoch": 1,
            "secrets": [SEALED],
            "records": [RECORD],
            "to": KEY,
            "warrant": None,
        },
        _payload(
            Kind.UNSEAL_REQUEST, parse_unseal_request, lambda item: request_envelope(item).payload
        ),
    ),
    "unsealed": (
        {
            "kind": "unsealed",
            "mission": "00" * 32,
            "epoch": 1,
            "secrets": [{"id": "00" * 32, "sealed": SEALED["sealed"]}],
        },
        _payload(Kind.UNSEALED, parse_unsealed, lambda item: answer_envelope(item).payload),
    ),
    "annex": (
        {
            "officials": [
                {"id": "p-" + "0" * 16, "name": "A", "contact": "B", "salt": "00" * 32},
            ]
        },
        lambda data: annex_bytes(parse_annex(data)),
    ),
}

GOOD |= {
    kind.value: (
        make_vectors_orders.payload(kind),
        _payload(kind, parse_order, order_payload),
    )
    for kind in make_vectors_orders.OWN
}


@pytest.mark.parametrize("kind", GOOD)
def test_the_good_one_is_read(kind: str) -> None:
    value, parse = GOOD[kind]
    data = canonical_json(value)
    assert parse(data) == data


@pytest.mark.parametrize("kind", GOOD)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_mutated_payloads(kind: str, data: st.DataObject) -> None:
    value, parse = GOOD[kind]
    mutated = json.loads(json.dumps(value))
    _mutate(mutated, data)
    encoded = canonical_json(mutated)
    try:
        again = parse(encoded)
    except ExclaveError:
        return
    assert again == encoded


def _mutate(node: Any, data: st.DataObject) -> None:
    while True:
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and data.draw(st.booleans()):
            node = node[key]
            continue
        if data.draw(st.integers(0, 3)):
            node[key] = data.draw(JSON)
        else:
            del node[key]
        return


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_envelopes(data: bytes) -> None:
    try:
        envelope = parse_envelope(data)
    except ExclaveError:
        return
    assert envelope.to_bytes() == data


CARD = next(item for item in load("cards") if item.name == "card").given["card"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, len(CARD)), st.integers(0, 8), st.text(max_size=8))
def test_mutated_cards(at: int, length: int, text: str) -> None:
    mutated = CARD[:at] + text + CARD[at + length :]
    try:
        card = parse_card(mutated)
    except ExclaveError:
        return
    assert card_text(card) == mutated


GROUP = st.tuples(st.integers(1, 4), st.integers(1, 4)).map(
    lambda pair: ShareGroup(
        name="g", place=Place.ABROAD, state="XB", threshold=min(pair), members=max(pair)
    )
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(GROUP, min_size=1, max_size=4), st.integers(1, 4))
def test_combinations_are_counted_and_covered(groups: list[ShareGroup], threshold: int) -> None:
    try:
        check_layout(groups, threshold, path="x", exile_needed=False)
    except ExclaveError:
        return
    every = list(share_combinations(groups, threshold))
    assert len(every) == len(set(every)) == combination_count(groups, threshold)
    few = set(covering_combinations(groups, threshold))
    assert few <= set(every)
    assert {(g, m) for item in few for g, ms in item for m in ms} == {
        (g, m) for g, group in enumerate(groups) for m in range(group.members)
    }
