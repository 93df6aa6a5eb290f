"""Every vector of printed sheets."""

import hashlib

import pytest

from exclave.carried.printed import join_parts
from exclave.errors import ExclaveError
from tests.vectors.cases import Loaded, load
from tools import make_vectors_printed
from tools.vector_cases import ROOT

CASES = load("printed")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    assert case.operation == "join-parts"
    lines = case.given["lines"]
    if "refused" not in case.expect:
        file = join_parts(lines)
        assert {"sha256": hashlib.sha256(file).hexdigest(), "bytes": len(file)} == case.expect
        return
    with pytest.raises(ExclaveError) as caught:
        join_parts(lines)
    assert type(caught.value).__name__ == case.expect["refused"]


def test_generator_writes_what_is_committed() -> None:
    for folder, cases in make_vectors_printed.folders().items():
        texts = {f"{case.case}.json": case.encode() for case in cases}
        found = {path.name: path.read_text() for path in (ROOT / "vectors" / folder).iterdir()}
        assert found == texts
