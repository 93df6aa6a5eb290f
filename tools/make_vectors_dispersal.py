"""Writes vectors/dispersal: `python -m tools.make_vectors_dispersal`.

Bodies, shares, shards and roots come from the second implementation in tests/oracles; nothing of
`exclave.dispersal` is used.
"""

from collections.abc import Iterator

from exclave.encoding import JsonObject, JsonValue
from tests.oracles import dispersal as oracle
from tests.oracles import sealing as sealing_oracle
from tools.vector_cases import Case, drawn, flipped, refused, write
from tools.vector_mission import MISSION, SEAT_SEED, VEIL

PACK = drawn("dispersed pack", 5000)
OTHER_PACK = drawn("another pack", 5000)
HIGHER = [drawn("veil coefficient 1", 32), drawn("veil coefficient 2", 32)]


def share(seat: int, k: int) -> bytes:
    """A seat's share of the veil."""
    return oracle.share(VEIL, HIGHER[: k - 1], seat)


def shard(
    seat: int, *, k: int = 2, pack: bytes = PACK, mission: bytes = MISSION
) -> tuple[bytes, bytes]:
    """A seat's shard and its root."""
    return oracle.shard(pack, mission=mission, k=k, seat=seat, veil_share=share(seat, k))


def rooted(data: bytes) -> tuple[bytes, bytes]:
    """Any bytes of a shard's form under the root that they have."""
    return data, oracle.tree_root([data[:32], data[32:128], *oracle.cut(data[128:], 65536)])


def pack_roots() -> Iterator[Case]:
    """Pack roots at the ends of leaves and rows."""
    for k, size in (
        (1, 1), (1, 65536), (1, 65537), (1, 200_000), (2, 8192), (2, 131_072), (2, 131_073),
        (3, 400_000),
    ):  # fmt: skip
        seed = f"root {size}".encode()
        data = drawn(seed.decode(), size)
        yield Case(
            spec="dispersal.md 2",
            case=f"pack-root-{k}-{size}",
            operation="pack-root",
            what=f"the root of {size} bytes in rows of k {k}",
            given={
                "k": k,
                "pack": {"shake256": (b"exclave vectors " + seed).hex(), "length": size},
            },
            expect={"root": oracle.pack_root(data, k).hex()},
        )


def code_rows() -> Iterator[Case]:
    """Rows of the code's matrix."""
    for k, seat in ((1, 1), (1, 200), (2, 2), (2, 3), (3, 4), (3, 255), (5, 9), (32, 33)):
        if k == 1:
            row = [1]
        elif seat <= k:
            row = [int(column == seat - 1) for column in range(k)]
        else:
            row = [
                oracle.product(k ^ column, oracle.reciprocal((seat - 1) ^ column))
                for column in range(k)
            ]
        yield Case(
            spec="dispersal.md 3",
            case=f"code-row-k{k}-seat{seat}",
            operation="code-row",
            what="the factors of the rows in a seat's body",
            given={"k": k, "seat": seat},
            expect={"row": list[JsonValue](row)},
        )


def bodies() -> Iterator[Case]:
    """Bodies that rebuild a pack, and bodies that do not."""
    for name, k, seats in (
        ("copies", 1, [7]),
        ("data-seats", 2, [1, 2]),
        ("one-data-seat", 2, [2, 3]),
        ("no-data-seat", 3, [4, 6, 255]),
    ):
        yield decode_case(name, k, {seat: oracle.body(PACK, k, seat) for seat in seats})
    first, second, third = (oracle.body(PACK, 2, seat) for seat in (1, 2, 3))
    padding = refused("PaddingNotZero", "the rebuilt rows do not end in zeros")
    yield decode_case("padding", 2, {1: first, 2: flipped(second, 4095)}, padding)
    yield decode_case("padding-by-code", 2, {1: first, 3: flipped(third, 4095)}, padding)
    yield decode_case("too-few", 2, {3: third}, refused("TooFewShards", "1 body instead of 2"))
    short = refused("BodySizeWrong", "4,095 bytes instead of 4,096")
    yield decode_case("short-body", 2, {1: first, 2: second[:-1]}, short)


