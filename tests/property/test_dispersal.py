"""Dispersal: any k rebuild, one encoding, and only named errors for arbitrary bytes."""

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyeclib.ec_iface import ECDriver

from exclave.dispersal.code import decode_bodies, encode_bodies
from exclave.dispersal.packroot import pack_root
from exclave.dispersal.shard import (
    Shard,
    ShardCorrupt,
    ShardHasher,
    ShardHeader,
    ShardsDisagree,
    make_shards,
    parse_shard,
    rebuild_pack,
)
from exclave.dispersal.veil import join_veil, split_veil
from exclave.errors import ExclaveError
from exclave.ids import MissionId, PackRoot, Seat
from tests.fuzz.fuzz_shard import check_shard
from tests.oracles import dispersal as oracle

MISSION = MissionId(b"m" * 32)


def drawn(size: int, seed: bytes) -> bytes:
    return hashlib.shake_256(seed).digest(size)


seat_lists = st.lists(st.integers(1, 255).map(Seat), min_size=1, max_size=8, unique=True)
packs = st.builds(drawn, st.integers(1, 40_000), st.binary(max_size=8))


@given(st.data(), seat_lists, st.binary(min_size=32, max_size=32))
def test_any_k_veil_shares_join(data: st.DataObject, seats: list[Seat], veil: bytes) -> None:
    k = data.draw(st.integers(1, len(seats)))
    shares = split_veil(
        veil, k, seats, lambda size: data.draw(st.binary(min_size=size, max_size=size))
    )
    chosen = data.draw(st.permutations(shares))[:k]
    assert join_veil(chosen, k) == veil
    assert oracle.join({int(share.seat): share.value for share in chosen}) == veil


@given(st.data(), packs, seat_lists)
def test_any_k_shards_rebuild(data: st.DataObject, pack: bytes, seats: list[Seat]) -> None:
    k = data.draw(st.integers(1, len(seats)))
    shards = make_shards(
        pack,
        mission=MISSION,
        veil=drawn(32, pack),
        k=k,
        seats=seats,
        random=lambda n: drawn(n, pack),
    )
    chosen = data.draw(st.permutations(shards))[:k]
    read = [parse_shard(shard.encode(), shard.root) for shard in chosen]
    rebuilt, veil = rebuild_pack(read, k)
    assert rebuilt == pack
    assert veil == drawn(32, pack)


@given(st.integers(2, 20), st.integers(1, 12), st.binary(max_size=8))
def test_code_is_isa_ls_of_scaled_rows(k: int, m: int, seed: bytes) -> None:
    pack = drawn(4096 * k, seed)
    scaled = [oracle.times(row, k ^ j) for j, row in enumerate(oracle.cut(pack, 4096))]
    fragments = ECDriver(k=k, m=m, ec_type="isa_l_rs_cauchy").encode(b"".join(scaled))
    seats = [Seat(seat) for seat in range(1, k + m + 1)]
    bodies = encode_bodies(pack, k, seats)
    assert [bytes(body) for body in bodies.values()][k:] == [part[80:] for part in fragments[k:]]
    last = {seat: bodies[seat] for seat in seats[m:]}
    assert decode_bodies(last, k, len(pack)) == pack


@given(packs, st.integers(1, 40))
def test_pack_root_is_the_trees(pack: bytes, k: int) -> None:
    assert pack_root(pack, k) == oracle.pack_root(pack, k)


headers = st.builds(
    ShardHeader,
    k=st.integers(1, 255),
    seat=st.integers(1, 255).map(Seat),
    mission=st.binary(min_size=32, max_size=32).map(MissionId),
    pack_root=st.binary(min_size=32, max_size=32).map(PackRoot),
    length=st.integers(1, 2**63 - 1),
)


@given(headers)
def test_header_has_one_encoding(header: ShardHeader) -> None:
    assert ShardHeader.decode(header.encode()) == header


def shards() -> tuple[Shard, ...]:
    return make_shards(
        drawn(9000, b"pack"),
        mission=MISSION,
        veil=b"v" * 32,
        k=2,
        seats=[Seat(1), Seat(2), Seat(3)],
        random=lambda size: b"r" * size,
    )


SHARDS = shards()
ENCODED = SHARDS[2].encode()


@given(st.integers(0, len(ENCODED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(offset: int, change: int) -> None:
    broken = bytearray(ENCODED)
    broken[offset] ^= change
    with pytest.raises(ShardCorrupt):
        parse_shard(broken, SHARDS[2].root)
    hasher = ShardHasher(SHARDS[2].root)
    with pytest.raises(ShardCorrupt):
        _stream(hasher, bytes(broken))


def _stream(hasher: ShardHasher, data: bytes) -> None:
    hasher.feed(data)
    hasher.finish()


@given(st.lists(st.integers(0, len(ENCODED)), max_size=12))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    hasher, ends = ShardHasher(SHARDS[2].root), [*sorted(cuts), len(ENCODED)]
    for start, end in zip([0, *ends], ends, strict=False):
        hasher.feed(ENCODED[start:end])
    assert hasher.finish() == (SHARDS[2].root, SHARDS[2].header)


@given(st.one_of(st.binary(max_size=400), st.binary(max_size=40).map(lambda b: ENCODED[:110] + b)))
def test_shard_decoder_refuses_by_name(data: bytes) -> None:
    check_shard(data)


@given(st.integers(0, 8191), st.integers(1, 255))
def test_a_consistently_wrong_body_is_named(offset: int, change: int) -> None:
    """The depositor's error: every root is right, and yet the shards are not one pack."""
    body = bytearray(SHARDS[1].body)
    body[offset] ^= change
    wrong = Shard(
        root=SHARDS[1].root,
        header=SHARDS[1].header,
        veil_share=SHARDS[1].veil_share,
        body=memoryview(body),
    )
    with pytest.raises(ShardsDisagree) as caught:
        rebuild_pack([SHARDS[0], wrong], 2)
    assert set(caught.value.seats) == {1, 2}


@given(st.lists(st.sampled_from(SHARDS), max_size=4), st.integers(-1, 4))
def test_rebuild_refuses_by_name(given_shards: list[Shard], k: int) -> None:
    try:
        pack, _ = rebuild_pack(given_shards, k)
    except ExclaveError:
        return
    assume(k == 2)
    assert pack == drawn(9000, b"pack")
