"""Cosignatures: who counts, what refuses a note, what a time stamp is."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from exclave.errors import MalformedData
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import Checkpoint, log_verifier, origin_for, sign_checkpoint
from exclave.ledger.cosignature import (
    Cosigner,
    CosigningKey,
    TimeStampInvalid,
    Witnesses,
    WitnessParty,
    WitnessQuorumMissing,
    cosign,
    count_witnesses,
    open_cosigned,
    witness_name,
)
from exclave.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    MAX_COSIGNED_LINES,
    Note,
    NoteForged,
    NoteSigner,
    parse_note,
)

MISSION = MissionId(b"\x11" * 32)
STAMP = 1_767_323_045
NOW = datetime.fromtimestamp(STAMP, UTC)
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
LOG = log_verifier(MISSION, Seat(1), LOG_KEY.public_key().public_bytes_raw())


def cosigner(seat: int, name: str | None = None) -> Cosigner:
    ed = Ed25519PrivateKey.from_private_bytes(bytes([seat]) * 32)
    pq = MLDSA44PrivateKey.from_seed_bytes(bytes([seat + 100]) * 32)
    keys = (
        CosigningKey(
            key_type=COSIGNATURE_ED25519,
            public_key=ed.public_key().public_bytes_raw(),
            sign=ed.sign,
        ),
        CosigningKey(
            key_type=COSIGNATURE_ML_DSA_44,
            public_key=pq.public_key().public_bytes_raw(),
            sign=pq.sign,
        ),
    )
    return Cosigner(name=name or witness_name(MISSION, Seat(seat)), keys=keys)


SEATS = {number: cosigner(number) for number in (1, 2, 3)}
PARTIES = tuple(
    WitnessParty(name=item.name, seat=Seat(number), verifiers=item.verifiers())
    for number, item in SEATS.items()
)
WITNESSES = Witnesses(quorum=2, parties=PARTIES, freshness=60)
STATE = Checkpoint(origin=origin_for(MISSION, Seat(1)), size=3, root=b"\x07" * 32)
SIGNED = parse_note(
    sign_checkpoint(STATE, NoteSigner(name=LOG.name, public_key=LOG.public_key, sign=LOG_KEY.sign))
)


def cosigned(*stamps: tuple[int, int]) -> Note:
    lines = [line for seat, at in stamps for line in cosign(SIGNED.text, SEATS[seat], at)]
    return replace(SIGNED, signatures=(*SIGNED.signatures, *lines))


def test_a_quorum_of_distinct_parties() -> None:
    opened = open_cosigned(cosigned((1, STAMP), (3, STAMP + 5)).encode(), LOG, WITNESSES)
    opened.require_quorum()
    assert opened.checkpoint == STATE
    assert [(item.party.key, item.timestamp) for item in opened.by] == [
        (1, STAMP),
        (3, STAMP + 5),
    ]
    assert [item.party.label for item in opened.by] == ["seat 1", "seat 3"]


def test_one_party_counts_once_however_often_it_signs() -> None:
    note = cosigned((2, STAMP), (2, STAMP + 1), (2, STAMP + 2))
    opened = open_cosigned(note.encode(), LOG, WITNESSES)
    assert [item.timestamp for item in opened.by] == [STAMP + 2]
    with pytest.raises(WitnessQuorumMissing, match="1 witnesses cosigned"):
        opened.require_quorum()


def test_a_party_counts_only_with_all_its_keys_and_one_time() -> None:
    first, second = cosign(SIGNED.text, SEATS[1], STAMP)
    later = cosign(SIGNED.text, SEATS[1], STAMP + 1)[1]
    for lines in ((first,), (second,), (first, later)):
        note = replace(SIGNED, signatures=(*SIGNED.signatures, *lines))
        assert count_witnesses(note, WITNESSES) == ()


def test_a_known_line_that_fails_refuses_the_note() -> None:
    first, second = cosign(SIGNED.text, SEATS[1], STAMP)
    for line in (first, second):
        moved = (STAMP + 1).to_bytes(8) + line.signature[8:]
        for signature in (moved, b"", line.signature[:-1], bytes(8) + line.signature[8:]):
            bad = replace(line, signature=signature)
            note = replace(SIGNED, signatures=(*SIGNED.signatures, bad))
            with pytest.raises(NoteForged):
                count_witnesses(note, WITNESSES)


def test_lines_of_strangers_are_ignored() -> None:
    stranger = cosigner(9, witness_name(MISSION, Seat(2)))  # the name of a seat, another key
    lines = cosign(SIGNED.text, stranger, STAMP)
    note = replace(SIGNED, signatures=(*SIGNED.signatures, *lines))
    assert count_witnesses(note, WITNESSES) == ()


def test_a_cosignature_is_of_one_text_and_one_name() -> None:
    other = Checkpoint(origin=STATE.origin, size=4, root=STATE.root).encode()
    lines = cosign(other, SEATS[1], STAMP)
    with pytest.raises(NoteForged):
        count_witnesses(replace(SIGNED, signatures=(*SIGNED.signatures, *lines)), WITNESSES)
    # ML-DSA-44 cosignatures commit to the cosigner's name.
    renamed = replace(SEATS[1], name="another/witness")
    with pytest.raises(NoteForged):
        renamed.verifiers()[1].verify(
            SIGNED.text, cosign(SIGNED.text, SEATS[1], STAMP)[1].signature
        )


def test_time_stamps_are_moments() -> None:
    for stamp in (0, -1, 2**62):
        with pytest.raises(TimeStampInvalid):
            cosign(SIGNED.text, SEATS[1], stamp)
    (item,) = count_witnesses(cosigned((1, STAMP)), WITNESSES)
    assert item.moment == NOW


def test_a_cosigner_whose_key_is_another_signs_nothing() -> None:
    one, two = SEATS[1].keys
    wrong = replace(SEATS[1], keys=(replace(one, sign=SEATS[2].keys[0].sign), two))
    with pytest.raises(NoteForged):
        cosign(SIGNED.text, wrong, STAMP)


def test_more_lines_than_sixteen_only_where_witnesses_sign() -> None:
    many = cosigned(*((1, STAMP + n) for n in range(8)))
    assert len(many.signatures) == 17
    with pytest.raises(MalformedData):
        parse_note(many.encode())
    assert parse_note(many.encode(), most=MAX_COSIGNED_LINES) == many
    with pytest.raises(MalformedData):
        replace(SIGNED, signatures=SIGNED.signatures * (MAX_COSIGNED_LINES + 1))


def test_what_witnesses_cannot_be() -> None:
    with pytest.raises(MalformedData):
        replace(WITNESSES, parties=PARTIES + PARTIES[:1])
    with pytest.raises(MalformedData):
        replace(WITNESSES, quorum=0)
    with pytest.raises(MalformedData):
        replace(PARTIES[0], verifiers=())
    with pytest.raises(MalformedData):
        replace(PARTIES[0], verifiers=(LOG,))
    assert WITNESSES.party(Seat(2)) == PARTIES[1]
    assert WITNESSES.party(Seat(9)) is None
