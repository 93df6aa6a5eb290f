"""Every vector of vectors/dispersal through `exclave.dispersal`."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from exclave.dispersal.code import code_row, decode_bodies
from exclave.dispersal.packroot import pack_root
from exclave.dispersal.sealed_shard import parse_sealed_shard, unseal_shard
from exclave.dispersal.shard import ShardHasher, parse_shard, rebuild_pack
from exclave.dispersal.veil import VeilShare, join_veil
from exclave.errors import ExclaveError
from exclave.ids import Seat, ShardRoot
from exclave.sealing.recovery import XWingPrivateKey
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_dispersal


def root_of_pack(case: Loaded) -> dict[str, Any]:
    source = case.given["pack"]
    data = hashlib.shake_256(bytes.fromhex(source["shake256"])).digest(source["length"])
    return {"root": pack_root(data, case.given["k"]).hex()}


def row(case: Loaded) -> dict[str, Any]:
    return {"row": code_row(Seat(case.given["seat"]), case.given["k"])}


def decode(case: Loaded) -> dict[str, Any]:
    bodies = {Seat(int(seat)): bytes.fromhex(body) for seat, body in case.given["bodies"].items()}
    return {"pack": decode_bodies(bodies, case.given["k"], case.given["length"]).hex()}


def join(case: Loaded) -> dict[str, Any]:
    shares = [
        VeilShare(seat=Seat(seat), value=bytes.fromhex(value))
        for seat, value in case.given["shares"]
    ]
    return {"veil": join_veil(shares, case.given["k"]).hex()}


def parse(case: Loaded) -> dict[str, Any]:
    shard = parse_shard(case.bytes_of("shard"), ShardRoot(case.bytes_of("root")))
    return {
        "k": shard.header.k,
        "seat": shard.header.seat,
        "mission": shard.header.mission.hex(),
        "pack_root": shard.header.pack_root.hex(),
        "length": shard.header.length,
        "veil_share": shard.veil_share.hex(),
    }


def unseal(case: Loaded) -> dict[str, Any]:
    key = XWingPrivateKey.from_seed(case.bytes_of("seed"))
    sealed = parse_sealed_shard(case.bytes_of("sealed"))
    shard = unseal_shard(sealed, key, ShardRoot(case.bytes_of("root")))
    return {"veil_share": shard.veil_share.hex()}


def rebuild(case: Loaded) -> dict[str, Any]:
    shards = [
        parse_shard(bytes.fromhex(data), ShardRoot(bytes.fromhex(root)))
        for data, root in case.given["shards"]
    ]
    pack, veil = rebuild_pack(shards, case.given["k"])
    return {"pack": pack.hex(), "veil": veil.hex()}


OPERATIONS: dict[str, Callable[[Loaded], dict[str, Any]]] = {
    "pack-root": root_of_pack,
    "code-row": row,
    "decode-bodies": decode,
    "join-veil": join,
    "parse-shard": parse,
    "unseal-shard": unseal,
    "rebuild-pack": rebuild,
}


@pytest.mark.parametrize("case", load("dispersal"), ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    require_expected(case, lambda: OPERATIONS[case.operation](case))


SHARDS = [case for case in load("dispersal") if case.operation == "parse-shard"]


@pytest.mark.parametrize("case", SHARDS, ids=lambda case: case.name)
def test_streaming_decides_as_reading_whole(case: Loaded) -> None:
    hasher = ShardHasher(ShardRoot(case.bytes_of("root")))
    if "refused" not in case.expect:
        hasher.feed(case.bytes_of("shard"))
        assert hasher.finish()[1].seat == case.expect["seat"]
        return
    with pytest.raises(ExclaveError) as caught:
        _stream(hasher, case.bytes_of("shard"))
    assert type(caught.value).__name__ == case.expect["refused"]


def _stream(hasher: ShardHasher, data: bytes) -> None:
    hasher.feed(data)
    hasher.finish()


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_dispersal.folders())


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in load("dispersal")} == set(OPERATIONS)
