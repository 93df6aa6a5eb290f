"""Sealing: round trips, one encoding, and only named errors for arbitrary bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exclave.errors import ExclaveError
from exclave.ids import DepositId, Epoch, MissionId
from exclave.sealing.hpke import SealedValueRejected, seal, unseal
from exclave.sealing.pack import (
    HEADER_SIZE,
    PackHeader,
    PackKind,
    PackRejected,
    open_pack,
    plain_length,
    seal_pack,
    sealed_length,
)
from exclave.sealing.recovery import XWingPrivateKey, XWingPublicKey
from tests.fuzz.fuzz_pack_header import check_pack
from tests.oracles import sealing as oracle

KEY = XWingPrivateKey.from_seed(b"k" * 32)
SECRET, VEIL = b"e" * 32, b"v" * 32


def sized(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


headers = st.builds(
    PackHeader,
    kind=st.sampled_from(PackKind),
    k=st.integers(1, 255),
    epoch=st.integers(1, 2**32 - 1).map(Epoch),
    mission=sized(32).map(MissionId),
    deposit=sized(16).map(DepositId),
    key_hash=sized(32),
    sealed_secret=st.binary(min_size=4, max_size=4).map(lambda part: part * 292),
    salt=sized(32),
)
# Sizes around the ends of segments, without drawing so many bytes.
plaintexts = st.builds(
    lambda size, fill: (fill * (size // len(fill) + 1))[:size],
    st.one_of(st.integers(0, 100), st.integers(16380, 16390), st.integers(32760, 32775)),
    st.binary(min_size=1, max_size=50),
)
HEADER = PackHeader(
    kind=PackKind.DATA,
    k=3,
    epoch=Epoch(1),
    mission=MissionId(b"m" * 32),
    deposit=DepositId(b"d" * 16),
    key_hash=b"h" * 32,
    sealed_secret=b"s" * 1168,
    salt=b"t" * 32,
)
PACK = bytes(seal_pack(HEADER, secret=SECRET, veil=VEIL, plaintext=bytes(range(256)) * 65))


@given(headers, sized(32), sized(32), plaintexts)
def test_pack_round_trip(header: PackHeader, secret: bytes, veil: bytes, plaintext: bytes) -> None:
    sealed = seal_pack(header, secret=secret, veil=veil, plaintext=plaintext)
    assert len(sealed) == sealed_length(len(plaintext))
    assert plain_length(len(sealed)) == len(plaintext)
    found, opened = open_pack(sealed, secret=secret, veil=veil)
    assert found == header
    assert opened == plaintext
    assert oracle.open_pack(bytes(sealed), secret, veil) == plaintext


@given(headers)
def test_header_has_one_encoding(header: PackHeader) -> None:
    assert PackHeader.decode(header.encode()) == header


@given(st.integers(0, len(PACK) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(offset: int, change: int) -> None:
    broken = bytearray(PACK)
    broken[offset] ^= change
    with pytest.raises(PackRejected):
        open_pack(broken, secret=SECRET, veil=VEIL)


def test_every_byte_of_the_header_counts() -> None:
    for offset in range(HEADER_SIZE + 57):
        broken = bytearray(PACK)
        broken[offset] ^= 0x80
        with pytest.raises(PackRejected):
            open_pack(broken, secret=SECRET, veil=VEIL)


@given(st.integers(0, len(PACK) - 1), st.binary(max_size=40))
def test_any_other_end_is_refused(length: int, tail: bytes) -> None:
    broken = PACK[:length] + tail
    if broken != PACK:
        with pytest.raises(PackRejected):
            open_pack(broken, secret=SECRET, veil=VEIL)


@given(st.one_of(st.binary(max_size=2000), st.binary(max_size=60).map(lambda b: PACK[:1290] + b)))
def test_pack_decoder_refuses_by_name(data: bytes) -> None:
    check_pack(data)


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_sealed_value_round_trip(plaintext: bytes, info: bytes) -> None:
    sealed = seal(KEY.public, plaintext, info)
    assert unseal(KEY, sealed, info) == plaintext
    with pytest.raises(SealedValueRejected):
        unseal(KEY, sealed, info + b"\0")


SEALED = seal(KEY.public, b"words", b"info")


@example(1119, 7)  # masked by X25519 (RFC 7748), yet hashed by X-Wing
@given(st.integers(0, len(SEALED) - 1), st.integers(0, 7))
def test_any_changed_bit_of_a_sealed_value_is_refused(offset: int, bit: int) -> None:
    broken = bytearray(SEALED)
    broken[offset] ^= 1 << bit
    with pytest.raises(SealedValueRejected):
        unseal(KEY, bytes(broken), b"info")


@given(st.one_of(st.binary(max_size=50), sized(1216), st.binary(max_size=2000)))
def test_key_decoders_refuse_by_name(data: bytes) -> None:
    for decode in (XWingPublicKey, XWingPrivateKey.from_seed, lambda raw: unseal(KEY, raw, b"")):
        try:
            decode(data)
        except ExclaveError:
            continue
        assert len(data) in {32, 1216}
