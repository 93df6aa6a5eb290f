"""Shards: layout, roots, streaming verification, rebuilding."""

import dataclasses
import hashlib
import itertools
from collections.abc import Sequence

import pytest

from exclave.dispersal.packroot import pack_root
from exclave.dispersal.sealed_shard import parse_sealed_shard, seal_shard, unseal_shard
from exclave.dispersal.shard import (
    Shard,
    ShardCorrupt,
    ShardHasher,
    ShardHeader,
    ShardsDisagree,
    ShardSuiteUnknown,
    make_shards,
    parse_shard,
    rebuild_pack,
    shard_root,
)
from exclave.dispersal.veil import DuplicateSeat, TooFewShards, VeilSharesDisagree
from exclave.ids import MissionId, PackRoot, Seat, ShardRoot
from exclave.sealing.hpke import SealedValueRejected
from exclave.sealing.recovery import XWingPrivateKey
from tests.oracles import dispersal as oracle

MISSION = MissionId(b"m" * 32)
VEIL = bytes(range(32))
PACK = hashlib.shake_256(b"pack").digest(70_000)
SEATS = [Seat(seat) for seat in (1, 2, 3, 9)]
KEY = XWingPrivateKey.from_seed(b"3" * 32)


def shards(
    pack: bytes = PACK, *, k: int = 2, veil: bytes = VEIL, mission: MissionId = MISSION
) -> tuple[Shard, ...]:
    return make_shards(
        pack, mission=mission, veil=veil, k=k, seats=SEATS, random=lambda size: b"r" * size
    )


def forged(shard: Shard, body: bytes) -> Shard:
    """The shard with another body, under a root of its own."""
    root = shard_root(shard.veil_share, shard.header, body)
    return dataclasses.replace(shard, body=memoryview(body), root=root)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_bytes_and_roots_are_the_oracles(k: int) -> None:
    for shard in shards(k=k):
        higher = [b"r" * 32] * (k - 1)
        share = oracle.share(VEIL, higher, shard.header.seat)
        data, root = oracle.shard(
            PACK, mission=MISSION, k=k, seat=shard.header.seat, veil_share=share
        )
        assert shard.encode() == data
        assert shard.root == root
        assert shard.size == len(data)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 131_072, 131_073, 200_000])
def test_pack_root_is_the_oracles(size: int, k: int) -> None:
    data = hashlib.shake_256(b"root").digest(size)
    assert pack_root(data, k) == oracle.pack_root(data, k)


def test_pack_root_covers_the_length() -> None:
    assert pack_root(bytes(100), 1) != pack_root(bytes(101), 1)
    assert shards(bytes(100))[0].body == shards(bytes(101))[0].body


def test_header_layout() -> None:
    header = shards()[1].header
    data = header.encode()
    assert len(data) == 96
    assert data[:16] == b"EXCLAVES\x00\x01\x02\x02\x00\x00\x00\x00"
    assert data[16:80] == MISSION + pack_root(PACK, 2)
    assert data[80:] == (70_000).to_bytes(8) + (36_864).to_bytes(8)
    assert ShardHeader.decode(data) == header


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"X", "EXCLAVES"),
        (8, b"\x00\x02", "suite 1, got 2"),
        (10, b"\x00", "k from 1"),
        (11, b"\x00", "seat from 1"),
        (12, b"\x01", "reserved"),
        (15, b"\x01", "reserved"),
        (80, bytes(8), "L from 1"),
        (80, b"\xff", "L from 1"),
        (85, b"\x00", "B 4096, got 36864"),
        (95, b"\x01", "B 36864, got 36865"),
    ],
)
def test_refused_headers(offset: int, value: bytes, message: str) -> None:
    data = bytearray(shards()[0].header.encode())
    data[offset : offset + len(value)] = value
    with pytest.raises(ShardCorrupt, match=message) as caught:
        ShardHeader.decode(data)
    assert (type(caught.value) is ShardSuiteUnknown) == (offset == 8)


def test_header_of_another_size() -> None:
    with pytest.raises(ShardCorrupt, match="expected 96 bytes, got 95"):
        ShardHeader.decode(bytes(95))
    with pytest.raises(ShardCorrupt, match="mission of 32 bytes"):
        dataclasses.replace(shards()[0].header, mission=MissionId(b""))
    with pytest.raises(ShardCorrupt, match="pack root of 32 bytes"):
        dataclasses.replace(shards()[0].header, pack_root=PackRoot(b""))


def test_parse_round_trip_without_copy() -> None:
    for shard in shards():
        data = shard.encode()
        again = parse_shard(data, shard.root)
        assert again == shard
        assert again.encode() == data
        assert again.body.obj is data


def test_parse_refuses_other_roots_and_sizes() -> None:
    shard = shards()[0]
    data = shard.encode()
    with pytest.raises(ShardCorrupt, match="expected root"):
        parse_shard(data, ShardRoot(bytes(32)))
    for broken in (b"", data[:127], data[:128], data[:-1], data + b"\0"):
        with pytest.raises(ShardCorrupt, match="bytes, got"):
            parse_shard(broken, shard.root)


