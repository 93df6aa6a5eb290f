"""The ledger's rules one by one, beyond what the vectors show."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exclave.errors import MalformedData
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import (
    Checkpoint,
    OriginMismatch,
    log_verifier,
    open_checkpoint,
    origin_for,
    parse_checkpoint,
    sign_checkpoint,
)
from exclave.ledger.consistency import ConsistencyInvalid, verify_consistency
from exclave.ledger.entry import EntryType, LogEntry, parse_entry
from exclave.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    Note,
    NoteForged,
    NoteSignature,
    NoteSigner,
    NoteVerifier,
    parse_note,
    parse_vkey,
    sign_note,
    verify_note,
)
from exclave.ledger.receipt import Receipt, parse_receipt, verify_receipt
from exclave.ledger.tiles import TileCorrupt, TileMissing, TileReader, TreeEdge, grow
from exclave.merkle import EMPTY_ROOT, leaf_hash, tree_root

MISSION = MissionId(b"\x11" * 32)
KEY = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
LOG = NoteSigner(name=origin_for(MISSION, Seat(2)), public_key=PUBLIC, sign=KEY.sign)
ENTRY = LogEntry(
    type=EntryType.WARRANT,
    mission=MISSION,
    hash=bytes(32),
    size=1,
    statement=None,
    logged=datetime(2026, 5, 1, 12, 0, 0, 999, tzinfo=UTC),
    service=0,
)


def test_entry_round_trip_drops_fractions() -> None:
    assert ENTRY.logged.microsecond == 0
    assert parse_entry(ENTRY.encode()) == ENTRY


def test_entry_refuses_naive_times() -> None:
    with pytest.raises(MalformedData):
        replace(ENTRY, logged=ENTRY.logged.replace(tzinfo=None))


@pytest.mark.parametrize("change", [{"hash": b""}, {"mission": b""}, {"statement": b""}])
def test_entry_refuses_short_hashes(change: dict[str, bytes]) -> None:
    with pytest.raises(MalformedData):
        replace(ENTRY, **change)  # type: ignore[arg-type]


def test_text_is_split_at_the_last_empty_line() -> None:
    note = parse_note(sign_note(b"a\n\nb\n", [LOG]))
    assert note.text == b"a\n\nb\n"
    assert verify_note(note, [LOG.verifier()]) == (LOG.verifier(),)


def test_a_key_counts_once() -> None:
    note = parse_note(sign_note(b"a\n", [LOG, LOG]))
    assert verify_note(note, [LOG.verifier()]) == (LOG.verifier(),)


def test_one_failing_known_key_refuses_all() -> None:
    other = NoteVerifier(name="other", public_key=PUBLIC)
    bad = NoteSignature(name="other", key_id=other.key_id, signature=bytes(64))
    note = parse_note(sign_note(b"a\n", [LOG]))
    note = Note(text=note.text, signatures=(*note.signatures, bad))
    verify_note(note, [LOG.verifier()])
    with pytest.raises(NoteForged):
        verify_note(note, [LOG.verifier(), other])


def test_a_signer_whose_key_is_another_signs_nothing() -> None:
    wrong = replace(LOG, sign=Ed25519PrivateKey.from_private_bytes(b"\x06" * 32).sign)
    with pytest.raises(NoteForged):
        sign_note(b"a\n", [wrong])


def test_ed25519_cosignature() -> None:
    text = b"origin\n1\nroot\n"
    stamp = 1_700_000_000
    signature = KEY.sign(b"cosignature/v1\ntime 1700000000\n" + text)
    witness = NoteVerifier(name="witness", key_type=COSIGNATURE_ED25519, public_key=PUBLIC)
    witness.verify(text, stamp.to_bytes(8, "big") + signature)
    with pytest.raises(NoteForged):
        witness.verify(text, (stamp + 1).to_bytes(8, "big") + signature)
    assert parse_vkey(witness.vkey()) == witness
    assert witness.key_id != LOG.verifier().key_id


def test_what_cannot_be_verified_is_not_trusted() -> None:
    witness = NoteVerifier(name="w", key_type=COSIGNATURE_ML_DSA_44, public_key=bytes(1312))
    for text in (b"a\n", b"a\n01\n", b"a\n1\nb\n", b"a" * 256 + b"\n0\n" + b"A" * 43 + b"=\n"):
        for signature in (b"", bytes(2428), b"\xff" * 2428):
            with pytest.raises(NoteForged):
                witness.verify(text, signature)


@pytest.mark.parametrize("text", [b"", b"a", b"a\tb\n", b"\xff\n", b"a\r\n"])
def test_texts_that_are_no_notes(text: bytes) -> None:
    with pytest.raises(MalformedData):
        sign_note(text, [LOG])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b"])
def test_names_that_are_no_key_names(name: str) -> None:
    with pytest.raises(MalformedData):
        NoteVerifier(name=name, public_key=PUBLIC)


def test_vkey_with_another_id() -> None:
    name, _, key = LOG.verifier().vkey().split("+", 2)
    with pytest.raises(MalformedData):
        parse_vkey(f"{name}+00000000+{key}")


@pytest.mark.parametrize(
    "text", [b"o\n01\n", b"o\n1\nAA==\n", b"o\n1\n%s\nextension\n", b"\n1\n%s\n", b"o\n-1\n%s\n"]
)
def test_texts_that_are_no_checkpoints(text: bytes) -> None:
    root = b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    with pytest.raises(MalformedData):
        parse_checkpoint(text.replace(b"%s", root))


def test_checkpoint_of_another_log() -> None:
    state = Checkpoint(origin=LOG.name, size=0, root=EMPTY_ROOT)
    assert open_checkpoint(sign_checkpoint(state, LOG), log_verifier(MISSION, Seat(2), PUBLIC))
    with pytest.raises(OriginMismatch):
        sign_checkpoint(replace(state, origin="elsewhere"), LOG)
    stray = sign_note(replace(state, origin="elsewhere").encode(), [LOG])
    with pytest.raises(OriginMismatch):
        open_checkpoint(stray, LOG.verifier())


def test_receipt_of_another_mission() -> None:
    entry = replace(ENTRY, mission=MissionId(b"\x12" * 32))
    state = Checkpoint(origin=LOG.name, size=1, root=tree_root([leaf_hash(entry.encode())]))
    receipt = Receipt(
        entry=entry.encode(), index=0, path=(), checkpoint=sign_checkpoint(state, LOG)
    )
    assert parse_receipt(receipt.encode()) == receipt
    with pytest.raises(OriginMismatch):
        verify_receipt(receipt, LOG.verifier())


def test_a_log_that_shrank_or_forked() -> None:
    one, two = bytes(32), bytes(31) + b"\x01"
    for old, new in ((2, 1), (1, 1), (0, 1)):
        with pytest.raises(ConsistencyInvalid):
            verify_consistency(old_size=old, old_root=one, new_size=new, new_root=two, proof=[])


def test_tiles_that_lie() -> None:
    edge, files = grow(TreeEdge(), [b"a", b"b"])
    store = {file.tile.path(): file.data for file in files}
    for path, data in (
        ("tile/entries/000.p/2", b"\x00\x01a\x00\x01c"),
        ("tile/entries/000.p/2", b"\x00\x01a"),
        ("tile/entries/000.p/2", b"\x00\x01a\x00\x02b"),
        ("tile/0/000.p/2", bytes(63)),
    ):
        with pytest.raises(TileCorrupt):
            TileReader(edge.size, {**store, path: data}.get).entry(1)
    with pytest.raises(TileMissing):
        TileReader(3, store.get).root()


def test_service_time_and_time_zone() -> None:
    moved = replace(ENTRY, logged=ENTRY.logged.astimezone() + timedelta(0))
    assert moved == ENTRY
