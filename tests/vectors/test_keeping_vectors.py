"""Every vector of alarms and sweeps."""

from collections.abc import Callable
from typing import Any

import pytest

from exclave.authority.alarm import alarm_envelope, parse_alarm
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.swept import parse_swept, swept_envelope
from exclave.clock import format_time
from exclave.errors import ExclaveError
from tests.vectors.cases import Loaded, load
from tools import make_vectors_keeping
from tools.vector_cases import ROOT

CASES = load("keeping")


def alarm(payload: bytes) -> dict[str, Any]:
    parsed = parse_alarm(Envelope(payload=payload, kind=Kind.ALARM))
    assert alarm_envelope(parsed).payload == payload
    return {"cause": parsed.cause.value, "began": format_time(parsed.began)}


def swept(payload: bytes) -> dict[str, Any]:
    parsed = parse_swept(Envelope(payload=payload, kind=Kind.SWEPT))
    assert swept_envelope(parsed).payload == payload
    return {"shards": len(parsed.shards)}


OPERATIONS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "parse-alarm": alarm,
    "parse-swept": swept,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    run, payload = OPERATIONS[case.operation], case.given["payload"].encode()
    if "refused" not in case.expect:
        assert run(payload) == case.expect
        return
    with pytest.raises(ExclaveError) as caught:
        run(payload)
    assert type(caught.value).__name__ == case.expect["refused"]


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in CASES} == set(OPERATIONS)


def test_generator_writes_what_is_committed() -> None:
    for folder, cases in make_vectors_keeping.folders().items():
        texts = {f"{case.case}.json": case.encode() for case in cases}
        found = {path.name: path.read_text() for path in (ROOT / "vectors" / folder).iterdir()}
        assert found == texts
