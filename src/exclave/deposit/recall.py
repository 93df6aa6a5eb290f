"""Leaves out of a stream's reading what stood in the stream of the last deposit.

Where a stream is cut depends on the bytes since the last cut alone. So as soon as a cut falls where
one fell before, within bytes that are the same, the chunks that follow are the old ones until these
bytes end: their ids are remembered and nothing is read. At the edges it is read until then.

Rules
- The chunks are those of a full reading, cut for cut.
- The old stream's last chunk was cut by its end, and is taken only where this stream ends too.
- Whether a chunk may be referred to is the packer's to say, from its id; one that lies in no pack
  any more is read again, and must have the id that is remembered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from exclave.ids import ChunkId
from exclave.values import dataclass

__all__ = ["Cuts", "OldChunk", "Recall"]

Read = Callable[[int, int], Iterator[bytes]]
_STEP: Final = 256 * 1024
"""Bytes read before looking again whether a cut falls where one fell before."""
_TOGETHER: Final = 1024


@dataclass(frozen=True, slots=True)
class OldChunk:
    """A chunk of the last deposit's stream, and how to read its bytes again."""

    id: ChunkId
    start: int
    plain: int
    read: Read


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    read: Read


class Cuts:
    """The remembered chunks in order; positions asked for ascend."""

    def __init__(self, chunks: Iterator[tuple[ChunkId, int]]) -> None:
        self._chunks = chunks
        self._next = next(chunks, None)
        self._after = next(chunks, None)  # None: `_next` was cut by the end of the stream
        self._at = 0

    def stands_at(self, position: int) -> bool:
        """Whether a chunk began at this position."""
        while self._next is not None and self._at < position:
            self._step()
        return self._next is not None and self._at == position

    def take(self, end: int, *, last: bool) -> tuple[ChunkId, int] | None:
        """The chunk here, if it ends by `end`; the stream's last one only with `last`."""
        chunk = self._next
        if chunk is None or self._at + chunk[1] > end or (self._after is None and not last):
            return None
        self._step()
        return chunk

    def _step(self) -> None:
        assert self._next is not None
        self._at += self._next[1]
        self._next, self._after = self._after, next(self._chunks, None)


class Recall:
    """Stands before a chunker: `recall` what was, `settle` before anything else is written."""

    def __init__(
        self,
        cuts: Cuts,
        *,
        feed: Callable[[bytes], None],
        open_bytes: Callable[[], int],
        drop: Callable[[], None],
        take: Callable[[list[OldChunk]], None],
    ) -> None:
        """`feed`, `open_bytes` and `drop` are the chunker's: cut these bytes; how many are not cut
        yet; forget these. `take` gets chunks that need no reading.
        """
        self._cuts = cuts
        self._feed = feed
        self._open_bytes = open_bytes
        self._drop = drop
        self._take = take
        self._pieces: deque[_Piece] = deque()
        self._fed = 0  # old position up to which the pieces went into the chunker

    def recall(self, start: int, length: int, read: Read) -> None:
        """The next bytes are those that stood at `start`."""
        if self._pieces and self._pieces[-1].end != start:
            self.settle()
        if not self._pieces:
            self._fed = start
        self._pieces.append(_Piece(start, start + length, read))
        self._advance(last=False)

    def settle(self) -> None:
        """Read what is left over: something new follows."""
        if self._pieces:
            while self._fed < self._pieces[-1].end:
                self._read_on()
            self._pieces.clear()

    def finish(self) -> None:
        """Nothing follows."""
        if self._pieces:
            self._advance(last=True)
            self.settle()

    def _advance(self, *, last: bool) -> None:
        end = self._pieces[-1].end
        while self._fed < end:
            # Where the chunk that is open now begins, in the old stream.
            begin = self._fed - self._open_bytes()
            if begin >= self._pieces[0].start and self._cuts.stands_at(begin):
                self._drop()
                self._fed = begin
                if not self._take_chunks(end, last=last):
                    break
            else:
                self._read_on()
        begin = self._fed - self._open_bytes()
        while len(self._pieces) > 1 and self._pieces[0].end <= begin:
            self._pieces.popleft()

    def _take_chunks(self, end: int, *, last: bool) -> bool:
        taken, read = False, self._reader()
        found: list[OldChunk] = []
        while (chunk := self._cuts.take(end, last=last)) is not None:
            found.append(OldChunk(chunk[0], self._fed, chunk[1], read))
            self._fed += chunk[1]
            taken = True
            if len(found) == _TOGETHER:
                self._take(found)
                found = []
        if found:
            self._take(found)
        return taken

    def _read_on(self) -> None:
        size = min(_STEP, self._pieces[-1].end - self._fed)
        for piece in self._reader()(self._fed, size):
            self._feed(piece)
        self._fed += size

    def _reader(self) -> Read:
        pieces = tuple(self._pieces)
        if len(pieces) == 1:
            return pieces[0].read

        def read(offset: int, size: int) -> Iterator[bytes]:
            end = offset + size
            for piece in pieces:
                start, stop = max(offset, piece.start), min(end, piece.end)
                if start < stop:
                    yield from piece.read(start, stop - start)

        return read
