"""Cuts streams into chunks by content, so that equal parts of two deposits become equal chunks.

FastCDC (2020) finds the cuts; for tables a cut moves to the end of its row. Where cuts fall
depends only on the stream's bytes and the parameters, never on how the bytes are fed. Readers
do not care (spec/archive.md 1); changing parameters only costs one deposit its dedup.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyfastcdc import FastCDC

from exclave.archive.reference import MAX_CHUNK

__all__ = [
    "MANIFEST_STREAM",
    "MAX_ROW_CHUNK",
    "Chunker",
    "ChunkerParams",
    "content_params",
    "heap_table_params",
    "ordered_table_params",
]

_KIB = 1024
_MIB = 1024 * 1024

MAX_ROW_CHUNK = 4 * _MIB
"""A row that ends later than this after its chunk's beginning is cut inside: PostgreSQL's rows
can have a gigabyte, a chunk must fit in memory several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkerParams:
    """Sizes in bytes. Chunks come out at about `average` + `minimum` (FastCDC section 3.4)."""

    minimum: int
    average: int
    maximum: int
    row_aligned: bool = False

    def __post_init__(self) -> None:
        if not 64 <= self.minimum <= self.average <= self.maximum <= MAX_CHUNK:
            raise ValueError(f"chunker: sizes {self} out of order or range")
        if self.row_aligned and self.maximum > MAX_ROW_CHUNK:
            raise ValueError(f"chunker: expected row-aligned maximum of at most {MAX_ROW_CHUNK}")


MANIFEST_STREAM = ChunkerParams(minimum=16 * _KIB, average=64 * _KIB, maximum=256 * _KIB)
"""Entries, schema, row groups: stored anew with every deposit, so few references matter most."""


def ordered_table_params(expected_size: int | None = None) -> ChunkerParams:
    """COPY text in key order: 8 to 16 KiB while the table is small, growing with it.

    Random updates touch single rows; each costs one chunk, so chunks are small. From 2 x 10^6
    chunks on the average doubles, so that a register of several such tables stays under 10^7
    references (DESIGN section 5).
    """
    average = _grown(8 * _KIB, expected_size, most=2_000_000, limit=512 * _KIB)
    return _rows(average)


def heap_table_params(expected_size: int | None = None) -> ChunkerParams:
    """COPY text in physical order: updated rows move, so finer cuts would not find more again."""
    average = _grown(32 * _KIB, expected_size, most=1_000_000, limit=512 * _KIB)
    return _rows(average)


def content_params(expected_size: int | None = None) -> ChunkerParams:
    """Files and large objects as one stream: 64 KiB, up to 1 MiB where there is much of it.

    Files are replaced as a whole or appended to rather than edited in place. 64 KiB keeps small
    scanned deeds apart; above 16 GiB per stream references would outweigh what finer cuts save.
    """
    average = _grown(64 * _KIB, expected_size, most=262_144, limit=_MIB)
    return ChunkerParams(minimum=average // 4, average=average, maximum=average * 4)


def _rows(average: int) -> ChunkerParams:
    return ChunkerParams(
        minimum=average // 2, average=average, maximum=average * 8, row_aligned=True
    )


def _grown(average: int, expected_size: int | None, *, most: int, limit: int) -> int:
    while expected_size is not None and average < limit and expected_size > average * most:
        average *= 2
    return average


class Chunker:
    """Cuts one stream. Holds at most `maximum` bytes (`MAX_ROW_CHUNK` for long rows) and a feed."""

    __slots__ = ("_buffer", "_cutter", "_params", "_scanned")

    def __init__(self, params: ChunkerParams) -> None:
        self._params = params
        self._cutter = FastCDC(params.average, min_size=params.minimum, max_size=params.maximum)
        self._buffer = bytearray()
        self._scanned = 0  # bytes from the buffer's start known to hold no end of the row sought

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Append bytes; the chunks whose end is now certain."""
        self._buffer += data
        # A cut is certain once `maximum` bytes follow the chunk's beginning.
        if len(self._buffer) < self._params.maximum:
            return []
        return self._cut(final=False)

    def finish(self) -> list[bytes]:
        """End the stream; the chunks that were still open."""
        return self._cut(final=True)

    def _cut(self, *, final: bool) -> list[bytes]:
        with memoryview(self._buffer) as view:
            if self._params.row_aligned:
                chunks = self._cut_rows(view, final)
            else:
                chunks = self._cut_bytes(view, final)
        del self._buffer[: sum(map(len, chunks))]
        return chunks

    def _cut_bytes(self, view: memoryview, final: bool) -> list[bytes]:
        chunks: list[bytes] = []
        certain = len(view) - (0 if final else self._params.maximum)
        for chunk in self._cutter.cut_buf(view):
            if chunk.offset > certain:
                break
            chunks.append(bytes(chunk.data))
        return chunks

    def _cut_rows(self, view: memoryview, final: bool) -> list[bytes]:
        chunks: list[bytes] = []
        start, size, maximum = 0, len(view), self._params.maximum
        while start < size and (final or size - start >= maximum):
            end = self._row_end(view, start, final)
            if end is None:
                break
            chunks.append(bytes(view[start:end]))
            start = end
        return chunks

    def _row_end(self, view: memoryview, start: int, final: bool) -> int | None:
        """Where the chunk ends: after the first LF from the content's cut on; None: not known."""
        size = len(view)
        if start == 0 and self._scanned:
            seek = self._scanned
        else:
            cut = next(self._cutter.cut_buf(view[start : start + self._params.maximum])).length
            seek = start + cut - 1
        limit = min(size, start + MAX_ROW_CHUNK)
        found = self._buffer.find(b"\n", seek, limit)
        self._scanned = 0
        if found >= 0:
            return found + 1
        if final or limit < size or limit - start == MAX_ROW_CHUNK:
            return limit
        self._scanned = limit - start
        return None
