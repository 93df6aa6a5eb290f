"""Reads a stream's chunks ahead of whoever takes them, in order and in bounded memory.

Packs are asked for in the order of first need while their predecessors are still being read;
chunks are decoded in batches, in a small pool, since decompressing lets other threads run.

Rules
- At most `STORED_AHEAD` bytes of packs and `PLAIN_AHEAD` bytes of chunks are ahead of the reader,
  or one batch of each where that is more.
- An error of a chunk or its pack is raised where that chunk would have come. One of the list of
  chunks itself may come up to that far earlier.
- A reader that stops early leaves nothing running but what had begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Final, TypeAlias

from exclave.archive.reference import Reference
from exclave.values import dataclass

__all__ = ["PLAIN_AHEAD", "STORED_AHEAD", "read_ahead"]

STORED_AHEAD: Final = 20 * 2**20
"""Somewhat more than a pack: the next one is on its way while one is read."""

PLAIN_AHEAD: Final = 8 * 2**20

Piece: TypeAlias = bytes | memoryview

_BATCH: Final = 2**19
"""Plain bytes decoded at once: hundreds of batches a second, not thousands of small chunks."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive chunks of one pack."""

    refs: tuple[Reference, ...]
    stored: int
    plain: int


def read_ahead(
    references: Iterable[Reference],
    *,
    fetch: Callable[[Reference], Future[memoryview]],
    decode: Callable[[memoryview, tuple[Reference, ...]], list[Piece]],
    pool: Executor,
) -> Iterator[Piece]:
    """The chunks' plaintexts in order; `fetch` begins to get a chunk's pack."""
    ahead = _Ahead(_batches(references), fetch=fetch, decode=decode, pool=pool)
    try:
        while ahead.fill():
            yield from ahead.take()
    finally:
        ahead.stop()


class _Ahead:
    def __init__(
        self,
        batches: Iterator[_Batch],
        *,
        fetch: Callable[[Reference], Future[memoryview]],
        decode: Callable[[memoryview, tuple[Reference, ...]], list[Piece]],
        pool: Executor,
    ) -> None:
        self._batches = batches
        self._fetch = fetch
        self._decode = decode
        self._pool = pool
        self._waiting: deque[tuple[_Batch, Future[memoryview]]] = deque()
        self._stored = 0  # bytes in `_waiting`
        self._decoding: deque[tuple[_Batch, Future[list[Piece]]]] = deque()
        self._plain = 0  # bytes in `_decoding`

    def fill(self) -> bool:
        """Begin what fits; whether anything is left to take."""
        while not self._waiting or self._stored < STORED_AHEAD:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._waiting.append((batch, self._fetch(batch.refs[0])))
            self._stored += batch.stored
        while self._waiting and (not self._decoding or self._plain < PLAIN_AHEAD):
            batch, pack = self._waiting.popleft()
            self._stored -= batch.stored
            self._decoding.append((batch, self._pool.submit(self._decoded, pack, batch)))
            self._plain += batch.plain
        return bool(self._decoding)

    def take(self) -> list[Piece]:
        """The chunks of the next batch, when they are there."""
        batch, chunks = self._decoding.popleft()
        self._plain -= batch.plain
        return chunks.result()

    def stop(self) -> None:
        """Begin nothing more."""
        for _, chunks in self._decoding:
            chunks.cancel()

    def _decoded(self, pack: Future[memoryview], batch: _Batch) -> list[Piece]:
        return self._decode(pack.result(), batch.refs)


def _batches(references: Iterable[Reference]) -> Iterator[_Batch]:
    refs: list[Reference] = []
    stored = plain = 0
    for reference in references:
        if refs and (plain >= _BATCH or reference.pack != refs[0].pack):
            yield _Batch(tuple(refs), stored, plain)
            refs, stored, plain = [], 0, 0
        refs.append(reference)
        stored += reference.stored
        plain += reference.plain
    if refs:
        yield _Batch(tuple(refs), stored, plain)
