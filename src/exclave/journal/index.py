"""Finds chunks by id: hints from sorted runs, truth from the journal's lists.

A pack's chunks are some rows of the table `pieces`, written in the transaction that makes the pack
known. The index only says in which packs to look. So it can be lost, be behind, or be wrong, and
costs dedup or time at worst; it is made again from the lists.

Rules
- A chunk is only found in the list of a pack that is shared: a pack has a list as long as it is.
- Entries of the newest packs are kept in memory and read from the lists again at the next start.
  From `RECENT` on they become a run; runs are merged so that each is at least `RATIO` times as
  large as all newer ones: a look-up asks few, and an entry is written again a few times only.
- Which runs count, and up to which pack they reach, is written in one transaction of the journal
  after they are on the medium. Those that it does not name are removed.
- Looking up goes on while runs are merged.
- One chunk costs one piece of a list. A pack that answers twice within few answers is read as a
  whole: an unchanged register asks for all of its chunks.
"""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
import numpy as np
from numpy.typing import NDArray

from exclave.ids import ChunkId
from exclave.journal.database import Transaction, full_disk, pieces_of, unusable
from exclave.journal.lists import ChunkList, find_in_piece, prefix_of, prefixes_of
from exclave.journal.rows import JournalUnusable, Location
from exclave.journal.runs import Recent, Run, RunDamaged, RunRow, Source, remove_run, write_run

__all__ = ["RATIO", "RECENT", "ChunkIndex"]

