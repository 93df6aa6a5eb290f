"""Shards: what one seat holds of one pack, and the way back (spec/dispersal.md 3 to 5).

A shard is named by the root of its tree; its first leaf is the veil share alone, so that audits
can show any other leaf without a warrant. Reading checks everything that the shard itself can
show; whether shards belong together shows when a pack is rebuilt.

Rules: a shard is accepted under its expected root or not at all; `ShardHasher` holds no bytes of
a body, and the leaf hashes of what it was just fed only; bodies are views, not copies.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Sequence

from exclave.dispersal.code import (
    PaddingNotZero,
    body_length,
    decode_bodies,
    encode_bodies,
    row_of,
)
from exclave.dispersal.field import Bytes
from exclave.dispersal.packroot import LEAF_SIZE, body_leaves, pack_root, root_over, row_leaves
from exclave.dispersal.veil import (
    VEIL_SIZE,
    DuplicateSeat,
    TooFewShards,
    VeilShare,
    join_veil,
    split_veil,
)
from exclave.errors import IntegrityError
from exclave.ids import MissionId, PackRoot, Seat, ShardRoot
from exclave.merkle import RootBuilder, leaf_hash, start_leaf, tree_root
from exclave.values import dataclass, field

__all__ = [
    "MAGIC",
    "PREFIX_SIZE",
    "SHARD_HEADER_SIZE",
    "SUITE",
    "Shard",
    "ShardCorrupt",
    "ShardHasher",
    "ShardHeader",
    "ShardSuiteUnknown",
    "ShardsDisagree",
    "make_shards",
    "parse_shard",
    "rebuild_pack",
    "shard_root",
]

MAGIC = b"EXCLAVES"
SUITE = 1
SHARD_HEADER_SIZE = 96
PREFIX_SIZE = VEIL_SIZE + SHARD_HEADER_SIZE
"""Bytes before the body."""

_LAYOUT = struct.Struct(">8sHBB4s32s32sQQ")


class ShardCorrupt(IntegrityError):
    """Bytes that are not the shard they should be."""


class ShardSuiteUnknown(ShardCorrupt):
    """Made with a suite that this software does not know."""


class ShardsDisagree(IntegrityError):
    """Each shard has its own root right, but together they are not one pack."""

    def __init__(self, message: str, *, seats: Sequence[Seat]) -> None:
        super().__init__(
            message, hint="the depositor dispersed inconsistently; try the shards of other seats"
        )
        self.seats = tuple(seats)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardHeader:
    """Leaf 1 of a shard, 96 bytes; the suite is 1 and B follows from L and k."""

    k: int
    seat: Seat
    mission: MissionId
    pack_root: PackRoot
    length: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 255:
            raise ShardCorrupt(f"shard header: expected k from 1 to 255, got {self.k}")
        if not 1 <= self.seat <= 255:
            raise ShardCorrupt(f"shard header: expected seat from 1 to 255, got {self.seat}")
        if not 1 <= self.length < 2**63:
            raise ShardCorrupt(f"shard header: expected L from 1 to 2^63-1, got {self.length}")
        for name, value in (("mission", self.mission), ("pack root", self.pack_root)):
            if len(value) != 32:
                raise ShardCorrupt(f"shard header: expected {name} of 32 bytes, got {len(value)}")

    @property
    def body_length(self) -> int:
        """B, bytes of the body."""
        return body_length(self.length, self.k)

    @property
    def shard_length(self) -> int:
        """Bytes of the whole shard."""
        return PREFIX_SIZE + self.body_length

    def encode(self) -> bytes:
        """The header's one encoding, 96 bytes."""
        return _LAYOUT.pack(
            MAGIC,
            SUITE,
            self.k,
            self.seat,
            bytes(4),
            self.mission,
            self.pack_root,
            self.length,
            self.body_length,
        )

    @classmethod
    def decode(cls, data: Bytes) -> ShardHeader:
        """Read exactly 96 bytes; raises `ShardCorrupt`."""
        if len(data) != SHARD_HEADER_SIZE:
            raise ShardCorrupt(f"shard header: expected {SHARD_HEADER_SIZE} bytes, got {len(data)}")
        magic, suite, k, seat, zero, mission, root, length, body = _LAYOUT.unpack(data)
        if magic != MAGIC:
            raise ShardCorrupt(f"shard header: expected {MAGIC.decode()}, got {magic.hex()}")
        if suite != SUITE:
            raise ShardSuiteUnknown(f"shard header: expected suite {SUITE}, got {suite}")
        if zero != bytes(4):
            raise ShardCorrupt(f"shard header: expected reserved zeros, got {zero.hex()}")
        header = cls(
            k=k,
            seat=Seat(seat),
            mission=MissionId(mission),
            pack_root=PackRoot(root),
            length=length,
        )
        if body != header.body_length:
            raise ShardCorrupt(f"shard header: expected B {header.body_length}, got {body}")
        return header


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One seat's shard with the root that names it."""

    root: ShardRoot
    header: ShardHeader
    veil_share: bytes = field(repr=False)
    body: memoryview = field(repr=False)

    @property
    def share(self) -> VeilShare:
        """The veil share with its seat."""
        return VeilShare(seat=self.header.seat, value=self.veil_share)

    @property
    def size(self) -> int:
        """Bytes of the encoded shard."""
        return PREFIX_SIZE + len(self.body)

    def prefix(self) -> bytes:
        """Leaf 0 || leaf 1: what stands before the body, 128 bytes."""
        return self.veil_share + self.header.encode()

    def encode(self) -> bytes:
        """The whole shard in one copy; senders use `prefix()` and `body` instead."""
        return b"".join((self.prefix(), self.body))


