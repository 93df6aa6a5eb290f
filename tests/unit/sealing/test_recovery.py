"""X-Wing keys: expansion, refusal, key-check value."""

import hashlib

import pytest

from exclave.errors import MalformedData
from exclave.sealing.recovery import (
    KeyCheckMismatch,
    PublicKeyRejected,
    XWingPrivateKey,
    XWingPublicKey,
    generate_seed,
    key_check_value,
    verify_key_check,
)
from tests.oracles import sealing as oracle

SEED = bytes(range(32))


def test_public_key_is_the_oracles() -> None:
    key = XWingPrivateKey.from_seed(SEED)
    assert key.public.raw == oracle.xwing_public(SEED)
    assert key.public.key_hash == hashlib.sha256(key.public.raw).digest()
    assert key.seed == SEED


def test_same_bytes_are_the_same_public_key() -> None:
    raw = XWingPrivateKey.from_seed(SEED).public.raw
    assert XWingPublicKey(raw) == XWingPublicKey(bytes(raw))
    assert len({XWingPublicKey(raw), XWingPublicKey(raw)}) == 1


@pytest.mark.parametrize("size", [0, 31, 33, 96])
def test_seed_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedData, match="expected 32 bytes"):
        XWingPrivateKey.from_seed(bytes(size))


def test_short_random_source_is_refused() -> None:
    with pytest.raises(MalformedData, match="expected 32 bytes, got 31"):
        generate_seed(lambda size: bytes(size - 1))
    assert generate_seed(lambda size: b"s" * size) == b"s" * 32


def test_unusable_public_keys_are_refused() -> None:
    raw = XWingPrivateKey.from_seed(SEED).public.raw
    unreduced = b"\xff" * 384 + raw[384:]
    small_order = raw[:1184] + b"\x01" + bytes(31)
    for bad in (b"", raw[:-1], raw + b"\0", unreduced, raw[:1184] + bytes(32), small_order):
        with pytest.raises(PublicKeyRejected):
            XWingPublicKey(bad)


def test_nothing_secret_is_printed() -> None:
    key = XWingPrivateKey.from_seed(SEED)
    assert SEED.hex() not in repr(key)
    assert str(SEED) not in repr(key)
    with pytest.raises(KeyCheckMismatch) as caught:
        verify_key_check(key, key.public.key_hash, bytes(16))
    assert SEED.hex() not in str(caught.value)


def test_key_check_value_tells_seeds_apart() -> None:
    key = XWingPrivateKey.from_seed(SEED)
    value = key_check_value(key, key.public.key_hash)
    assert value == key_check_value(SEED, key.public.key_hash)
    verify_key_check(SEED, key.public.key_hash, value)
    with pytest.raises(KeyCheckMismatch, match="key-check value"):
        verify_key_check(bytes(32), key.public.key_hash, value)
    with pytest.raises(KeyCheckMismatch):
        verify_key_check(SEED, bytes(32), value)
    with pytest.raises(KeyCheckMismatch):
        verify_key_check(SEED, key.public.key_hash, value[:15])
