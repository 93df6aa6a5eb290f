"""Sealed shards (spec/dispersal.md 5): the form outside a vault, in spools and bags.

The veil share is sealed to the seat's key; header and body are as in the shard. The shard's root
can be checked only after unsealing, so a sealed shard alone proves its header at most.
"""

from __future__ import annotations

from exclave.dispersal.field import Bytes
from exclave.dispersal.shard import (
    SHARD_HEADER_SIZE,
    Shard,
    ShardCorrupt,
    ShardHeader,
    shard_root,
)
from exclave.ids import ShardRoot
from exclave.sealing.recovery import XWingPrivateKey, XWingPublicKey
from exclave.sealing.secret import SEALED_SECRET_SIZE, seal_veil_share, unseal_veil_share
from exclave.values import dataclass, field

__all__ = ["SEALED_PREFIX_SIZE", "SealedShard", "parse_sealed_shard", "seal_shard", "unseal_shard"]

SEALED_PREFIX_SIZE = SEALED_SECRET_SIZE + SHARD_HEADER_SIZE
"""Bytes before the body, 1,264."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedShard:
    """A shard whose veil share only its seat can read."""

    sealed_share: bytes = field(repr=False)
    header: ShardHeader
    body: memoryview = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of the encoded sealed shard."""
        return SEALED_PREFIX_SIZE + len(self.body)

    def prefix(self) -> bytes:
        """What stands before the body, 1,264 bytes."""
        return self.sealed_share + self.header.encode()

    def encode(self) -> bytes:
        """The whole sealed shard in one copy; writers use `prefix()` and `body` instead."""
        return b"".join((self.prefix(), self.body))


def seal_shard(shard: Shard, seat_public: XWingPublicKey) -> SealedShard:
    """Seal a shard's veil share to its seat."""
    header = shard.header
    sealed = seal_veil_share(
        seat_public, shard.veil_share, header.mission, header.pack_root, header.seat
    )
    return SealedShard(sealed_share=sealed, header=header, body=shard.body)


def parse_sealed_shard(data: Bytes) -> SealedShard:
    """Read a whole sealed shard; raises `ShardCorrupt`. The body is a view of `data`."""
    view = memoryview(data).toreadonly()
    if len(view) < SEALED_PREFIX_SIZE:
        raise ShardCorrupt(
            f"sealed shard: expected at least {SEALED_PREFIX_SIZE} bytes, got {len(view)}"
        )
    header = ShardHeader.decode(view[SEALED_SECRET_SIZE:SEALED_PREFIX_SIZE])
    size = SEALED_PREFIX_SIZE + header.body_length
    if len(view) != size:
        raise ShardCorrupt(f"sealed shard: expected {size} bytes, got {len(view)}")
    return SealedShard(
        sealed_share=bytes(view[:SEALED_SECRET_SIZE]),
        header=header,
        body=view[SEALED_PREFIX_SIZE:],
    )


def unseal_shard(sealed: SealedShard, seat_private: XWingPrivateKey, expected: ShardRoot) -> Shard:
    """Open a sealed shard and check it against its root; `SealedValueRejected`, `ShardCorrupt`."""
    header = sealed.header
    share = unseal_veil_share(
        seat_private, sealed.sealed_share, header.mission, header.pack_root, header.seat
    )
    root = shard_root(share, header, sealed.body)
    if root != expected:
        raise ShardCorrupt(f"shard: expected root {expected.hex()}, got {root.hex()}")
    return Shard(root=root, header=header, veil_share=share, body=sealed.body)
