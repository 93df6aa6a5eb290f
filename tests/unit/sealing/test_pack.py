"""Packs: layout, the frozen Cobblestone text, buffers, one cause for each refusal."""

import dataclasses
import hashlib
from collections.abc import Callable

import pytest

from exclave.errors import MalformedData
from exclave.ids import DepositId, Epoch, MissionId
from exclave.sealing.pack import (
    HEADER_SIZE,
    PACK_OVERHEAD,
    SEGMENT_SIZE,
    CommitmentMismatch,
    HeaderInvalid,
    NotAPack,
    PackHeader,
    PackKind,
    PackRejected,
    PackTruncated,
    SegmentRejected,
    UnknownSuite,
    generate_salt,
    open_pack,
    plain_length,
    seal_pack,
    sealed_length,
)
from tests.oracles import sealing as oracle
from tests.unit.sealing.packs import SECRET, VEIL, header

SIZES = [0, 1, SEGMENT_SIZE - 1, SEGMENT_SIZE, SEGMENT_SIZE + 1, 3 * SEGMENT_SIZE, 100_000]


def plaintext(size: int) -> bytes:
    return hashlib.shake_256(b"plaintext").digest(size)


def sealed(size: int) -> bytearray:
    return bytearray(seal_pack(header(), secret=SECRET, veil=VEIL, plaintext=plaintext(size)))


