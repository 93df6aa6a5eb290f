"""Persons, chains, warrants and records beyond what the vectors hold."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from exclave.authority.annex import AnnexEntry, NameMismatch, name_hash, verify_annex
from exclave.authority.charter import Charter, NotInCharter, charter_payload, parse_charter
from exclave.authority.charter_chain import ChainEmpty, CharterChain, verify_chain
from exclave.authority.charter_parts import RoleName
from exclave.authority.envelope import Envelope, Kind, StatementMismatch, parse_envelope
from exclave.authority.keys import (
    ED25519,
    ML_DSA_65,
    AlgorithmUnknown,
    KeyInvalid,
    SignatureInvalid,
    TypedKey,
    verify_signature,
)
from exclave.authority.persons import SignatureMissing, require_threshold, signed_persons
from exclave.authority.record import (
    DepositRecord,
    PackSeatsInvalid,
    SeatNotNamed,
    ShardRootRepeated,
    parse_record,
    record_payload,
    verify_record,
)
from exclave.authority.record_chain import (
    AncestorMissing,
    Author,
    added_packs,
    author_of,
    find_forks,
    newest_first,
)
from exclave.encoding import canonical_json
from exclave.errors import MalformedData, QuorumNotReached
from exclave.ids import DepositId, Epoch, KeyId, PersonId, Seat, ShardRoot, StatementHash
from tests.vectors.cases import load
from tools import vector_authority as mission

Payload = dict[str, Any]


def _charter(payload: Payload | None = None) -> Charter:
    data = canonical_json(payload or mission.charter())
    return parse_charter(Envelope(payload=data, kind=Kind.CHARTER))


def _person(label: str) -> PersonId:
    return PersonId(mission.official_id(label))


def _chain(**rosters: Payload) -> tuple[CharterChain, Payload]:
    """Charter 1 and a second whose rosters are changed; its payload too."""
    first = mission.charter()
    envelope = mission.sign(Kind.CHARTER, first, mission.HOME)
    digest = envelope.statement_hash.hex()
    second = copy.deepcopy(first)
    second.update(mission=digest, version=2, previous=digest)
    for name, change in rosters.items():
        second["rosters"][name].update(change)
    other = mission.sign(Kind.CHARTER, second, mission.HOME)
    return verify_chain([envelope, other], _charter(first).mission_id), second


def test_persons_count_not_keys() -> None:
    payload = mission.charter()
    person = next(p for p in payload["officials"] if p["id"] == _person("anna"))
    person["key_sets"] = [
        [mission.public("anna").to_json(), mission.public("anna 2").to_json()],
        [mission.public("anna 3").to_json()],
    ]
    charter = _charter(payload)
    for labels, expected in [
        (["anna"], set()),
        (["anna", "anna 2"], {"anna"}),
        (["anna 3"], {"anna"}),
        (["anna", "anna 2", "anna 3"], {"anna"}),
        (["anna 2", "bela", "stranger"], {"bela"}),
    ]:
        envelope = mission.sign(Kind.CHARTER, payload, labels)
        persons = signed_persons(envelope, charter.officials)
        assert persons == {_person(label) for label in expected}
    three_keys = mission.sign(Kind.CHARTER, payload, ["anna", "anna 2", "anna 3"])
    with pytest.raises(QuorumNotReached, match="1 of 3 officials signed, 2 required"):
        require_threshold(three_keys, charter, RoleName.GOVERN)


def test_merging_joins_signatures_of_one_statement() -> None:
    payload = mission.charter()
    one = mission.sign(Kind.CHARTER, payload, ["anna"])
    two = mission.sign(Kind.CHARTER, payload, ["bela", "anna"])
    assert one.merge(two) == two == two.merge(one)
    assert parse_envelope(two.to_bytes()) == two
    payload["notice"] = "another"
    with pytest.raises(StatementMismatch):
        one.merge(mission.sign(Kind.CHARTER, payload, ["bela"]))


def test_a_signature_of_another_kind_does_not_count() -> None:
    payload = mission.charter()
    envelope = mission.sign(Kind.CHARTER, payload, ["anna"])
    relabelled = Envelope(
        payload=envelope.payload, kind=Kind.WARRANT, signatures=envelope.signatures
    )
    with pytest.raises(SignatureInvalid):
        signed_persons(relabelled, _charter().officials)


def test_ml_dsa_signatures() -> None:
    private = MLDSA65PrivateKey.from_seed_bytes(bytes(32))
    key = TypedKey(ML_DSA_65, private.public_key().public_bytes_raw())
    verify_signature(key, b"message", private.sign(b"message"))
    for signature in (private.sign(b"other"), private.sign(b"message", b"context"), b""):
        with pytest.raises(SignatureInvalid):
            verify_signature(key, b"message", signature)


def test_keys_of_wrong_form_are_refused() -> None:
    with pytest.raises(AlgorithmUnknown, match="unknown 'rsa'"):
        TypedKey("rsa", bytes(33))
    with pytest.raises(KeyInvalid, match="expected 32 bytes, got 31"):
        TypedKey(ED25519, bytes(31))
    with pytest.raises(MalformedData):
        TypedKey("x-wing", bytes([255]) * 1216)


def test_a_chain_finds_its_charters() -> None:
    chain, _ = _chain()
    assert chain.find(chain.hashes[1]).version == 2
    with pytest.raises(NotInCharter):
        chain.find(StatementHash(bytes(32)))


def test_no_chain_without_charters() -> None:
    with pytest.raises(ChainEmpty):
        verify_chain([], _charter().mission_id)


def test_charters_answer_for_their_parts() -> None:
    charter = _charter()
    assert charter.seat(Seat(1)).vault == "vault-one"
    assert charter.epoch(Epoch(1)) is charter.current_epoch
    assert charter.official(_person("anna")).id == _person("anna")
    assert charter_payload(charter) == canonical_json(mission.charter())
    for ask in (
        lambda: charter.seat(Seat(2)),
        lambda: charter.epoch(Epoch(2)),
        lambda: charter.official(PersonId("p-0")),
        lambda: charter.depositor("x"),
    ):
        with pytest.raises(NotInCharter):
            ask()


def _record(**changes: Any) -> DepositRecord:
    given = next(case for case in load("records") if case.name == "record").given
    data = given["payloads"][0].encode()
    record = parse_record(Envelope(payload=data, kind=Kind.RECORD))
    return replace(record, **changes)


def test_forks_are_found() -> None:
    record = _record()
    fork = _record(deposit=DepositId(bytes(16)))

    def author(item: DepositRecord) -> Author:
        return Author(depositor=item.depositor, keys=(KeyId(item.charter.hex()),))

    (found,) = find_forks([record, fork, record], author)
    assert (found.depositor, found.sequence) == ("registry-1", 1)
    assert set(found.records) == {record.statement_hash, fork.statement_hash}
    assert find_forks([record, record], author) == ()
    # Another key under the same id is another author: no fork, but a chain of its own.
    other_key = replace(fork, charter=StatementHash(bytes(32)))
    assert find_forks([record, other_key], author) == ()


def test_the_newest_chain_comes_first() -> None:
    old = _record(sequence=33, previous=StatementHash(bytes(32)))
    new = _record(depositor="registry-2")
    charter = _chain()[0].newest

    def author(item: DepositRecord) -> Author:
        return Author(depositor=item.depositor, keys=())

    assert newest_first([_record(), old, new], author, charter) == (new, old, _record())


def test_what_revoked_keys_sign_never_comes_before_what_seated_ones_do() -> None:
    chain, record, _ = _depositing()
    charter = chain.newest
    seated = author_of(record, chain)
    assert seated.is_seated(charter)
    revoked = replace(seated, keys=(KeyId("00" * 32),))
    assert not revoked.is_seated(charter)
    assert not replace(seated, depositor="registry-2").is_seated(charter)
    late = replace(record, sequence=1000, previous=StatementHash(bytes(32)), full=True)

    def author(item: DepositRecord) -> Author:
        return revoked if item.sequence == 1000 else seated

    assert newest_first([record, late], author, charter) == (record, late)


def _depositing() -> tuple[CharterChain, DepositRecord, list[Any]]:
    """A mission with a depositor, its record, and its two private keys."""
    payload = mission.charter()
    private = MLDSA65PrivateKey.from_seed_bytes(bytes(32))
    keys = [
        mission.public("depositor"),
        TypedKey(ML_DSA_65, private.public_key().public_bytes_raw()),
    ]
    payload["depositors"] = [
        {
            "id": "registry-1",
            "keys": [key.to_json() for key in keys],
            "identity": "AAAA",
            "daily_bytes": 1,
            "total_bytes": 1,
            "reserve": False,
        }
    ]
    envelope = mission.sign(Kind.CHARTER, payload, mission.HOME)
    chain = verify_chain([envelope], _charter(payload).mission_id)
    base = _record()
    packs = tuple(replace(p, k=1, shards=p.shards[:1]) for p in base.packs_added)
    record = replace(base, mission=chain.mission, charter=chain.hashes[0], packs_added=packs)
    pairs = [(keys[0], mission.ed25519("depositor")), (keys[1], private)]
    return chain, record, pairs


def _signed(record: DepositRecord, pairs: list[Any]) -> Envelope:
    envelope = Envelope(payload=record_payload(record), kind=Kind.RECORD)
    for key, private in pairs:
        envelope = envelope.with_signature(key, private.sign(envelope.pae))
    return envelope


def test_records_need_both_keys_and_this_charters_seats() -> None:
    chain, record, pairs = _depositing()
    assert verify_record(_signed(record, pairs), chain) == record
    with pytest.raises(SignatureMissing, match="ml-dsa-65"):
        verify_record(_signed(record, pairs[:1]), chain)
    with pytest.raises(SeatNotNamed):
        record.packs_added[0].shard(Seat(2))
    base = _record().packs_added
    for packs in (
        tuple(replace(pack, k=1) for pack in base),  # names seat 2, which does not exist
        base,  # k = 2
    ):
        with pytest.raises(PackSeatsInvalid):
            verify_record(_signed(replace(record, packs_added=packs), pairs), chain)
    with pytest.raises(NotInCharter):
        verify_record(_signed(replace(record, depositor="registry-2"), pairs), chain)


def test_no_shard_root_stands_twice_in_a_record() -> None:
    one, two = _record().packs_added
    for packs in (
        (one, replace(two, shards=(one.shards[0], *two.shards[1:]))),
        (replace(one, shards=((Seat(1), one.shards[1][1]), *one.shards[1:])), two),
    ):
        with pytest.raises(ShardRootRepeated):
            _record(packs_added=packs)


def test_full_records_may_repeat_packs_of_older_charters() -> None:
    chain, record, pairs = _depositing()
    other = replace(record, previous=StatementHash(bytes(32)))
    assert verify_record(_signed(other, pairs), chain) == other


def test_only_what_was_live_before_is_repeated() -> None:
    first = _record()
    known = {first.statement_hash: first}
    again = replace(first, sequence=2, previous=first.statement_hash)
    assert added_packs(first, known) == first.packs_added
    assert added_packs(again, known) == ()
    one, two = first.packs_added
    joined = replace(one, shards=(*one.shards, (Seat(9), ShardRoot(bytes(32)))))
    assert added_packs(replace(again, packs_added=(joined, two)), known) == ()
    moved = replace(one, shards=((Seat(8), ShardRoot(bytes(32))), (Seat(9), one.shards[1][1])))
    for other in (replace(one, k=1), replace(one, length=1), moved):
        assert added_packs(replace(again, packs_added=(other, two)), known) == (other,)
    with pytest.raises(AncestorMissing):
        added_packs(again, {})


def test_the_annex_is_bound_by_salted_hashes() -> None:
    payload = mission.charter()
    entries = []
    for official in payload["officials"]:
        salt = bytes(32)
        official["name_hash"] = name_hash(salt, f"name of {official['id']}").hex()
        entries.append(
            AnnexEntry(id=official["id"], name=f"name of {official['id']}", contact="", salt=salt)
        )
    charter = _charter(payload)
    verify_annex(tuple(entries), charter)
    with pytest.raises(NameMismatch):
        verify_annex(tuple(entries[1:]), charter)
    with pytest.raises(NameMismatch):
        verify_annex((replace(entries[0], name="somebody else"), *entries[1:]), charter)
