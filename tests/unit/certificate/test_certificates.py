"""Proofs and drills: who signed, what they say, and that a verdict cannot be had for less."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import SignatureInvalid
from exclave.authority.persons import SignatureMissing
from exclave.certificate.drill import Drill, parse_drill, verify_drill
from exclave.certificate.proof import Proof, parse_proof, verify_proof
from exclave.certificate.results import (
    AssertionOutcome,
    CertificateForeign,
    VerdictUnfounded,
    one_line,
)
from exclave.errors import QuorumNotReached
from exclave.ids import DepositId
from tests.support.certificates import (
    make_drill,
    make_proof,
    result,
    results,
    signed_drill,
    signed_proof,
    warrant_for,
)
from tests.support.vault_world import START, World, ed, new_world


@pytest.fixture(scope="module")
def world() -> World:
    return new_world()


def test_a_proof_verifies(world: World) -> None:
    proof = make_proof(world)
    assert verify_proof(signed_proof(world, proof), world.charter) == proof
    assert proof.passed


def test_a_proof_of_another_mission_or_charter(world: World) -> None:
    envelope = signed_proof(world, make_proof(world))
    with pytest.raises(MissionMismatch):
        verify_proof(envelope, new_world().charter)
    later = replace(world.charter, version=2, mission=world.mission, previous=bytes(32))
    with pytest.raises(CertificateForeign, match=r"proof\.charter"):
        verify_proof(envelope, later)


def test_a_proof_needs_both_keys(world: World) -> None:
    envelope = signed_proof(world, make_proof(world))
    half = replace(envelope, signatures=envelope.signatures[:1])
    with pytest.raises(SignatureMissing):
        verify_proof(half, world.charter)


def test_a_changed_proof_is_refused(world: World) -> None:
    envelope = signed_proof(world, make_proof(world))
    changed = envelope.payload.replace(b'"rows":1000', b'"rows":9000')
    with pytest.raises(SignatureInvalid):
        verify_proof(replace(envelope, payload=changed), world.charter)


def test_a_drill_verifies_with_its_warrant(world: World) -> None:
    reader = ed()
    warrant = warrant_for(world, reader)
    drill = make_drill(world, warrant)
    found, allowed = verify_drill(signed_drill(drill, reader), warrant, world.charter)
    assert (found, allowed.reader_key) == (drill, reader.public)
    assert found.passed
    assert not found.late


def test_a_drill_that_another_reader_signed(world: World) -> None:
    warrant = warrant_for(world, ed())
    with pytest.raises(SignatureMissing):
        verify_drill(signed_drill(make_drill(world, warrant), ed()), warrant, world.charter)


def test_a_drill_under_a_warrant_that_too_few_signed(world: World) -> None:
    reader = ed()
    warrant = warrant_for(world, reader, people=(0,))
    with pytest.raises(QuorumNotReached):
        verify_drill(signed_drill(make_drill(world, warrant), reader), warrant, world.charter)


def test_a_drill_of_another_warrant_deposit_or_time(world: World) -> None:
    reader = ed()
    warrant = warrant_for(world, reader)
    other = warrant_for(world, reader, deposits=[DepositId(b"\x09" * 16)])
    with pytest.raises(CertificateForeign, match=r"drill\.warrant"):
        verify_drill(signed_drill(make_drill(world, warrant), reader), other, world.charter)
    with pytest.raises(CertificateForeign, match=r"drill\.deposit"):
        verify_drill(signed_drill(make_drill(world, other), reader), other, world.charter)
    early = make_drill(world, warrant, prepared=START - timedelta(days=1))
    with pytest.raises(CertificateForeign, match=r"drill\.prepared"):
        verify_drill(signed_drill(early, reader), warrant, world.charter)


UNHELD = AssertionOutcome(name="owners", held=False, said="f", seconds=0)


@pytest.mark.parametrize(
    "change",
    [
        {"results": results(("land", "wills"))},
        {"results": results(failure="no space left")},
        {"registers": ()},
    ],
    ids=["fewer than declared", "ended by a failure", "nothing"],
)
def test_what_is_not_whole_has_not_passed(world: World, change: dict[str, object]) -> None:
    drill = make_drill(world, warrant_for(world, ed()), **change)  # type: ignore[arg-type]
    assert not drill.passed
    _cannot_be_written_as_passed(drill)


@pytest.mark.parametrize(
    "register",
    [result(differences=1), result(assertions=(UNHELD,))],
    ids=["differences", "an assertion"],
)
def test_what_is_not_good_has_not_passed(world: World, register: object) -> None:
    drill = make_drill(world, warrant_for(world, ed()), register)  # type: ignore[arg-type]
    assert not drill.passed
    _cannot_be_written_as_passed(drill)
    assert not make_proof(world, register).passed  # type: ignore[arg-type]


def _cannot_be_written_as_passed(drill: Drill) -> None:
    """Neither by the type, which takes no verdict, nor by whoever signs bytes of his own."""
    assert "passed" not in {*Drill.__slots__, *Proof.__slots__}
    payload = signed_drill(drill).payload.replace(b'"passed":false', b'"passed":true')
    with pytest.raises(VerdictUnfounded, match="expected false by what was found, got true"):
        parse_drill(Envelope(payload=payload, kind=Kind.DRILL))


def test_a_passed_proof_cannot_be_hidden(world: World) -> None:
    payload = signed_proof(world, make_proof(world)).payload
    with pytest.raises(VerdictUnfounded):
        parse_proof(
            Envelope(payload=payload.replace(b'"passed":true', b'"passed":false'), kind=Kind.PROOF)
        )


def test_what_a_drill_says_of_one_register(world: World) -> None:
    warrant = warrant_for(world, ed())
    of = results(("land", "wills", "deeds"))
    found = result("land"), result("wills", differences=1)
    drill = make_drill(world, warrant, *found, results=of)
    said = [drill.came_back(name) for name in ("land", "wills", "deeds", "other")]
    assert said == [True, False, False, None]
    partial = make_drill(world, warrant, *found, results=of, only=("land", "wills"))
    assert [partial.came_back(name) for name in ("land", "deeds")] == [True, None]
    # One of some registers never passes, also when each of them came back.
    good = make_drill(world, warrant, result("land"), results=of, only=("land",))
    assert not good.passed
    _cannot_be_written_as_passed(good)


@pytest.mark.parametrize(
    ("forecast", "work_ms", "foreseen"),
    [
        (None, 5000, None),
        (100, 130_000, True),
        (100, 130_001, False),
        (100, 69_999, False),
        (1, 11_000, True),
        (1, 11_001, False),
    ],
)
def test_a_forecast_holds_within_30_percent(
    world: World, forecast: int | None, work_ms: int, foreseen: bool | None
) -> None:
    drill = make_drill(world, warrant_for(world, ed()))
    item = replace(drill.registers[0], forecast=forecast, work_ms=work_ms, rto_ms=work_ms)
    assert item.foreseen is foreseen
    drill = replace(drill, registers=(item,))
    assert drill.unforeseen == (("land",) if foreseen is False else ())
    assert parse_drill(signed_drill(drill)) == drill


def test_what_came_too_late_passed_and_is_said(world: World) -> None:
    drill = make_drill(world, warrant_for(world, ed()))
    slow = replace(drill.registers[0], rto=60)
    late = replace(drill, registers=(slow,))
    assert late.passed
    assert late.late == ("land",)


def test_what_databases_say_becomes_one_line() -> None:
    assert one_line('ERROR:  relation "x"\n\tdoes not exist\x1b[31m') == (
        'ERROR: relation "x" does not exist [31m'
    )
    assert len(one_line("x" * 5000)) == 300
    assert one_line("scans/b\udcff") == r"scans/b\udcff"
