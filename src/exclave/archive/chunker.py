"""Cuts streams into chunks by content, so that equal parts of two deposits become equal chunks.

FastCDC (2020) finds the cuts; for tables a cut moves to the end of its row. Where cuts fall
depends only on the stream's bytes and the parameters, never on how the bytes are fed. Readers
do not care (spec/archive.md 1); changing parameters only costs one deposit its dedup.
"""

from __future__ import annotations

from pyfastcdc import FastCDC

from exclave.archive.reference import MAX_CHUNK
from exclave.values import dataclass

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

_TOGETHER = 4

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
    """Cuts one stream. Holds at most a feed and `maximum` bytes (`MAX_ROW_CHUNK` for long rows), or
    four times `maximum` where chunks are many.

    Chunks of content are views of memory that is theirs: whoever keeps one keeps those cut with it.
    """

    __slots__ = ("_buffer", "_cutter", "_params", "_scanned")

    def __init__(self, params: ChunkerParams) -> None:
        self._params = params
        self._cutter = FastCDC(params.average, min_size=params.minimum, max_size=params.maximum)
        self._buffer = bytearray()
        self._scanned = 0  # bytes from the buffer's start known to hold no end of the row sought

    @property
    def open_bytes(self) -> int:
        """Bytes fed that are in no chunk yet."""
        return len(self._buffer)

    def feed(
        self, data: bytes | bytearray | memoryview, *, at_once: bool = False
    ) -> list[bytes | memoryview]:
        """Append bytes; chunks whose end is certain, many together unless wanted `at_once`."""
        self._buffer += data
        # A cut is certain once `maximum` bytes follow the chunk's beginning. What follows the last
        # cut is moved: so it is cut when that is little against what was cut.
        least = self._params.maximum
        if not (at_once or self._params.row_aligned):
            least *= _TOGETHER
        if len(self._buffer) < least:
            return []
        return self._cut(final=False)

    def drop(self) -> None:
        """Forget the bytes that are in no chunk yet: they are cut elsewhere."""
        self._buffer = bytearray()
        self._scanned = 0

    def finish(self) -> list[bytes | memoryview]:
        """End the stream; the chunks that were still open."""
        return self._cut(final=True)

    def _cut(self, *, final: bool) -> list[bytes | memoryview]:
        if not self._params.row_aligned:
            return self._cut_bytes(final)
        with memoryview(self._buffer) as view:
            chunks = self._cut_rows(view, final)
        del self._buffer[: sum(map(len, chunks))]
        return [*chunks]

    def _cut_bytes(self, final: bool) -> list[bytes | memoryview]:
        view = memoryview(self._buffer).toreadonly()
        chunks: list[bytes | memoryview] = []
        certain = len(view) - (0 if final else self._params.maximum)
        end = 0
        for chunk in self._cutter.cut_buf(view):
            end = chunk.offset + chunk.length
            chunks.append(view[chunk.offset : end])
            if end > certain:  # asked here: the next cut would be sought in vain
                break
        # A new buffer for what is left: the old one belongs to the chunks.
        self._buffer = bytearray(view[end:])
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
