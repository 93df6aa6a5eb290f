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
from exclave.sealing.recovery import XWingPrivateKey
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_certificates

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
    require_expected(case, lambda: OPERATIONS[case.operation](case.given))


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in CASES} == set(OPERATIONS)


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_certificates.folders())
