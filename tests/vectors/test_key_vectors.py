"""Every vector of key files."""

import pytest

from exclave.errors import ExclaveError
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import decode_key_file
from tests.vectors.cases import Loaded, load
from tools import make_vectors_keys
from tools.vector_cases import ROOT

CASES = load("keys")


def opened(case: Loaded) -> KeyBundle:
    assert case.operation == "seat-key"
    passphrase = case.given["passphrase"]
    ask = None if passphrase is None else passphrase.encode
    return decode_key_file(case.given["file"].encode(), ask)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    if "refused" not in case.expect:
        bundle = opened(case)
        key_hash = bundle.public[1].xwing.key_hash.hex()
        assert {"id": bundle.id, "key_hash": key_hash} == case.expect
        return
    with pytest.raises(ExclaveError) as caught:
        opened(case)
    assert type(caught.value).__name__ == case.expect["refused"]


def test_generator_writes_what_is_committed() -> None:
    for folder, cases in make_vectors_keys.folders().items():
        texts = {f"{case.case}.json": case.encode() for case in cases}
        found = {path.name: path.read_text() for path in (ROOT / "vectors" / folder).iterdir()}
        assert found == texts