RECENT: Final = 1 << 18
"""Entries kept in memory: 12 bytes each, and their lists are read at every start."""
RATIO: Final = 4
_KEPT: Final = 1 << 19
"""Chunks of lists kept in memory, 53 bytes each: streams come back in the order of their packs."""
_NEAR: Final = 8
"""Answers from pieces within which a pack that answers again is read as a whole."""
_AT_ONCE: Final = 16
"""Lists read at once when recent entries are read again: up to some MiB each."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_LIST: Final = "SELECT ids, places FROM pieces WHERE begins BETWEEN ? AND ? ORDER BY begins"
_PIECE: Final = f"{_LIST} DESC LIMIT 1"
_IDS: Final = "SELECT begins >> 32, ids FROM pieces WHERE begins BETWEEN ? AND ? ORDER BY begins"
_LATER: Final = "SELECT n FROM packs WHERE live != 0 AND n > ? ORDER BY n LIMIT ?"
_RUNS: Final = "SELECT name, entries, bits FROM runs ORDER BY age"
_REACH: Final = "SELECT coalesce(max(value), 0) FROM meta WHERE key = 'reach'"
_SHARED: Final = "SELECT n FROM packs WHERE live != 0 AND n <= ?"


class ChunkIndex:
    """The dedup index of a journal; safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        connection: apsw.Connection,
        lock: threading.Lock,
        reader: apsw.Connection,
        recent: int,
    ) -> None:
        """Nothing is read before it is needed. `lock` guards `connection`, `reader` is its own."""
        self._folder = folder
        self._db = connection
        self._db_lock = lock
        self._reader = reader
        self._most = recent
        self._reading = threading.Lock()  # the reader, and the lists kept
        self._changing = threading.Lock()  # entering and merging
        self._loaded = False
        self._reach = 0  # number of the newest pack that was entered
        self._recent = Recent.empty()
        self._runs: tuple[Run, ...] = ()  # newest first
        self._lists: OrderedDict[int, ChunkList] = OrderedDict()
        self._size = 0  # chunks of these
        self._last: ChunkList | None = None
        self._answered: deque[int] = deque(maxlen=_NEAR)  # packs, from pieces

    def close(self) -> None:
        """Close the reader."""
        with self._reading:
            self._reader.close()

    def lookup(self, ids: Sequence[ChunkId]) -> list[Location | None]:
        """Places of chunks in shared packs, in the order asked."""
        if not self._loaded:
            with self.entering():
                pass
        # Recent ones first: what leaves them is in the runs before.
        sources: tuple[Source, ...] = (self._recent, *self._runs)
        with self._reading, converted():
            return [self._find(chunk_id, sources) for chunk_id in ids]

    def forget(self) -> None:
        """Some packs have no list any more."""
        with self._reading:
            self._lists.clear()
            self._size, self._last = 0, None

    @contextmanager
    def entering(self) -> Iterator[Callable[[int, bytes], None]]:
        """While packs are made known, one caller at a time; gives what enters their chunks.

        That takes a pack's number and the ids of its list, once they are committed.
        """
        with self._changing, converted():
            self._load()
            yield self._enter

    # -- looking up ----------------------------------------------------------------------

    def _find(self, chunk_id: ChunkId, sources: Sequence[Source]) -> Location | None:
        prefix = prefix_of(chunk_id)
        if self._last is not None and (place := self._last.find(chunk_id, prefix)):
            return place
        for source in sources:
            for pack in source.packs_of(prefix):
                if place := self._find_in(pack, chunk_id, prefix):
                    return place
        return None

    def _find_in(self, pack: int, chunk_id: ChunkId, prefix: int) -> Location | None:
        if pack not in self._lists and pack not in self._answered:
            return self._find_in_piece(pack, chunk_id, prefix)
        chunks = self._list(pack)
        place = None if chunks is None else chunks.find(chunk_id, prefix)
        if place is not None:
            self._last = chunks
        return place

    def _find_in_piece(self, pack: int, chunk_id: ChunkId, prefix: int) -> Location | None:
        first, _ = pieces_of(pack)
        row = self._reader.execute(_PIECE, (first, first | prefix >> 32)).fetchone()
        if row is None:
            return None  # not shared any more
        ids, places = row
        place = find_in_piece(pack, ids, places, chunk_id)
        if place is not None:
            self._answered.append(pack)
        return place

    def _list(self, pack: int) -> ChunkList | None:
        kept = self._lists.get(pack)
        if kept is not None:
            self._lists.move_to_end(pack)
            return kept
        rows = self._reader.execute(_LIST, pieces_of(pack)).fetchall()
        if not rows:
            return None  # not shared any more
        ids, places = (b"".join(column) for column in zip(*rows, strict=True))
        kept = self._lists[pack] = ChunkList(pack, ids, places)
        self._size += len(kept)
        while self._size > _KEPT and len(self._lists) > 1:
            self._size -= len(self._lists.popitem(last=False)[1])
        return kept

    # -- entering ------------------------------------------------------------------------

    def _enter(self, pack: int, ids: bytes) -> None:
        self._recent = self._recent.with_packs([(pack, prefixes_of(ids))])
        self._reach = pack
        if self._recent.entries >= self._most:
            self._merge()

    def _load(self) -> None:
        """Open the runs that count and read the lists of newer packs."""
        if self._loaded:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._recent = Recent.empty()
        try:
            rows = [RunRow(name=n, entries=e, bits=b) for n, e, b in self._rows(_RUNS)]
            self._runs = tuple(Run(self._folder, row) for row in rows)
            self._reach = self._rows(_REACH)[0][0]
        except RunDamaged:
            self._runs, self._reach = (), 0
        self._sweep()
        while added := self._rows(_LATER, (self._reach, _AT_ONCE)):
            (first,), (last,) = added[0], added[-1]
            entries = [(n, prefixes_of(ids)) for n, ids in self._rows(_IDS, pieces_of(first, last))]
            self._recent = self._recent.with_packs(entries)
            self._reach = last
            if self._recent.entries >= self._most:
                self._merge()
        self._loaded = True

    def _merge(self) -> None:
        """Make a run of the recent entries and of all runs that are too small beside it."""
        merged: list[Source] = [self._recent]
        rest = list(self._runs)
        size = self._recent.entries
        while rest and rest[0].entries < RATIO * size:
            size += rest[0].entries
            merged.append(rest.pop(0))
        run = Run(self._folder, write_run(self._folder, merged, self._shared()))
        self._name((run, *rest))
        self._runs = (run, *rest)
        self._recent = Recent.empty()
        self._sweep()

    def _name(self, runs: Sequence[Run]) -> None:
        with Transaction(self._db, self._db_lock):
            self._db.execute("DELETE FROM runs")
            self._db.executemany(
                "INSERT INTO runs VALUES (?, ?, ?, ?)",
                [
                    (age, run.row.name, run.row.entries, run.row.bits)
                    for age, run in enumerate(runs)
                ],
            )
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('reach', ?)", (self._reach,))

    def _shared(self) -> NDArray[np.bool_]:
        shared = np.zeros(self._reach + 1, dtype=np.bool_)
        with self._db_lock:
            for (pack,) in self._db.execute(_SHARED, (self._reach,)):
                shared[pack] = True
        return shared

    def _sweep(self) -> None:
        """Remove runs that do not count."""
        named = {run.row.name for run in self._runs}
        for name in {path.name for path in self._folder.iterdir()} - named:
            remove_run(self._folder, name)

    def _rows(self, sql: str, bindings: tuple[int, ...] = ()) -> list[tuple[Any, ...]]:
        with self._db_lock:  # SQLite's columns have no static type
            return list(self._db.execute(sql, bindings))


@contextmanager
def converted() -> Iterator[None]:
    """Turn errors of the database and of the runs' files into ours."""
    try:
        yield
    except apsw.Error as error:
        raise unusable(error) from error
    except OSError as error:
        if error.errno in _FULL:
            raise full_disk() from error
        raise JournalUnusable(f"journal: index: {error.strerror}") from error