@pytest.mark.parametrize("step", [31, 32, 33, 95, 128, 65535, 65536, 65537, 65664, 10**6])
@pytest.mark.parametrize("size", [70_000, 393_216, 400_000])
def test_hasher_takes_any_pieces(size: int, step: int) -> None:
    shard = shards(hashlib.shake_256(b"long").digest(size))[2]
    data = shard.encode()
    hasher = ShardHasher(shard.root)
    assert hasher.header is None
    for at in range(0, len(data), step):
        hasher.feed(data[at : at + step])
    assert hasher.finish() == (shard.root, shard.header)
    assert hasher.seen == len(data)


def test_hasher_takes_single_bytes() -> None:
    shard = shards(b"p" * 5000)[2]
    hasher = ShardHasher(shard.root)
    for byte in shard.encode():
        hasher.feed(bytes([byte]))
    assert hasher.finish() == (shard.root, shard.header)


def test_hasher_knows_the_header_early() -> None:
    shard = shards()[0]
    data = shard.encode()
    hasher = ShardHasher()
    hasher.feed(data[:128])
    assert hasher.header == shard.header
    hasher.feed(data[128:-1])
    hasher.feed(data[-1:])
    assert hasher.finish()[0] == shard.root


def test_hasher_refuses_missing_added_and_altered_bytes() -> None:
    shard = shards()[0]
    data = shard.encode()
    with pytest.raises(ShardCorrupt, match="at least 128 bytes, got 127"):
        fed(data[:127]).finish()
    with pytest.raises(ShardCorrupt, match="got 128"):
        fed(data[:128]).finish()
    with pytest.raises(ShardCorrupt, match="got 36991"):
        fed(data[:-1]).finish()
    with pytest.raises(ShardCorrupt, match="got more"):
        fed(data + b"\0")
    with pytest.raises(ShardCorrupt, match="EXCLAVES"):
        fed(b"\0" * 128)
    altered = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(ShardCorrupt, match="expected root"):
        fed(altered, shard.root).finish()


def fed(data: bytes, expected: ShardRoot | None = None) -> ShardHasher:
    hasher = ShardHasher(expected)
    hasher.feed(data)
    return hasher


def rebuilt(given: Sequence[Shard], k: int) -> tuple[bytes, bytes]:
    pack, veil = rebuild_pack(given, k)
    return bytes(pack), veil


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_any_k_shards_rebuild(k: int) -> None:
    for chosen in itertools.combinations(shards(k=k), k):
        assert rebuilt(chosen, k) == (PACK, VEIL)
    assert rebuilt(shards(k=k), k) == (PACK, VEIL)


def test_rebuild_refuses_what_does_not_belong_together() -> None:
    one, two, three, four = shards()
    other = shards(PACK[::-1])
    wrong: list[tuple[list[Shard], str]] = [
        ([one, other[1]], "expected pack"),
        ([one, shards(mission=MissionId(b"x" * 32))[1]], "expected pack"),
        ([one, shards(PACK[:-1])[1]], "expected pack"),
        ([one, shards(k=3)[1]], "expected k 2, got 3"),
        ([one, forged(two, bytes(36_864))], "expected root"),
        ([one, forged(two, b"x" * 36_864)], "end in zeros"),
    ]
    for given, message in wrong:
        with pytest.raises(ShardsDisagree, match=message) as caught:
            rebuild_pack(given, 2)
        assert caught.value.seats
    # Other seats still give the pack, as the hint says.
    assert rebuilt([one, three], 2) == (PACK, VEIL)
    assert rebuilt([three, four], 2) == (PACK, VEIL)


def test_rebuild_refuses_too_few_and_duplicates() -> None:
    one, two, *_ = shards()
    for given, k in (([one], 2), ([], 2), ([], 0)):
        with pytest.raises(TooFewShards):
            rebuild_pack(given, k)
    with pytest.raises(DuplicateSeat):
        rebuild_pack([one, one, two], 2)


def test_more_than_k_veil_shares_must_agree() -> None:
    one, two, three, _ = shards()
    with pytest.raises(VeilSharesDisagree):
        rebuild_pack([one, two, shards(veil=bytes(32))[2]], 2)
    assert rebuild_pack([one, two, three], 2)[1] == VEIL


def test_sealed_shard_round_trip() -> None:
    shard = shards()[2]
    sealed = seal_shard(shard, KEY.public)
    data = sealed.encode()
    assert len(data) == sealed.size == 1168 + 96 + 36_864
    assert shard.veil_share not in data
    again = parse_sealed_shard(data)
    assert again == sealed
    assert unseal_shard(again, KEY, shard.root) == shard


def test_sealed_shard_refusals() -> None:
    shard = shards()[2]
    sealed = seal_shard(shard, KEY.public)
    data = sealed.encode()
    for broken in (b"", data[:1263], data[:-1], data + b"\0"):
        with pytest.raises(ShardCorrupt, match="sealed shard"):
            parse_sealed_shard(broken)
    with pytest.raises(SealedValueRejected):
        unseal_shard(sealed, XWingPrivateKey.from_seed(b"4" * 32), shard.root)
    with pytest.raises(ShardCorrupt, match="expected root"):
        unseal_shard(sealed, KEY, ShardRoot(bytes(32)))
    swapped = dataclasses.replace(sealed, header=shards()[1].header)
    with pytest.raises(SealedValueRejected):
        unseal_shard(swapped, KEY, shard.root)


def test_nothing_secret_is_printed() -> None:
    shard = shards(k=1)[0]
    assert VEIL.hex() not in repr(shard)
    assert str(VEIL) not in repr(shard)
