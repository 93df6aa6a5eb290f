"""Every vector of statements, charter, warrant, records and cards; and SLIP-39's own."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from exclave.authority.card import card_text, parse_card
from exclave.authority.charter import charter_payload, parse_charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.detached import parse_detached
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.keys import TypedKey, verify_signature
from exclave.authority.record import parse_record, record_payload
from exclave.authority.record_chain import live_set
from exclave.authority.warrant import (
    parse_warrant,
    verify_warrant,
    warrant_payload,
)
from exclave.authority.words import read_words
from exclave.errors import AuthorityError
from exclave.ids import MissionId
from exclave.shares import WORDS, WordCountWrong, decode_share, recombine
from tests.vectors.cases import VECTORS, Loaded, load, require_committed, require_expected
from tools import make_vectors_authority

Result = dict[str, Any]
FOLDERS = ("statements", "charter", "warrant", "records", "cards")
CASES = [case for folder in FOLDERS for case in load(folder)]
SLIP39: list[tuple[str, list[str], str, str]] = json.loads(
    (VECTORS / "slip39" / "vectors.json").read_text()
)


def envelope(case: Loaded) -> Result:
    data = case.given["envelope"].encode()
    parsed = parse_envelope(data)
    assert parsed.to_bytes() == data
    pae = hashlib.sha256(parsed.pae).hexdigest()
    return {"hash": parsed.statement_hash.hex(), "pae": pae}


def signature(case: Loaded) -> Result:
    key = TypedKey(case.given["alg"], case.bytes_of("key"))
    verify_signature(key, case.bytes_of("message"), case.bytes_of("signature"))
    return {"keyid": key.key_id}


def detached(case: Loaded) -> Result:
    data = case.given["signatures"].encode()
    parsed = parse_detached(data)
    assert parsed.to_bytes() == data
    return {"statement": parsed.statement.hex(), "count": len(parsed.signatures)}


def charter(case: Loaded) -> Result:
    payload = case.given["payload"].encode()
    parsed = parse_charter(Envelope(payload=payload, kind=Kind.CHARTER))
    assert charter_payload(parsed) == payload
    return {"mission": parsed.mission_id.hex()}


def chain(case: Loaded) -> Result:
    envelopes = [parse_envelope(text.encode()) for text in case.given["charters"]]
    return {"mission": verify_chain(envelopes, MissionId(case.bytes_of("mission"))).mission.hex()}


def warrant(case: Loaded) -> Result:
    founding = parse_charter(parse_envelope(case.given["charter"].encode()))
    signed = parse_envelope(case.given["warrant"].encode())
    parsed = verify_warrant(signed, founding)
    assert warrant_payload(parse_warrant(signed)) == signed.payload
    deposits = parsed.deposits
    return {"deposits": ["all"] if deposits is None else [item.hex() for item in deposits]}


def live(case: Loaded) -> Result:
    records = []
    for text in case.given["payloads"]:
        records.append(parse_record(Envelope(payload=text.encode(), kind=Kind.RECORD)))
        assert record_payload(records[-1]) == text.encode()
    known = {record.statement_hash: record for record in records}
    return {"live": [root.hex() for root in live_set(records[-1], known).roots]}


def card(case: Loaded) -> Result:
    parsed = parse_card(case.given["card"])
    assert card_text(parsed) == case.given["card"]
    return {"group": parsed.group, "member": parsed.member, "words": list(parsed.words)}


def words(case: Loaded) -> Result:
    return {"words": list(read_words(case.given["text"], WORDS))}


OPERATIONS: dict[str, Callable[[Loaded], Result]] = {
    "parse-envelope": envelope,
    "verify-signature": signature,
    "parse-detached": detached,
    "parse-charter": charter,
    "verify-chain": chain,
    "verify-warrant": warrant,
    "live-set": live,
    "parse-card": card,
    "read-words": words,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    require_expected(case, lambda: OPERATIONS[case.operation](case))


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in CASES} == set(OPERATIONS)


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_authority.folders())


def test_our_list_of_words_is_the_published_one() -> None:
    assert (VECTORS.parent / "spec" / "wordlist.txt").read_text().split() == list(WORDS.words)


@pytest.mark.parametrize("case", SLIP39, ids=lambda case: case[0])
def test_slip39(case: tuple[str, list[str], str, str]) -> None:
    _, mnemonics, secret, _ = case
    if any(len(mnemonic.split()) != 33 for mnemonic in mnemonics):
        with pytest.raises(WordCountWrong):
            [decode_share(mnemonic) for mnemonic in mnemonics]
        return
    if secret:
        shares = [decode_share(mnemonic) for mnemonic in mnemonics]
        assert recombine(shares, b"TREZOR").hex() == secret
        return
    with pytest.raises(AuthorityError):
        recombine([decode_share(mnemonic) for mnemonic in mnemonics], b"TREZOR")


def test_slip39_vectors_of_our_size_are_there() -> None:
    ours = [case for case in SLIP39 if all(len(text.split()) == 33 for text in case[1])]
    assert len(ours) == 13  # the published file has 20 words in 25 to 32
    assert sum(bool(case[2]) for case in ours) == 7
