"""What the proving process asks of the depositing one: shards as sent, chunks of older packs.

Rules
- A shard is used only under the root that the record gives it, a chunk only under its id, whatever
  the other process says.
- Nothing here writes: there is no way to put anything.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence, Set

from exclave.archive.pack import chunk_id
from exclave.archive.reference import Reference
from exclave.dispersal.shard import parse_shard
from exclave.errors import IntegrityError
from exclave.ids import PackRoot, Seat, ShardRoot
from exclave.proof.wire import CHUNK_HEAD, PLACE, Channel, Kind
from exclave.vault.buffers import ShardBuffers

__all__ = ["ChunkForeign", "ChunkLacking", "OlderChunks", "SentShards", "ShardLacking"]


class ShardLacking(IntegrityError):
    """A shard of this deposit was not kept."""


class ChunkLacking(IntegrityError):
    """A chunk of an older pack is no longer in the source as it was captured."""


class ChunkForeign(IntegrityError):
    """What came for a chunk is not what its id says."""


class SentShards:
    """One seat's shards as they went on the line (`exclave.vault.interface.ShardReader`)."""

    def __init__(self, seat: Seat, channel: Channel) -> None:
        self.seat = seat
        self._channel = channel

    async def get_shard(self, root: ShardRoot) -> bytes:
        """Ask for it and check it against its root."""
        data = await asyncio.to_thread(self._channel.ask, Kind.SHARD, root)
        if not data:
            raise ShardLacking(f"shard {root.hex()[:16]}: expected to be kept as sent, got none")
        await asyncio.to_thread(parse_shard, data, root)
        return bytes(data)

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        """The same: what is proven here is the shard, not only its pack."""
        data = await self.get_shard(root)
        into.require(len(data))
        into.put(0, data)


class OlderChunks:
    """Chunks of older packs, as the source gave them (`exclave.reconstruct.supply.Elsewhere`)."""

    def __init__(self, channel: Channel, *, own: Set[PackRoot], dedup_key: bytes) -> None:
        """`own`: the packs of this deposit, which are opened."""
        self._channel = channel
        self._own = own
        self._dedup_key = dedup_key

    def concerns(self, root: PackRoot) -> bool:
        """Whether it is an older pack."""
        return root not in self._own

    def hold(self, references: Sequence[Reference]) -> list[bool]:
        """Of each, whether the source gave something for it."""
        return [bool(item) for item in self._ask(Kind.HOLDS, references)]

    def chunks(self, references: Sequence[Reference]) -> list[bytes | memoryview]:
        """The plaintexts; raises `ChunkLacking` or `ChunkForeign`."""
        view = memoryview(self._ask(Kind.CHUNKS, references))
        found: list[bytes | memoryview] = []
        for reference in references:
            name, length = CHUNK_HEAD.unpack(view[: CHUNK_HEAD.size])
            plain = view[CHUNK_HEAD.size : CHUNK_HEAD.size + length]
            view = view[CHUNK_HEAD.size + length :]
            self._require(reference, name, plain)
            found.append(plain)
        return found

    def _ask(self, kind: Kind, references: Sequence[Reference]) -> bytearray:
        places = b"".join(PLACE.pack(item.pack, item.offset) for item in references)
        return self._channel.ask(kind, places)

    def _require(self, reference: Reference, name: bytes, plain: memoryview) -> None:
        where = f"chunk of pack {reference.pack} at {reference.offset}"
        if not plain:
            raise ChunkLacking(f"{where}: no longer in the source as it was captured")
        same = hmac.compare_digest(chunk_id(self._dedup_key, plain), name)
        if not same or len(plain) != reference.plain:
            raise ChunkForeign(f"{where}: the source's bytes are not what its id says")