def shard_root(veil_share: bytes, header: ShardHeader, body: Bytes) -> ShardRoot:
    """The root over a shard's leaves."""
    return _root_over(veil_share, header, body_leaves(body))


def _root_over(veil_share: bytes, header: ShardHeader, leaves: Sequence[bytes]) -> ShardRoot:
    return ShardRoot(tree_root([leaf_hash(veil_share), leaf_hash(header.encode()), *leaves]))


def make_shards(
    sealed_pack: Bytes,
    *,
    mission: MissionId,
    veil: bytes,
    k: int,
    seats: Sequence[Seat],
    random: Callable[[int], bytes],
    padded: Bytes | None = None,
    parity: memoryview | None = None,
) -> tuple[Shard, ...]:
    """One shard per seat, in the order of `seats`; bodies may be views of `sealed_pack`.

    `padded`: the same bytes, with zeros after them up to k bodies; then no row is copied.
    `parity`: memory for the bodies of the other seats.
    """
    rows = row_leaves(sealed_pack, k)
    root = root_over(len(sealed_pack), rows)
    bodies = encode_bodies(sealed_pack, k, seats, padded=padded, parity=parity)
    shards: list[Shard] = []
    for share in split_veil(veil, k, seats, random):
        header = ShardHeader(
            k=k, seat=share.seat, mission=mission, pack_root=root, length=len(sealed_pack)
        )
        body, row = bodies[share.seat], row_of(share.seat, k)
        leaves = body_leaves(body) if row is None else rows[row]
        name = _root_over(share.value, header, leaves)
        shards.append(Shard(root=name, header=header, veil_share=share.value, body=body))
    return tuple(shards)


def parse_shard(data: Bytes, expected: ShardRoot) -> Shard:
    """Read a whole shard and check it against its root; the body is a view of `data`."""
    view = memoryview(data).toreadonly()
    if len(view) < PREFIX_SIZE:
        raise ShardCorrupt(f"shard: expected at least {PREFIX_SIZE} bytes, got {len(view)}")
    header = ShardHeader.decode(view[VEIL_SIZE:PREFIX_SIZE])
    if len(view) != header.shard_length:
        raise ShardCorrupt(f"shard: expected {header.shard_length} bytes, got {len(view)}")
    share, body = bytes(view[:VEIL_SIZE]), view[PREFIX_SIZE:]
    root = shard_root(share, header, body)
    _require_root(root, expected)
    return Shard(root=root, header=header, veil_share=share, body=body)


def rebuild_pack(shards: Sequence[Shard], k: int) -> tuple[bytearray, bytes]:
    """The sealed pack and its veil from at least k verified shards of it.

    The first k by seat make the pack; more than k veil shares must agree. Raises `TooFewShards`,
    `DuplicateSeat` or `ShardsDisagree`.
    """
    seats = [shard.header.seat for shard in shards]
    if len(set(seats)) != len(seats):
        raise DuplicateSeat("pack: a seat's shard was given twice")
    if len(shards) < max(k, 1):
        raise TooFewShards(f"pack: expected {k} shards, got {len(shards)}")
    first = shards[0].header
    for shard in shards:
        _require_same(shard, shards[0], k)
    try:
        pack = decode_bodies({shard.header.seat: shard.body for shard in shards}, k, first.length)
    except PaddingNotZero as error:
        raise ShardsDisagree(error.message, seats=seats) from error
    root = pack_root(pack, k)
    if not hmac.compare_digest(root, first.pack_root):
        raise ShardsDisagree(
            f"pack: expected root {first.pack_root.hex()}, got {root.hex()} "
            f"from seats {', '.join(map(str, sorted(seats)[:k]))}",
            seats=seats,
        )
    return pack, join_veil([shard.share for shard in shards], k)


