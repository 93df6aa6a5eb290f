"""Receipts against the charters of a mission: seat, witnesses with their states, or neither."""

from dataclasses import replace

import pytest

from exclave.authority.charter_settings import ExternalWitness
from exclave.authority.witnesses import witnesses_of
from exclave.certificate.receipts import ReceiptForeign, verify_seat_receipt
from exclave.engine.memory import MemoryEngine
from exclave.ledger.note import MAX_COSIGNED_LINES, NoteForged, NoteUnsigned, parse_note
from exclave.ledger.receipt import parse_receipt
from exclave.vault.mission.submission import submit
from tests.support.serving import open_mission
from tests.support.vault_world import SEATS, World, ed, new_world, next_charter, witnessed

WORLD = new_world()


def receipt_of(world: World, *, cosigned: bool, charters: tuple[bytes, ...] = ()) -> bytes:
    mission = open_mission(world, MemoryEngine())
    for charter in charters:
        submit(mission, charter)
    if cosigned:
        witnessed(world, mission, fellows=SEATS[1:2])
    head = mission.cosigned_head()
    return mission.log.receipt(0, None if head is None else head.note)


def test_a_cosigned_receipt_names_its_witnesses_and_their_states() -> None:
    found = verify_seat_receipt(receipt_of(WORLD, cosigned=True), [WORLD.charter])
    assert found.cosigned
    assert found.seat == SEATS[0]
    assert found.named() == ["seat 1, vault-1 in XA", "seat 2, vault-2 in XB"]


def test_a_provisional_receipt_proves_the_log_alone() -> None:
    found = verify_seat_receipt(receipt_of(WORLD, cosigned=False), [WORLD.charter])
    assert (found.cosigned, found.named()) == (False, [])


def test_the_charter_whose_witnesses_signed_decides() -> None:
    strange = new_world()
    seats = tuple(
        replace(seat, witness_keys=strange.vaults[seat.seat].witness)
        for seat in WORLD.charter.seats
    )
    later, _ = next_charter(WORLD, seats=seats)
    receipt = receipt_of(WORLD, cosigned=True)
    assert not verify_seat_receipt(receipt, [later]).cosigned
    assert verify_seat_receipt(receipt, [later, WORLD.charter]).charter == WORLD.charter


def test_a_receipt_of_another_mission_or_key_is_refused() -> None:
    receipt, other = receipt_of(WORLD, cosigned=True), new_world()
    with pytest.raises(ReceiptForeign):
        verify_seat_receipt(receipt, [other.charter])
    first, *rest = WORLD.charter.seats
    rekeyed = replace(first, log_key=ed().public)
    later, _ = next_charter(WORLD, seats=(rekeyed, *rest))
    with pytest.raises(NoteUnsigned):
        verify_seat_receipt(receipt, [later])


def test_a_cosignature_that_fails_refuses_the_receipt() -> None:
    parsed = parse_receipt(receipt_of(WORLD, cosigned=True))
    note = parse_note(parsed.checkpoint, most=MAX_COSIGNED_LINES)
    last = note.signatures[-1]
    spoilt = replace(last, signature=last.signature[:-1] + bytes([last.signature[-1] ^ 1]))
    note = replace(note, signatures=(*note.signatures[:-1], spoilt))
    with pytest.raises(NoteForged):
        verify_seat_receipt(replace(parsed, checkpoint=note.encode()).encode(), [WORLD.charter])


def test_external_witnesses_are_parties_unless_no_note_can_name_them() -> None:
    external = (
        ExternalWitness(name="witness.example/w1", key=ed().public),
        ExternalWitness(name="two words", key=ed().public),
    )
    charter = replace(WORLD.charter, witness=replace(WORLD.charter.witness, q=3, external=external))
    assert [party.label for party in witnesses_of(charter).parties] == [
        "seat 1", "seat 2", "seat 3", "witness.example/w1",
    ]  # fmt: skip
