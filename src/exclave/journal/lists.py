"""The chunks of one pack as the journal keeps them: two columns, in ascending order of chunk id.

`ids` holds the whole ids, 32 bytes each; `places` what an id stands for, 13 bytes each. A list lies
in pieces that are found by the first four bytes of an id: one chunk costs one piece, many of a pack
the whole list, which is searched by the first eight. An answer always has the whole id.

Rules
- A piece fills a page of the database. Ids that agree in their first four bytes are in one piece.
- Ids are keyed hashes, so their first eight bytes are as good as random. Two ids of one pack that
  agree in them cost the second its dedup, nothing else.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from exclave.ids import ChunkId
from exclave.journal.rows import JournalUnusable, Location

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "ID_SIZE",
    "PIECE",
    "ChunkList",
    "Prefixes",
    "cut_list",
    "encode_list",
    "find_in_piece",
    "prefix_of",
    "prefixes_of",
]

Prefixes: TypeAlias = "NDArray[np.uint64]"

ID_SIZE: Final = 32
PIECE: Final = 90
"""Chunks of a piece: 4,050 bytes and what SQLite adds, of a page's 4,096."""
_PLACE: Final = struct.Struct("<IIIB")  # offset, stored, plain, codec


def prefixes_of(ids: bytes) -> Prefixes:
    """The first eight bytes of each of some ids that stand one behind the other, as numbers."""
    # Here, so that a journal opens without numpy: commands that only look at it need no more.
    import numpy as np

    return np.frombuffer(ids, dtype=">u8")[:: ID_SIZE // 8].astype(np.uint64)


def prefix_of(chunk_id: ChunkId) -> int:
    """The same of one id."""
    return int.from_bytes(chunk_id[:8], "big")


def encode_list(chunks: Iterable[tuple[ChunkId, int, int, int, int]]) -> tuple[bytes, bytes]:
    """Columns `ids` and `places` of the chunks of a pack, given as in `SafePack`."""
    ordered = sorted(chunks)
    ids = b"".join([chunk[0] for chunk in ordered])
    return ids, b"".join([_PLACE.pack(*chunk[1:]) for chunk in ordered])


def cut_list(ids: bytes, places: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The pieces of a list: the first four bytes of the first id as a number, and both columns."""
    start, count = 0, len(ids) // ID_SIZE
    while start < count:
        end = min(start + PIECE, count)
        while end < count and _head(ids, end) == _head(ids, end - 1):
            end += 1
        part = slice(start * _PLACE.size, end * _PLACE.size)
        head = int.from_bytes(_head(ids, start), "big")
        yield head, ids[start * ID_SIZE : end * ID_SIZE], places[part]
        start = end


def find_in_piece(pack: int, ids: bytes, places: bytes, chunk_id: ChunkId) -> Location | None:
    """Where a chunk lies by a piece of a pack's list, if it is in there."""
    _check_columns(pack, ids, places)
    at = ids.find(chunk_id)
    # Among random ids, none begins within another; where one did, a chunk would lose its dedup.
    return None if at < 0 or at % ID_SIZE else _location(pack, places, at // ID_SIZE)


class ChunkList:
    """The chunks of one pack."""

    __slots__ = ("_ids", "_pack", "_places", "_prefixes")

    def __init__(self, pack: int, ids: bytes, places: bytes) -> None:
        _check_columns(pack, ids, places)
        self._pack = pack
        self._ids = ids
        self._places = places
        self._prefixes = prefixes_of(ids).data  # bisecting makes plain integers of its items

    def __len__(self) -> int:
        return len(self._prefixes)

    def find(self, chunk_id: ChunkId, prefix: int) -> Location | None:
        """Where a chunk lies in this pack, if it does; `prefix` is its id's."""
        at = bisect_left(self._prefixes, prefix)
        if self._ids[at * ID_SIZE : (at + 1) * ID_SIZE] != chunk_id:
            return None
        return _location(self._pack, self._places, at)


def _head(ids: bytes, number: int) -> bytes:
    return ids[number * ID_SIZE : number * ID_SIZE + 4]


def _check_columns(pack: int, ids: bytes, places: bytes) -> None:
    if len(ids) % ID_SIZE or len(places) != len(ids) // ID_SIZE * _PLACE.size:
        raise JournalUnusable(f"journal: chunks of pack {pack} are not as they were written")


def _location(pack: int, places: bytes, number: int) -> Location:
    offset, stored, plain, codec = _PLACE.unpack_from(places, number * _PLACE.size)
    return Location(pack=pack, offset=offset, stored=stored, plain=plain, codec=codec)
