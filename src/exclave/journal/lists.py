"""The chunks of one pack as the journal keeps them: two columns, in ascending order of chunk id.

`ids` holds the whole ids, 32 bytes each; `places` what an id stands for, 13 bytes each. A list is
read as a whole and searched by the first eight bytes of an id; an answer always has the whole id.

Rules
- Ids are keyed hashes, so their first eight bytes are as good as random. Two ids of one pack that
  agree in them cost the second its dedup, nothing else.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from exclave.ids import ChunkId
from exclave.journal.rows import JournalUnusable, Location

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ID_SIZE", "ChunkList", "Prefixes", "encode_list", "prefix_of", "prefixes_of"]

Prefixes: TypeAlias = "NDArray[np.uint64]"

ID_SIZE: Final = 32
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


class ChunkList:
    """The chunks of one pack."""

    __slots__ = ("_ids", "_pack", "_places", "_prefixes")

    def __init__(self, pack: int, ids: bytes, places: bytes) -> None:
        if len(ids) % ID_SIZE or len(places) != len(ids) // ID_SIZE * _PLACE.size:
            raise JournalUnusable(f"journal: chunks of pack {pack} are not as they were written")
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
        offset, stored, plain, codec = _PLACE.unpack_from(self._places, at * _PLACE.size)
        return Location(pack=self._pack, offset=offset, stored=stored, plain=plain, codec=codec)
