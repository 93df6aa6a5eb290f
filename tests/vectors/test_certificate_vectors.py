"""Every vector of certificates: what they say, and that nobody can write down another verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from exclave.authority.attestation import attestation_envelope, parse_attestation
from exclave.authority.envelope import Envelope, Kind
from exclave.certificate.drill import drill_envelope, parse_drill
from exclave.certificate.proof import parse_proof, proof_envelope
from exclave.certificate.sealed import open_attested
from exclave.certificate.standing import parse_standing, standing_envelope
from exclave.errors import ExclaveError
from exclave.sealing.recovery import XWingPrivateKey
from tests.vectors.cases import Loaded, load
from tools import make_vectors_certificates
from tools.vector_cases import ROOT

CASES = load("certificates")


def proof(given: dict[str, Any]) -> dict[str, Any]:
    payload = given["payload"].encode()
    parsed = parse_proof(Envelope(payload=payload, kind=Kind.PROOF))
    assert proof_envelope(parsed).payload == payload
    return {"passed": parsed.passed}


def drill(given: dict[str, Any]) -> dict[str, Any]:
    payload = given["payload"].encode()
    parsed = parse_drill(Envelope(payload=payload, kind=Kind.DRILL))
    assert drill_envelope(parsed).payload == payload
    return {"passed": parsed.passed}


def attestation(given: dict[str, Any]) -> dict[str, Any]:
    payload = given["payload"].encode()
    parsed = parse_attestation(Envelope(payload=payload, kind=Kind.ATTESTATION))
    assert attestation_envelope(parsed).payload == payload
    opened = open_attested(parsed, XWingPrivateKey.from_seed(bytes.fromhex(given["seed"])))
    return {"certificate": opened.statement_hash.hex(), "passed": parse_proof(opened).passed}


def standing(given: dict[str, Any]) -> dict[str, Any]:
    payload = given["payload"].encode()
    parsed = parse_standing(Envelope(payload=payload, kind=Kind.STANDING))
    assert standing_envelope(parsed).payload == payload
    return {"registers": len(parsed.registers), "deposits": len(parsed.deposits)}


OPERATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "parse-proof": proof,
    "parse-drill": drill,
    "open-attestation": attestation,
    "parse-standing": standing,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    run = OPERATIONS[case.operation]
    if "refused" not in case.expect:
        assert run(case.given) == case.expect
        return
    with pytest.raises(ExclaveError) as caught:
        run(case.given)
    assert type(caught.value).__name__ == case.expect["refused"]


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in CASES} == set(OPERATIONS)


def test_generator_writes_what_is_committed() -> None:
    for folder, cases in make_vectors_certificates.folders().items():
        texts = {f"{case.case}.json": case.encode() for case in cases}
        found = {path.name: path.read_text() for path in (ROOT / "vectors" / folder).iterdir()}
        assert found == texts