def _require_same(shard: Shard, first: Shard, k: int) -> None:
    one, other = shard.header, first.header
    if one.k != k:
        raise ShardsDisagree(
            f"shard of seat {one.seat}: expected k {k}, got {one.k}", seats=[one.seat]
        )
    if (one.mission, one.pack_root, one.length) != (other.mission, other.pack_root, other.length):
        raise ShardsDisagree(
            f"shard of seat {one.seat}: expected pack {other.pack_root.hex()} of {other.length} "
            f"bytes, got {one.pack_root.hex()} of {one.length}",
            seats=[other.seat, one.seat],
        )


class ShardHasher:
    """Root and header of a shard that arrives in pieces of any size, holding none of its body.

    Feed all bytes in order, then call `finish`. A refused header raises at once; nothing that
    follows it is read. After an error the hasher is of no further use.
    """

    __slots__ = ("_expected", "_filled", "_header", "_leaf", "_leaves", "_prefix", "_seen")

    def __init__(self, expected: ShardRoot | None = None) -> None:
        self._expected = expected
        self._header: ShardHeader | None = None
        self._prefix = bytearray()
        self._leaves = RootBuilder()
        self._leaf, self._filled = start_leaf(), 0  # the body's leaf that is not whole yet
        self._seen = 0

    @property
    def header(self) -> ShardHeader | None:
        """The header, as soon as its bytes have been fed."""
        return self._header

    @property
    def seen(self) -> int:
        """Bytes fed so far."""
        return self._seen

    def feed(self, piece: Bytes) -> None:
        """Take the next bytes; raises `ShardCorrupt` for a bad header or a byte too many."""
        view = memoryview(piece)
        self._seen += len(view)
        if self._header is None:
            view = self._feed_prefix(view)
        if self._header is not None:
            if self._seen > self._header.shard_length:
                raise ShardCorrupt(f"shard: expected {self._header.shard_length} bytes, got more")
            self._feed_body(view)

    def finish(self) -> tuple[ShardRoot, ShardHeader]:
        """Root and header of what was fed; raises `ShardCorrupt` if bytes are missing."""
        if self._header is None:
            raise ShardCorrupt(f"shard: expected at least {PREFIX_SIZE} bytes, got {self._seen}")
        if self._seen != self._header.shard_length:
            raise ShardCorrupt(
                f"shard: expected {self._header.shard_length} bytes, got {self._seen}"
            )
        if self._filled:  # the last leaf may be shorter
            self._leaves.add(self._leaf.digest())
        root = ShardRoot(self._leaves.root())
        if self._expected is not None:
            _require_root(root, self._expected)
        return root, self._header

    def _feed_prefix(self, view: memoryview) -> memoryview:
        need = PREFIX_SIZE - len(self._prefix)
        self._prefix += view[:need]
        if len(self._prefix) == PREFIX_SIZE:
            share, encoded = bytes(self._prefix[:VEIL_SIZE]), bytes(self._prefix[VEIL_SIZE:])
            self._header = ShardHeader.decode(encoded)
            self._leaves.add(leaf_hash(share))
            self._leaves.add(leaf_hash(encoded))
        return view[need:]

    def _feed_body(self, view: memoryview) -> None:
        at = 0
        if self._filled:
            at = min(LEAF_SIZE - self._filled, len(view))
            self._leaf.update(view[:at])
            self._filled += at
            if self._filled < LEAF_SIZE:
                return
            self._leaves.add(self._leaf.digest())
        whole = at + (len(view) - at) // LEAF_SIZE * LEAF_SIZE
        self._leaves.extend(body_leaves(view[at:whole]))
        self._leaf, self._filled = start_leaf(), len(view) - whole
        self._leaf.update(view[whole:])


def _require_root(root: ShardRoot, expected: ShardRoot) -> None:
    if not hmac.compare_digest(root, expected):
        raise ShardCorrupt(f"shard: expected root {expected.hex()}, got {root.hex()}")
