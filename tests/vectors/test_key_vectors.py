"""Every vector of key files."""

import pytest

from exclave.signer.bundle import KeyBundle
from exclave.signer.file import decode_key_file
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_keys

CASES = load("keys")


def opened(case: Loaded) -> KeyBundle:
    assert case.operation == "seat-key"
    passphrase = case.given["passphrase"]
    ask = None if passphrase is None else passphrase.encode
    return decode_key_file(case.given["file"].encode(), ask)


def known(bundle: KeyBundle) -> dict[str, str]:
    return {"id": bundle.id, "key_hash": bundle.public[1].xwing.key_hash.hex()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    require_expected(case, lambda: known(opened(case)))


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_keys.folders())
