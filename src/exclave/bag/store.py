"""Shards of one seat out of its bags, for whoever has that seat's key (spec/bag.md 7).

A warrant released by vaults is one lock on reading. Where there is no vault, the seat's own key is
in its place: without it a bag's veil shares stay sealed. The recovery key is the other one as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from exclave.bag.shelf import ShelvedBag, shards_of
from exclave.carried.inventory import Item
from exclave.dispersal.sealed_shard import parse_sealed_shard, unseal_shard
from exclave.errors import IntegrityError
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.sealing.recovery import XWingPrivateKey
from exclave.vault.buffers import ShardBuffers
from exclave.vault.line.problems import refused

__all__ = ["BagStore"]


class BagStore:
    """A `ShardStore` that gives and takes nothing."""

    def __init__(self, seat: Seat, bags: Sequence[ShelvedBag], key: XWingPrivateKey) -> None:
        self._seat = seat
        self._key = key
        self._places: dict[ShardRoot, list[tuple[ShelvedBag, Item]]] = {}
        for bag in bags:
            for root, item in shards_of(bag).items():
                self._places.setdefault(root, []).append((bag, item))

    @property
    def seat(self) -> Seat:
        return self._seat

    async def get_shard(self, root: ShardRoot) -> bytes:
        return await asyncio.to_thread(self._shard, root)

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        data = await self.get_shard(root)
        into.require(len(data))
        into.put(0, data)

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        raise refused("method-not-allowed", "a bag takes no shards")

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        raise refused("method-not-allowed", "a bag takes no shards")

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        raise refused("unavailable", "a bag answers no questions")

    def _shard(self, root: ShardRoot) -> bytes:
        places = self._places.get(root)
        if places is None:
            raise refused("not-found", f"shard {root.hex()[:16]}: in no bag of seat {self._seat}")
        failure: IntegrityError | None = None
        for bag, item in places:
            try:
                return unseal_shard(parse_sealed_shard(bag.read(item)), self._key, root).encode()
            except IntegrityError as error:
                failure = failure or error
        assert failure is not None
        raise failure