def decode_case(
    name: str, k: int, given: dict[int, bytes], expect: JsonObject | None = None
) -> Case:
    """A case of rebuilding a pack from bodies."""
    return Case(
        spec="dispersal.md 3",
        case=f"decode-bodies-{name}",
        operation="decode-bodies",
        what=f"rebuild a pack from the bodies of seats {', '.join(map(str, given))} with k {k}",
        given={
            "k": k,
            "length": len(PACK),
            "bodies": {str(seat): body.hex() for seat, body in given.items()},
        },
        expect=expect or {"pack": PACK.hex()},
    )


def veils() -> Iterator[Case]:
    """Shares of a veil."""
    for name, k, seats in (
        ("k1", 1, [9]),
        ("k2", 2, [1, 2]),
        ("k3", 3, [255, 2, 17]),
        ("more-than-k", 2, [1, 2, 3, 4]),
    ):
        yield join_case(name, k, [(seat, share(seat, k)) for seat in seats], {"veil": VEIL.hex()})
    one, two = (1, share(1, 2)), (2, share(2, 2))
    yield join_case("too-few", 2, [one], refused("TooFewShards", "1 share instead of 2"))
    yield join_case("duplicate", 2, [one, one], refused("DuplicateSeat", "seat 1 stands twice"))
    wrong = (3, flipped(share(3, 2), 0))
    why = "the third share is not on the line through the others"
    yield join_case("disagree", 2, [one, two, wrong], refused("VeilSharesDisagree", why))
    why = "no seat has the number 0"
    yield join_case("seat-0", 2, [one, (0, VEIL)], refused("MalformedData", why))


def join_case(name: str, k: int, shares: list[tuple[int, bytes]], expect: JsonObject) -> Case:
    """A case of joining veil shares."""
    return Case(
        spec="dispersal.md 5",
        case=f"join-veil-{name}",
        operation="join-veil",
        what=f"join the shares of seats {', '.join(str(seat) for seat, _ in shares)} with k {k}",
        given={"k": k, "shares": [[seat, value.hex()] for seat, value in shares]},
        expect=expect,
    )


def shards() -> Iterator[Case]:
    """Shards that are read, and shards that are refused."""
    for seat in (1, 2, 3, 200):
        data, root = shard(seat)
        yield parse_case(f"seat-{seat}", data, root, fields(seat))
    data, root = shard(3)
    why = "its tree has another root"
    for name, broken in (
        ("altered-share", flipped(data, 0)),
        ("altered-mission", flipped(data, 32 + 16)),
        ("altered-body", flipped(data, len(data) - 1)),
    ):
        yield parse_case(name, broken, root, refused("ShardCorrupt", why))
    for name, broken, error, why in (
        ("magic", flipped(data, 32), "ShardCorrupt", "leaf 1 does not begin with EXCLAVES"),
        ("suite-2", flipped(data, 41, 3), "ShardSuiteUnknown", "suite 2 is not known"),
        ("k-0", flipped(data, 42, 2), "ShardCorrupt", "k is 0"),
        ("seat-0", flipped(data, 43, 3), "ShardCorrupt", "the seat is 0"),
        ("reserved", flipped(data, 44), "ShardCorrupt", "a reserved byte is not zero"),
        ("length-0", data[:112] + bytes(16) + data[128:], "ShardCorrupt", "L is 0"),
        ("wrong-b", flipped(data, 127), "ShardCorrupt", "B does not follow from L and k"),
        ("nothing", b"", "ShardCorrupt", "no bytes"),
        ("short", data[:-1], "ShardCorrupt", "a byte is missing"),
        ("long", data + b"\0", "ShardCorrupt", "a byte too many"),
    ):
        # Each under the root that the altered bytes have, so that nothing but the cause is wrong.
        yield parse_case(name, *rooted(broken), refused(error, why))


