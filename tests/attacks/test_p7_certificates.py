"""P7: an auditor's certificate claims nothing that it does not prove.

The attacker's powers: he is the depositor, or has its keys, and signs what he likes; he has every
receipt, proof, drill and warrant that there ever was, of this mission and of others. He wants the
auditor to believe that a register is held, proven or restored which is not. And somebody on the way
changes what others signed.
"""

from __future__ import annotations

from typing import Any

import pytest

from exclave.authority.envelope import Envelope
from exclave.authority.keys import SignatureInvalid
from exclave.authority.persons import SignatureMissing
from exclave.certificate.receipts import ReceiptForeign
from exclave.certificate.results import RegisterResult
from exclave.certificate.standing import CharterMissing, ClaimUnproven, verify_standing
from exclave.errors import ExclaveError, QuorumNotReached
from exclave.ids import Seat
from exclave.ledger.receipt import parse_receipt
from exclave.values import replace
from tests.reader.loaded import load_reader
from tests.support.certificates import (
    Shown,
    ascending,
    lodged_receipts,
    make_drill,
    make_proof,
    result,
    shown,
    signed_drill,
    signed_proof,
    warrant_for,
)
from tests.support.vault_world import ed, new_world

reader = load_reader()


@pytest.fixture(scope="module")
def good() -> Shown:
    return shown(new_world())


def refused(
    good: Shown, envelope: Envelope, error: type[ExclaveError], match: str | None = None
) -> None:
    """By us, and by the standalone reader, each for its own reason."""
    with pytest.raises(error, match=match):
        verify_standing(envelope, [good.world.charter])
    with pytest.raises(reader.ReaderError):
        read_alone(good, envelope)


def read_alone(good: Shown, envelope: Envelope) -> list[str]:
    charters = reader.Charters([reader.parse_envelope(good.world.envelope.to_bytes(), "charter")])
    return list(reader.verify_standing(reader.parse_envelope(envelope.to_bytes()), charters))


def with_register(good: Shown, **changes: Any) -> dict[str, Any]:
    return {"registers": (replace(good.standing.registers[0], **changes),)}


def with_held(good: Shown, held: tuple[tuple[Seat, bytes], ...]) -> dict[str, Any]:
    return {"deposits": (replace(good.standing.deposits[0], held=held),)}


def test_what_is_proven_is_shown(good: Shown) -> None:
    found = verify_standing(good.signed(), [good.world.charter])
    (receipts,) = found.held.values()
    assert [(item.seat, item.cosigned) for item in receipts] == [(1, True), (2, True), (3, True)]
    assert (len(found.proofs), len(found.drills)) == (1, 1)
    lines = read_alone(good, good.signed())
    assert "  held at seat 2 in XB since" in "\n".join(lines)
    assert any("last restored" in line and "62 s after the warrant" in line for line in lines)


def test_a_changed_one_is_refused(good: Shown) -> None:
    envelope = good.signed()
    payload = envelope.payload.replace(b"Land register", b"Will register")
    refused(good, replace(envelope, payload=payload), SignatureInvalid)
    half = replace(envelope, signatures=envelope.signatures[:1])
    refused(good, half, SignatureMissing)


def test_a_receipt_of_another_deposit(good: Shown) -> None:
    """Rightly signed by log and witnesses, and of a record that has nothing to do with this one."""
    other, _ = good.world.deposit(size=2000)
    changes = with_held(good, lodged_receipts(good.world, other))
    refused(good, good.signed(**changes), ClaimUnproven, "expected a receipt of seat 1")


def test_a_receipt_of_another_entry_than_lodged(good: Shown) -> None:
    """The record is in the log and its shards are not: `record` is no `lodged`."""
    (seat, data), *_ = good.standing.deposits[0].held
    receipt = parse_receipt(data)
    changed = replace(receipt, entry=receipt.entry.replace(b'"lodged"', b'"record"'))
    refused(good, good.signed(**with_held(good, ((seat, changed.encode()),))), ExclaveError)


def test_one_seats_receipt_for_two_seats(good: Shown) -> None:
    (_, first), *_ = good.standing.deposits[0].held
    changes = with_held(good, ((Seat(1), first), (Seat(2), first)))
    refused(good, good.signed(**changes), ClaimUnproven, "expected a receipt of seat 2")


def test_receipts_of_another_mission(good: Shown) -> None:
    other = shown(new_world())
    changes = with_held(good, other.standing.deposits[0].held)
    refused(good, good.signed(**changes), ReceiptForeign)


def other_drill(good: Shown, *registers: RegisterResult, **changes: Any) -> dict[str, Any]:
    """The certificate with another drill in place of the good one."""
    proof = next(e for e in good.standing.statements if e.kind == "proof")
    drill = signed_drill(make_drill(good.world, good.warrant, *registers, **changes), good.reader)
    return with_register(good, drill=drill.statement_hash) | {
        "statements": ascending(proof, drill, good.warrant)
    }


def test_a_drill_that_did_not_pass(good: Shown) -> None:
    changes = other_drill(good, result(differences=1))
    refused(good, good.signed(**changes), ClaimUnproven, "expected a passed drill of register land")


def test_a_drill_of_another_register(good: Shown) -> None:
    changes = other_drill(good, result("wills"))
    refused(good, good.signed(**changes), ClaimUnproven, "expected a passed drill of register land")


def test_a_drill_that_nobody_allowed(good: Shown) -> None:
    own = ed()
    warrant = warrant_for(good.world, own, people=())
    proof = next(e for e in good.standing.statements if e.kind == "proof")
    drill = signed_drill(make_drill(good.world, warrant), own)
    changes = with_register(good, drill=drill.statement_hash) | {
        "statements": ascending(proof, drill, warrant)
    }
    refused(good, good.signed(**changes), QuorumNotReached)


def test_a_drill_of_another_reader_under_a_good_warrant(good: Shown) -> None:
    proof = next(e for e in good.standing.statements if e.kind == "proof")
    drill = signed_drill(make_drill(good.world, good.warrant), ed())
    changes = with_register(good, drill=drill.statement_hash) | {
        "statements": ascending(proof, drill, good.warrant)
    }
    refused(good, good.signed(**changes), SignatureMissing)


def test_a_proof_in_place_of_a_drill(good: Shown) -> None:
    proof = next(e for e in good.standing.statements if e.kind == "proof")
    changes = with_register(good, drill=proof.statement_hash)
    changes |= {"statements": (proof,)}
    refused(good, good.signed(**changes), ClaimUnproven, "expected a passed drill")


def test_what_it_names_and_does_not_carry(good: Shown) -> None:
    without = tuple(e for e in good.standing.statements if e.kind != "warrant")
    refused(good, good.signed(statements=without), ClaimUnproven, "expected warrant")
    without = tuple(e for e in good.standing.statements if e.kind != "proof")
    refused(good, good.signed(statements=without), ClaimUnproven, "expected certificate")


def test_what_it_carries_and_does_not_name(good: Shown) -> None:
    more = signed_proof(good.world, make_proof(good.world))
    changes = {"statements": ascending(*good.standing.statements, more)}
    refused(good, good.signed(**changes), ClaimUnproven, "got others beside them")


def test_a_charter_that_was_not_given(good: Shown) -> None:
    with pytest.raises(CharterMissing, match="expected among those given"):
        verify_standing(good.signed(), [new_world().charter])
