"""Retry as a decorator around a vault: only what may succeed the next time.

Repeats calls that ended in `VaultUnreachable`, or were refused with `unavailable` or `rate`.
Everything that a vault does is idempotent, so that repeating is always safe. Refusals with a
reason and wrong bytes are passed on at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from exclave.errors import VaultUnreachable
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.values import dataclass
from exclave.vault.buffers import ShardBuffers
from exclave.vault.interface import (
    MissionStatus,
    PublicRecord,
    ShardStore,
    StatementState,
    VaultRefused,
)

__all__ = ["RetryPolicy", "RetryingRecord", "RetryingStore"]

T = TypeVar("T")
_TRANSIENT = frozenset({"unavailable", "rate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long; pauses double from `first_pause` and vary by up to a half."""

    attempts: int = 4
    first_pause: float = 0.25
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result; the last error when all attempts failed."""
        wait = self.first_pause
        for _ in range(self.attempts - 1):
            try:
                return await call()
            except VaultUnreachable:
                pass
            except VaultRefused as error:
                if error.cause not in _TRANSIENT:
                    raise
            # Spread out, so that many clients do not come back in the same moment.
            await self.pause(wait * random.uniform(0.75, 1.25))  # noqa: S311
            wait *= 2
        return await call()


class RetryingRecord:
    """A `PublicRecord` whose calls are repeated."""

    def __init__(self, inner: PublicRecord, policy: RetryPolicy) -> None:
        self._inner = inner
        self._run = policy.run

    @property
    def seat(self) -> Seat:
        return self._inner.seat

    async def checkpoint(self) -> bytes:
        return await self._run(self._inner.checkpoint)

    async def cosigned(self) -> bytes:
        return await self._run(self._inner.cosigned)

    async def witness_head(self, log: Seat) -> bytes:
        return await self._run(lambda: self._inner.witness_head(log))

    async def tile(self, path: str) -> bytes:
        return await self._run(lambda: self._inner.tile(path))

    async def body(self, sha256: bytes) -> bytes:
        return await self._run(lambda: self._inner.body(sha256))

    async def status(self) -> MissionStatus:
        return await self._run(self._inner.status)

    async def receipt(self, entry_type: str, sha256: bytes) -> str:
        return await self._run(lambda: self._inner.receipt(entry_type, sha256))

    async def submit(self, envelope: bytes) -> StatementState:
        return await self._run(lambda: self._inner.submit(envelope))

    async def statement(self, statement: StatementHash) -> StatementState:
        return await self._run(lambda: self._inner.statement(statement))


class RetryingStore:
    """A `ShardStore` whose calls are repeated."""

    def __init__(self, inner: ShardStore, policy: RetryPolicy) -> None:
        self._inner = inner
        self._run = policy.run

    @property
    def seat(self) -> Seat:
        return self._inner.seat

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        return await self._run(lambda: self._inner.put_shard(root, parts))

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        return await self._run(lambda: self._inner.put_sealed_shard(root, parts))

    async def get_shard(self, root: ShardRoot) -> bytes:
        return await self._run(lambda: self._inner.get_shard(root))

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        await self._run(lambda: self._inner.read_unchecked(root, into))

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        return await self._run(lambda: self._inner.missing(statement))
