"""Every vector of alarms and sweeps."""

from collections.abc import Callable
from typing import Any

import pytest

from exclave.authority.alarm import alarm_envelope, parse_alarm
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.swept import parse_swept, swept_envelope
from exclave.clock import format_time
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_keeping

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
    require_expected(case, lambda: run(payload))


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in CASES} == set(OPERATIONS)


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_keeping.folders())