def fields(seat: int) -> JsonObject:
    """What reading a shard of the pack gives."""
    return {
        "k": 2,
        "seat": seat,
        "mission": MISSION.hex(),
        "pack_root": oracle.pack_root(PACK, 2).hex(),
        "length": len(PACK),
        "veil_share": share(seat, 2).hex(),
    }


def parse_case(name: str, data: bytes, root: bytes, expect: JsonObject) -> Case:
    """A case of reading a shard."""
    return Case(
        spec="dispersal.md 4",
        case=f"parse-shard-{name}",
        operation="parse-shard",
        what="read a shard under the root that names it",
        given={"shard": data.hex(), "root": root.hex()},
        expect=expect,
    )


def sealed_shards() -> Iterator[Case]:
    """Sealed shards."""
    data, root = shard(3)
    info = b"exclave/1/veil-share\0" + MISSION + oracle.pack_root(PACK, 2) + b"\3"
    public = sealing_oracle.xwing_public(SEAT_SEED)
    enc = drawn("sealed shard enc", 64)
    sealed = sealing_oracle.hpke_seal(public, data[:32], info, enc) + data[32:]
    for name, value, error, why in (
        ("", sealed, "", ""),
        ("-altered-share", flipped(sealed, 1167), "SealedValueRejected", "the tag does not fit"),
        ("-other-seat", flipped(sealed, 1179), "SealedValueRejected", "sealed to another seat"),
        ("-altered-body", flipped(sealed, 2000), "ShardCorrupt", "its tree has another root"),
        ("-short", sealed[:-1], "ShardCorrupt", "a byte is missing"),
    ):
        yield Case(
            spec="dispersal.md 5",
            case=f"unseal-shard{name}",
            operation="unseal-shard",
            what="open a sealed shard with its seat's key and check it against its root",
            given={"seed": SEAT_SEED.hex(), "sealed": value.hex(), "root": root.hex()},
            expect=refused(error, why) if error else {"veil_share": data[:32].hex()},
        )


def packs() -> Iterator[Case]:
    """Packs rebuilt from shards, and sets of shards that are no pack."""
    for name, k, seats in (("copy", 1, [4]), ("two-of-many", 2, [200, 1]), ("all", 2, [1, 2, 3])):
        given = [shard(seat, k=k) for seat in seats]
        yield rebuild_case(name, k, given, {"pack": PACK.hex(), "veil": VEIL.hex()})
    one, two = shard(1), shard(2)
    for name, other, why in (
        ("other-pack", shard(2, pack=OTHER_PACK), "they name different packs"),
        ("other-mission", shard(2, mission=VEIL), "they name different missions"),
        ("other-k", shard(2, k=3), "k is not 2 in all of them"),
        ("wrong-body", rooted(flipped(two[0], 128)), "the result has another pack root"),
        ("wrong-padding", rooted(flipped(two[0], 128 + 4095)), "the padding is not zero"),
    ):
        yield rebuild_case(name, 2, [one, other], refused("ShardsDisagree", why))
    yield rebuild_case("too-few", 2, [one], refused("TooFewShards", "1 shard instead of 2"))
    yield rebuild_case("duplicate", 2, [one, one], refused("DuplicateSeat", "seat 1 stands twice"))


def rebuild_case(name: str, k: int, given: list[tuple[bytes, bytes]], expect: JsonObject) -> Case:
    """A case of rebuilding a pack from shards."""
    return Case(
        spec="dispersal.md 3",
        case=f"rebuild-pack-{name}",
        operation="rebuild-pack",
        what="rebuild a pack and its veil from shards that each have their root right",
        given={"k": k, "shards": [[data.hex(), root.hex()] for data, root in given]},
        expect=expect,
    )


def folders() -> dict[str, list[Case]]:
    """All cases by folder of vectors/."""
    cases = [
        *pack_roots(),
        *code_rows(),
        *bodies(),
        *veils(),
        *shards(),
        *sealed_shards(),
        *packs(),
    ]
    return {"dispersal": cases}


if __name__ == "__main__":
    for folder, cases in folders().items():
        print(f"vectors/{folder}: {write(folder, cases)} cases")
