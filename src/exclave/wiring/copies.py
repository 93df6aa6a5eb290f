"""One seat's shards in several places: folders that say they are its, bags, the vault itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exclave.errors import ExclaveError
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.vault.buffers import ShardBuffers
from exclave.vault.interface import ShardStore
from exclave.vault.line.problems import refused

__all__ = ["Copies", "joined"]


def joined(
    first: Mapping[Seat, ShardStore], then: Mapping[Seat, ShardStore]
) -> dict[Seat, ShardStore]:
    """Where each seat's shards are looked for: at the first, then at the others."""
    seats = sorted({*first, *then})
    return {
        seat: Copies([place[seat] for place in (first, then) if seat in place]) for seat in seats
    }


class Copies:
    """A `ShardStore` over places that are all of one seat, asked in turn."""

    def __init__(self, copies: Sequence[ShardStore]) -> None:
        self._copies = copies

    @property
    def seat(self) -> Seat:
        return self._copies[0].seat

    async def get_shard(self, root: ShardRoot) -> bytes:
        for copy in self._copies[:-1]:
            try:
                return await copy.get_shard(root)
            except ExclaveError:
                continue  # the last one's error is the one that is named
        return await self._copies[-1].get_shard(root)

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        if len(self._copies) == 1:
            await self._copies[0].read_unchecked(root, into)
            return
        data = await self.get_shard(root)  # which copy is right shows by the root alone
        into.require(len(data))
        into.put(0, data)

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        raise refused("method-not-allowed", "what is only read takes no shards")

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        raise refused("method-not-allowed", "what is only read takes no shards")

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        raise refused("unavailable", "what is only read answers no questions")
