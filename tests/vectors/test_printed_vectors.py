"""Every vector of printed sheets."""

import hashlib

import pytest

from exclave.carried.printed import join_parts
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_printed

CASES = load("printed")


def measured(file: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(file).hexdigest(), "bytes": len(file)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    assert case.operation == "join-parts"
    require_expected(case, lambda: measured(join_parts(case.given["lines"])))


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_printed.folders())
