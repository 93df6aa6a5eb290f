"""The witness's decision: every status code, and what is evidence."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exclave.errors import MalformedData
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import Checkpoint, log_verifier, origin_for, sign_checkpoint
from exclave.ledger.consistency import consistency_proof
from exclave.ledger.note import NoteSigner, parse_note
from exclave.ledger.witness import (
    MAX_ADD_CHECKPOINT,
    AddCheckpoint,
    Answer,
    Decision,
    decide,
    parse_add_checkpoint,
    parse_kept_size,
)
from exclave.merkle import leaf_hash, tree_root

MISSION = MissionId(b"\x11" * 32)
KEY = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
LOG = log_verifier(MISSION, Seat(2), KEY.public_key().public_bytes_raw())
LEAVES = [leaf_hash(bytes([n])) for n in range(9)]
FORKED = [leaf_hash(bytes([n + 100])) for n in range(9)]


def note_of(leaves: list[bytes], size: int, seed: int = 5, seat: int = 2) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    origin = origin_for(MISSION, Seat(seat))
    signer = NoteSigner(name=origin, public_key=key.public_key().public_bytes_raw(), sign=key.sign)
    state = Checkpoint(origin=origin, size=size, root=tree_root(leaves[:size]))
    return sign_checkpoint(state, signer)


def request(old: int, new: int, leaves: list[bytes] = LEAVES) -> AddCheckpoint:
    proof = tuple(consistency_proof(leaves[:new], old)) if 0 < old <= new else ()
    return AddCheckpoint(old=old, proof=proof, note=note_of(leaves, new))


def ask(sent: AddCheckpoint | bytes, kept: bytes | None = None) -> Decision:
    body = sent if isinstance(sent, bytes) else sent.encode()
    return decide(body, {LOG.name: LOG}, lambda origin: kept if origin == LOG.name else None)


def test_a_first_and_a_later_checkpoint_are_accepted() -> None:
    first = ask(request(0, 3))
    assert first.answer is Answer.COSIGNED
    assert first.accepted == parse_note(note_of(LEAVES, 3))
    later = ask(request(3, 7), first.accepted.encode())
    assert later.answer is Answer.COSIGNED
    again = ask(request(7, 7), note_of(LEAVES, 7))
    assert again.answer is Answer.COSIGNED, "a heartbeat"


def test_only_the_logs_own_line_is_kept() -> None:
    one, other = note_of(LEAVES, 3), note_of(LEAVES, 3, seed=6)
    both = one + other.split(b"\n\n")[1]
    decision = ask(replace(request(0, 3), note=both))
    assert decision.accepted == parse_note(one)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 0\n", b"old 00\n\n" + note_of(LEAVES, 3), b"new 0\n\n" + note_of(LEAVES, 3),
        b"old 0\nAA==\n\n" + note_of(LEAVES, 3), b"old 0\n\n" + note_of(LEAVES, 3)[:-1],
        b"old \xff\n\n" + note_of(LEAVES, 3), b"old 0\n\n" + b"x" * MAX_ADD_CHECKPOINT,
        b"old 0\n" + b"A" * 43 + b"=\n\n" + b"no checkpoint\n",
    ],
)  # fmt: skip
def test_malformed_requests(body: bytes) -> None:
    assert ask(body).answer is Answer.MALFORMED


def test_an_old_size_above_the_checkpoints_is_malformed() -> None:
    assert ask(replace(request(0, 3), old=4)).answer is Answer.MALFORMED


def test_an_unknown_log() -> None:
    sent = AddCheckpoint(old=0, proof=(), note=note_of(LEAVES, 3, seat=9))
    assert ask(sent).answer is Answer.UNKNOWN_LOG


def test_a_stranger_and_a_forger_are_unsigned() -> None:
    stranger = AddCheckpoint(old=0, proof=(), note=note_of(LEAVES, 3, seed=6))
    assert ask(stranger).answer is Answer.UNSIGNED
    forged = replace(stranger, note=note_of(LEAVES, 3).replace(b"\n3\n", b"\n4\n"))
    assert ask(forged).answer is Answer.UNSIGNED


def test_another_old_size_is_answered_with_the_kept_one() -> None:
    decision = ask(request(2, 7), note_of(LEAVES, 3))
    assert (decision.answer, decision.kept) == (Answer.OTHER_SIZE, 3)
    rolled_back = ask(request(2, 2), note_of(LEAVES, 3))
    assert (rolled_back.answer, rolled_back.kept) == (Answer.OTHER_SIZE, 3)
    unseen = ask(request(3, 7))
    assert (unseen.answer, unseen.kept) == (Answer.OTHER_SIZE, 0)


def test_a_fork_of_one_size_is_proof_whatever_old_says() -> None:
    mine, other = note_of(LEAVES, 3), note_of(FORKED, 3)
    decision = ask(request(3, 3, FORKED), mine)
    assert (decision.answer, decision.fork) == (Answer.INCONSISTENT, (mine, other))
    elsewhere = ask(request(0, 3, FORKED), mine)
    assert (elsewhere.answer, elsewhere.fork) == (Answer.OTHER_SIZE, (mine, other))


def test_a_proof_that_fails_is_a_doubt_and_no_proof() -> None:
    mine, other = note_of(LEAVES, 3), note_of(FORKED, 7)
    forked = ask(request(3, 7, FORKED), mine)
    assert (forked.answer, forked.fork, forked.doubt) == (Answer.INCONSISTENT, None, (mine, other))
    spoilt = ask(replace(request(3, 7), proof=()), mine)
    assert spoilt.answer is Answer.INCONSISTENT
    assert spoilt.fork is None, "anybody may send a true checkpoint with a wrong proof"
    needless = ask(replace(request(0, 3), proof=(bytes(32),)))
    assert (needless.answer, needless.doubt) == (Answer.INCONSISTENT, None)


def test_a_request_is_read_as_it_is_written() -> None:
    sent = request(3, 7)
    assert parse_add_checkpoint(sent.encode()) == sent
    with pytest.raises(MalformedData):
        replace(sent, proof=(bytes(32),) * 64)
    with pytest.raises(MalformedData):
        replace(sent, old=-1)


def test_a_kept_size_is_a_number_and_a_newline() -> None:
    assert parse_kept_size(b"17\n") == 17
    for data in (b"17", b"017\n", b"-1\n", b"9" * 16 + b"\n", b"17\n\n"):
        with pytest.raises(MalformedData):
            parse_kept_size(data)