@pytest.mark.parametrize("size", SIZES)
def test_the_oracle_opens_what_we_seal(size: int) -> None:
    pack = sealed(size)
    assert len(pack) == sealed_length(size) == 1296 + 56 + size + 16 * (size // 16384 + 1)
    assert oracle.open_pack(bytes(pack), SECRET, VEIL) == plaintext(size)


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_oracle_seals(size: int) -> None:
    pack = oracle.seal_pack(header().encode(), SECRET, VEIL, plaintext(size), b"n" * 24)
    found, opened = open_pack(pack, secret=SECRET, veil=VEIL)
    assert found == header()
    assert opened == plaintext(size)


def test_header_layout() -> None:
    data = header().encode()
    assert len(data) == HEADER_SIZE == 1296
    assert data[:16] == b"EXCLAVEP\x00\x01\x01\x02\x00\x00\x00\x07"
    assert data[16:64] == b"m" * 32 + b"d" * 16
    assert data[64:96] == b"h" * 32
    assert data[96:] == b"s" * 1168 + b"t" * 32
    assert PackHeader.decode(data) == header()
    assert header().secret_id == hashlib.sha256(b"s" * 1168).digest()
    assert header().context.epoch == 7


def test_reused_buffers() -> None:
    out, back = bytearray(b"x" * 200_000), bytearray(b"y" * 200_000)
    for size in (100_000, 17, 40_000):
        view = seal_pack(header(), secret=SECRET, veil=VEIL, plaintext=plaintext(size), out=out)
        assert view.obj is out
        opened = open_pack(view, secret=SECRET, veil=VEIL, out=back)[1]
        assert opened.obj is back
        assert opened == plaintext(size)


def test_buffer_of_exact_size_suffices_and_one_byte_less_does_not() -> None:
    size = 2 * SEGMENT_SIZE + 5
    pack = sealed(size)
    open_pack(pack, secret=SECRET, veil=VEIL, out=bytearray(size))
    with pytest.raises(ValueError, match="out"):
        open_pack(pack, secret=SECRET, veil=VEIL, out=bytearray(size - 1))
    with pytest.raises(ValueError, match="out"):
        seal_pack(
            header(),
            secret=SECRET,
            veil=VEIL,
            plaintext=bytes(size),
            out=bytearray(len(pack) - 1),
        )


def test_same_pack_sealed_twice_differs() -> None:
    assert sealed(10) != sealed(10)


def test_lengths_that_no_pack_has() -> None:
    possible = {sealed_length(size): size for size in range(2 * SEGMENT_SIZE + 10)}
    for length in range(max(possible) + 1):
        if length in possible:
            assert plain_length(length) == possible[length]
        else:
            with pytest.raises(PackTruncated):
                plain_length(length)


@pytest.mark.parametrize(
    ("offset", "value", "error"),
    [
        (0, b"X", NotAPack),
        (8, b"\x00\x02", UnknownSuite),
        (10, b"\x00", HeaderInvalid),
        (10, b"\x03", HeaderInvalid),
        (11, b"\x00", HeaderInvalid),
        (12, bytes(4), HeaderInvalid),
        (10, b"\x02", CommitmentMismatch),
        (11, b"\x03", CommitmentMismatch),
        (12, b"\x00\x00\x00\x08", CommitmentMismatch),
        (16, b"M", CommitmentMismatch),
        (48, b"D", CommitmentMismatch),
        (64, b"H", CommitmentMismatch),
        (96, b"S", CommitmentMismatch),
        (1264, b"T", CommitmentMismatch),
    ],
)
def test_changed_header(offset: int, value: bytes, error: type[PackRejected]) -> None:
    pack = sealed(100)
    pack[offset : offset + len(value)] = value
    with pytest.raises(error) as caught:
        open_pack(pack, secret=SECRET, veil=VEIL)
    assert type(caught.value) is error


def test_an_unknown_suite_is_named() -> None:
    pack = sealed(1)
    pack[8:10] = b"\x12\x34"
    with pytest.raises(UnknownSuite, match="4660"):
        open_pack(pack, secret=SECRET, veil=VEIL)


def test_wrong_secret_or_veil() -> None:
    for secret, veil in ((bytes(32), VEIL), (SECRET, bytes(32)), (VEIL, SECRET)):
        with pytest.raises(CommitmentMismatch):
            open_pack(sealed(1), secret=secret, veil=veil)
    for secret, veil in ((b"", VEIL), (SECRET, b"")):
        with pytest.raises(MalformedData, match="pack key"):
            open_pack(sealed(1), secret=secret, veil=veil)


def test_altered_body() -> None:
    pack = sealed(2 * SEGMENT_SIZE + 100)
    for offset, error in (
        (HEADER_SIZE, CommitmentMismatch),
        (HEADER_SIZE + 24, CommitmentMismatch),
        (PACK_OVERHEAD, SegmentRejected),
        (PACK_OVERHEAD + SEGMENT_SIZE + 16, SegmentRejected),
        (len(pack) - 1, SegmentRejected),
    ):
        pack[offset] ^= 1
        with pytest.raises(error):
            open_pack(pack, secret=SECRET, veil=VEIL)
        pack[offset] ^= 1
    open_pack(pack, secret=SECRET, veil=VEIL)


def test_segments_out_of_place_missing_or_added() -> None:
    pack = bytes(sealed(2 * SEGMENT_SIZE + 100))
    step = SEGMENT_SIZE + 16
    body = pack[PACK_OVERHEAD:]
    first, second, last = body[:step], body[step : 2 * step], body[2 * step :]
    start = pack[:PACK_OVERHEAD]
    for broken, error in (
        (start + second + first + last, SegmentRejected),
        (start + first + last, SegmentRejected),
        (start + first + first + second + last, SegmentRejected),
        (start + first + second, PackTruncated),
        (start + first + second + last[:15], PackTruncated),
        (start + first + second + last[:-1], SegmentRejected),
        (start + first + second + last + b"\0", SegmentRejected),
        (start, PackTruncated),
        (pack[:1295], PackTruncated),
        (b"", PackTruncated),
    ):
        with pytest.raises(error):
            open_pack(broken, secret=SECRET, veil=VEIL)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: dataclasses.replace(header(), k=0),
        lambda: dataclasses.replace(header(), k=256),
        lambda: dataclasses.replace(header(), epoch=Epoch(0)),
        lambda: dataclasses.replace(header(), epoch=Epoch(2**32)),
        lambda: dataclasses.replace(header(), mission=MissionId(b"")),
        lambda: dataclasses.replace(header(), deposit=DepositId(b"")),
        lambda: dataclasses.replace(header(), key_hash=b""),
        lambda: dataclasses.replace(header(), sealed_secret=b""),
        lambda: dataclasses.replace(header(), salt=b""),
    ],
)
def test_impossible_headers_are_refused(wrong: Callable[[], PackHeader]) -> None:
    with pytest.raises(HeaderInvalid):
        wrong()


def test_manifest_header_round_trip() -> None:
    high = dataclasses.replace(header(), kind=PackKind.MANIFEST, k=255, epoch=Epoch(2**32 - 1))
    assert PackHeader.decode(high.encode()) == high
    with pytest.raises(PackTruncated):
        PackHeader.decode(high.encode() + b"\0")


def test_salt_has_its_size() -> None:
    assert generate_salt(lambda size: b"z" * size) == b"z" * 32
