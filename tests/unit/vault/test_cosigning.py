"""Witness and cosigned log without a line: state, quorum, `witnessed` entries, liars, evidence."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from exclave import clock
from exclave.authority.charter import charter_payload
from exclave.authority.charter_settings import Dispersal
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.evidence import parse_evidence
from exclave.authority.witnesses import log_verifiers, witnesses_of
from exclave.engine.memory import MemoryEngine
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, log_verifier, origin_for, sign_checkpoint
from exclave.ledger.cosignature import WitnessQuorumMissing, cosign
from exclave.ledger.entry import EntryType
from exclave.ledger.note import (
    NoteSigner,
    encode_signatures,
    parse_note,
)
from exclave.ledger.receipt import parse_receipt, verify_witnessed_receipt
from exclave.ledger.witness import AddCheckpoint, Answer
from exclave.vault.kept.cosigned import covered_size
from exclave.vault.kept.storage import COSIGNED
from exclave.vault.kept.witnessing import WitnessStateBroken
from exclave.vault.line.identity import new_identity
from exclave.vault.mission.cosigning import (
    MAX_EVIDENCE,
    WitnessFailed,
    check_lines,
    head_of,
    keep_cosigned,
    log_evidence,
    newest_cosigned,
    own_lines,
    request_for,
    witness_checkpoint,
    witness_now,
)
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.serving import open_mission
from tests.support.vault_world import (
    SEATS,
    START,
    World,
    fellow_lines,
    new_world,
    next_charter,
    witnessed,
)

ONE, TWO, THREE = SEATS


def kinds(mission: Mission) -> list[str]:
    return [entry.type.value for _, entry in mission.log.entries()]


def signed_note(world: World, seat: Seat, size: int, root: bytes) -> bytes:
    log, name = world.vaults[seat].log, origin_for(world.mission, seat)
    signer = NoteSigner(name=name, public_key=log.public.raw, sign=log.sign)
    return sign_checkpoint(Checkpoint(origin=name, size=size, root=root), signer)


def first_request(note: bytes, old: int = 0) -> bytes:
    return AddCheckpoint(old=old, proof=(), note=note).encode()


# The log


def test_a_quorum_is_kept_and_what_waits_for_it_is_logged_once() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    assert mission.cosigned_head() is None
    with pytest.raises(WitnessQuorumMissing):
        witness_now(mission)
    assert mission.cosigned_head() is None
    (cosigned,) = witnessed(world, mission, fellows=(TWO,))
    assert [item.party.key for item in cosigned.by] == [ONE, TWO]
    assert kinds(mission) == ["charter", "witnessed"]
    _, entry = list(mission.log.entries())[1]
    assert covered_size(mission.log.body(entry.hash)) == 1
    witnessed(world, mission)
    witnessed(world, mission)
    assert kinds(mission) == ["charter", "witnessed"], "a log at rest does not grow"
    assert mission.cosigned_head().checkpoint.size == 2


def test_a_mission_of_one_seat_cosigns_itself() -> None:
    world = new_world()
    charter = replace(
        world.charter,
        seats=world.charter.seats[:1],
        dispersal=Dispersal(k=1, n=1, h=1),
        witness=replace(world.charter.witness, q=1),
    )
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    world = replace(world, charter=charter, envelope=world.officials_sign(envelope, (0, 1)))
    mission = open_mission(world, MemoryEngine())
    assert witness_now(mission).complete
    assert kinds(mission) == ["charter", "witnessed"]
    assert mission.witness_times().keys() == {ONE}


def test_only_what_waits_is_witnessed() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    witnessed(world, mission)
    submit(mission, world.signed(world.deposit()[0]))
    witnessed(world, mission)
    assert kinds(mission)[2:] == ["record"]
    submit(mission, world.warrant(new_identity("reader", START), people=(0,)))
    submit(mission, next_charter(world)[1])
    witnessed(world, mission)
    assert kinds(mission)[3:] == ["warrant", "charter", "witnessed"]


def test_what_waited_before_a_restart_is_still_due() -> None:
    world, engine = new_world(), MemoryEngine()
    mission = open_mission(world, engine)
    witnessed(world, mission)
    submit(mission, world.warrant(new_identity("reader", START)))
    again = open_mission(world, engine)
    assert again.cosigned_head() == mission.cosigned_head()
    witnessed(world, again)
    assert kinds(again) == ["charter", "witnessed", "warrant", "witnessed"]


def test_times_of_witnesses_are_their_stamps_and_ours_is_now() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine(), now=lambda: START + timedelta(seconds=30))
    assert mission.witness_times() == {ONE: START + timedelta(seconds=30)}
    witnessed(world, mission, fellows=(TWO, THREE), moment=START)
    assert mission.witness_times() == {
        ONE: START + timedelta(seconds=30), TWO: START, THREE: START,
    }  # fmt: skip


def test_a_charter_that_names_other_witness_keys_ends_old_quorums() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    witnessed(world, mission, fellows=(TWO,))
    other = new_world()
    seats = tuple(
        replace(seat, witness_keys=other.vaults[seat.seat].witness) for seat in world.charter.seats
    )
    submit(mission, next_charter(world, seats=seats)[1])
    assert mission.cosigned_head() is None
    assert mission.witness_times() == {}
    assert not mission.keys_seated()


def test_a_torn_cosigned_note_is_made_again() -> None:
    world, engine = new_world(), MemoryEngine()
    witnessed(world, open_mission(world, engine))
    engine.replace_head(COSIGNED, b"torn")
    mission = open_mission(world, engine)
    assert mission.cosigned_head() is None
    witnessed(world, mission)
    assert mission.cosigned_head() is not None


def test_a_slow_round_does_not_replace_a_later_one() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    slow = head_of(mission)
    lines = [*own_lines(mission, slow), *fellow_lines(world, mission, [TWO])]
    submit(mission, world.signed(world.deposit()[0]))
    witnessed(world, mission)
    newest = mission.cosigned_head()
    keep_cosigned(mission, slow, lines)
    assert mission.cosigned_head() == newest


def test_receipts_are_cosigned_where_the_quorum_covers_them() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    witnessed(world, mission)
    submit(mission, world.signed(world.deposit()[0]))
    log = log_verifier(world.mission, ONE, world.vaults[ONE].log.public.raw)
    witnesses = witnesses_of(world.charter)
    head = mission.cosigned_head()
    covered = parse_receipt(mission.log.receipt(0, head.note))
    proven = verify_witnessed_receipt(covered, log, witnesses)
    assert proven.cosigned
    assert [item.party.label for item in proven.by] == ["seat 1", "seat 2", "seat 3"]
    assert proven.entry.type is EntryType.CHARTER
    later = parse_receipt(mission.log.receipt(2, head.note))
    assert not verify_witnessed_receipt(later, log, witnesses).cosigned


# What a witness answers


def test_a_fellow_counts_with_its_own_lines_of_this_text_and_time() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    head = head_of(mission)
    party = head.witnesses.party(TWO)
    good = encode_signatures(fellow_lines(world, mission, [TWO]))
    lines = check_lines(head, party, good, mission.clock())
    assert len(lines) == 2
    third = encode_signatures(fellow_lines(world, mission, [THREE]))
    assert check_lines(head, party, good + third, mission.clock()) == lines
    for answer in (b"", b"\n", third, good[:-1], good.splitlines(keepends=True)[0], b"x" * 5000):
        with pytest.raises(WitnessFailed, match="seat 2"):
            check_lines(head, party, answer, mission.clock())


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_stale_or_future_time_does_not_count(seconds: int) -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    head, moment = head_of(mission), mission.clock() + timedelta(seconds=seconds)
    answer = encode_signatures(fellow_lines(world, mission, [TWO], moment))
    with pytest.raises(WitnessFailed, match="within 60 seconds"):
        check_lines(head, head.witnesses.party(TWO), answer, mission.clock())


def test_a_replay_for_an_older_size_is_refused() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    old = encode_signatures(fellow_lines(world, mission, [TWO]))
    submit(mission, world.signed(world.deposit()[0]))
    head = head_of(mission)
    with pytest.raises(WitnessFailed, match="does not verify"):
        check_lines(head, head.witnesses.party(TWO), old, mission.clock())


def test_a_wrong_key_under_a_witness_name_is_refused() -> None:
    world, other = new_world(), new_world()
    mission = open_mission(world, MemoryEngine())
    head = head_of(mission)
    liar = other.vaults[TWO].cosigner(world.mission, TWO)
    answer = encode_signatures(cosign(head.note.text, liar, int(START.timestamp())))
    with pytest.raises(WitnessFailed, match="got others"):
        check_lines(head, head.witnesses.party(TWO), answer, mission.clock())


def test_a_witness_that_has_seen_more_than_there_is_says_so() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    with pytest.raises(WitnessFailed, match="at most 1 entries"):
        request_for(mission, head_of(mission), 2)


def test_a_vault_put_back_to_an_older_state_does_not_cosign_itself() -> None:
    world, engine = new_world(), MemoryEngine()
    mission = open_mission(world, engine)
    older = mission.log.note
    submit(mission, world.signed(world.deposit()[0]))
    witnessed(world, mission)
    engine.replace_head("log/checkpoint", older)  # and the witness's state is as it was
    again = open_mission(world, engine)
    with pytest.raises(WitnessFailed, match="expected at most 1 entries seen"):
        own_lines(again, head_of(again))


# The witness


def test_a_witness_goes_on_from_what_it_kept_also_after_a_restart() -> None:
    world, engine = new_world(), MemoryEngine()
    log, witness = open_mission(world, MemoryEngine(), seat=TWO), open_mission(world, engine)
    first = witness_checkpoint(witness, request_for(log, head_of(log), 0))
    assert first.decision.answer is Answer.COSIGNED
    submit(log, world.signed(world.deposit()[0]))
    again = open_mission(world, engine)
    unaware = witness_checkpoint(again, request_for(log, head_of(log), 0))
    assert (unaware.decision.answer, unaware.decision.kept) == (Answer.OTHER_SIZE, 1)
    found = witness_checkpoint(again, request_for(log, head_of(log), 1))
    check_lines(
        head_of(log), head_of(log).witnesses.party(ONE), encode_signatures(found.lines), clock.now()
    )
    origin = hashlib.sha256(origin_for(world.mission, TWO).encode()).digest()
    assert parse_note(newest_cosigned(again, origin)).signatures[1:] == found.lines
    assert newest_cosigned(again, bytes(32)) is None


def test_state_that_cannot_be_read_stops_the_witness_of_that_log() -> None:
    world, engine = new_world(), MemoryEngine()
    log, witness = open_mission(world, MemoryEngine(), seat=TWO), open_mission(world, engine)
    other = signed_note(world, THREE, 1, bytes(32))
    for data in (b"torn", other):
        engine.replace_head("meta/witness-2", data)
        with pytest.raises(WitnessStateBroken):
            witness_checkpoint(witness, request_for(log, head_of(log), 0))
    assert witness_checkpoint(witness, first_request(other)).decision.answer is Answer.COSIGNED


def test_a_fork_shown_to_a_witness_becomes_evidence_once() -> None:
    world = new_world()
    log, witness = (
        open_mission(world, MemoryEngine(), seat=TWO),
        open_mission(world, MemoryEngine()),
    )
    witness_checkpoint(witness, request_for(log, head_of(log), 0))
    forked = signed_note(world, TWO, 1, bytes(32))
    for old in (1, 0, 1):
        found = witness_checkpoint(witness, first_request(forked, old=old))
        assert found.lines == ()
        assert found.decision.answer is (Answer.INCONSISTENT if old else Answer.OTHER_SIZE)
    assert kinds(witness) == ["charter", "evidence"]
    _, entry = list(witness.log.entries())[1]
    evidence = parse_evidence(parse_envelope(witness.log.body(entry.hash)))
    assert evidence.seat == TWO
    assert evidence.proves_alone
    evidence.verify(log_verifiers(world.charter)[origin_for(world.mission, TWO)])


def test_who_forges_his_own_log_does_not_fill_ours() -> None:
    world = new_world()
    witness = open_mission(world, MemoryEngine())
    witness_checkpoint(witness, first_request(signed_note(world, TWO, 1, bytes(32))))
    for number in range(1, MAX_EVIDENCE + 4):
        note = signed_note(world, TWO, 1, bytes([number]) * 32)
        witness_checkpoint(witness, first_request(note, old=1))
    assert kinds(witness).count("evidence") == MAX_EVIDENCE
    pair = (signed_note(world, THREE, 1, bytes(32)), signed_note(world, THREE, 1, bytes([1]) * 32))
    assert log_evidence(witness, pair), "another seat's is another matter"


def test_a_true_checkpoint_with_a_wrong_proof_is_no_evidence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = new_world()
    log, witness = (
        open_mission(world, MemoryEngine(), seat=TWO),
        open_mission(world, MemoryEngine()),
    )
    witness_checkpoint(witness, request_for(log, head_of(log), 0))
    submit(log, world.signed(world.deposit()[0]))
    found = witness_checkpoint(witness, first_request(log.log.note, old=1))
    assert found.decision.answer is Answer.INCONSISTENT
    assert kinds(witness) == ["charter"]
    assert "cosigned neither" in caplog.text
