"""The journal's database: its tables, its transactions, and apsw's errors as ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

import apsw

from exclave.ids import ChunkId, Epoch, MissionId, PackRoot
from exclave.journal.lists import cut_list, encode_list
from exclave.journal.rows import JournalTooNew, JournalUnusable

__all__ = [
    "DROPPED",
    "LIVE",
    "NAMED",
    "OTHERS",
    "SAFE",
    "Transaction",
    "bring_up",
    "connect",
    "create",
    "delete_lists",
    "full_disk",
    "insert_list",
    "name_live",
    "pieces_of",
    "require_known",
    "room_at",
    "unopened",
    "unusable",
]

_LEAST: Final = 128 * 1024
"""Bytes that opening takes beside the file: its log, and the memory that its readers share."""

# Values of packs.live: named by the newest record; safe but not yet in a record; no longer named;
# named by the record before, while a transaction tells which of these still are; of a register that
# the newest deposit left out. All but those that are no longer named are shared.
LIVE, SAFE, DROPPED, NAMED, OTHERS = 1, 2, 0, -1, 3

SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE packs (
  n INTEGER PRIMARY KEY, root BLOB NOT NULL UNIQUE, length INTEGER NOT NULL,
  k INTEGER NOT NULL, kind INTEGER NOT NULL, secret BLOB NOT NULL, live INTEGER NOT NULL);
CREATE TABLE shards (
  pack INTEGER NOT NULL, seat INTEGER NOT NULL, root BLOB NOT NULL, held INTEGER NOT NULL,
  PRIMARY KEY (pack, seat)) WITHOUT ROWID;
CREATE INDEX shards_late ON shards (seat, pack) WHERE held = 0;
CREATE TABLE secrets (
  id BLOB PRIMARY KEY, deposit BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
  sequence INTEGER PRIMARY KEY, statement BLOB NOT NULL, deposit BLOB NOT NULL,
  envelope BLOB NOT NULL);
CREATE TABLE lodgings (
  sequence INTEGER NOT NULL, seat INTEGER NOT NULL, receipt TEXT NOT NULL,
  PRIMARY KEY (sequence, seat)) WITHOUT ROWID;
"""
LATER: Final = """
CREATE TABLE IF NOT EXISTS pieces (
  begins INTEGER PRIMARY KEY, ids BLOB NOT NULL, places BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
  age INTEGER PRIMARY KEY, name TEXT NOT NULL, entries INTEGER NOT NULL, bits INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS asked (
  sequence INTEGER NOT NULL, seat INTEGER NOT NULL, PRIMARY KEY (sequence, seat)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS withdrawn (
  statement BLOB PRIMARY KEY, sequence INTEGER NOT NULL, deposit BLOB NOT NULL,
  envelope BLOB NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
"""
FORMAT: Final = 3
_ROWS: Final = 1
"""An older format: a row for each chunk in place of lists."""
_WHOLE: Final = 2
"""The format before: lists in one piece."""

_SQLITE: Final = b"SQLite format 3\x00"
_HEADER: Final = 100
"""Bytes of an SQLite file's header; the number that a program keeps there begins at byte 60."""
_USER_VERSION: Final = 60

_HEAD: Final = 32
"""Bits of an id by which pieces are found."""


class Transaction:
    """BEGIN IMMEDIATE .. COMMIT under the journal's lock; apsw errors become ours."""

    def __init__(self, connection: apsw.Connection, lock: threading.Lock) -> None:
        self._db = connection
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            self._lock.release()
            raise unusable(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
            elif self._db.in_transaction:  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
        except apsw.Error as failed:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise unusable(failed) from failed
        finally:
            self._lock.release()
        if isinstance(error, apsw.Error):
            raise unusable(error) from error


def require_known(path: Path) -> None:
    """Refuse a later format before anything is opened: opening alone would write beside it."""
    try:
        with path.open("rb") as stream:
            header = stream.read(_HEADER)
    except OSError:
        return  # there is none yet, or `open` says what is wrong
    version = int.from_bytes(header[_USER_VERSION : _USER_VERSION + 4])
    if header.startswith(_SQLITE) and version > FORMAT:
        raise JournalTooNew(
            f"journal {path}: expected format {FORMAT} or earlier, got format {version}",
            hint="a later version made it: use that one; nothing was touched",
        )


def connect(path: Path) -> apsw.Connection:
    """A connection that writes durably, to a journal whose format is known."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(2_000)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    return connection


def create(connection: apsw.Connection, mission: MissionId, depositor: str, epoch: Epoch) -> None:
    with connection:
        connection.execute(SCHEMA)
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [("mission", mission.hex()), ("depositor", depositor), ("epoch", epoch)],
        )
        connection.pragma("user_version", FORMAT)


def bring_up(connection: apsw.Connection) -> None:
    """Make what later versions added; chunks of an older format become lists in pieces."""
    connection.execute(LATER)
    version = connection.pragma("user_version")
    if version not in {_ROWS, _WHOLE}:
        return
    with connection:
        if version == _ROWS:
            _gather_rows(connection)
        else:
            for row in connection.execute("SELECT pack, ids, places FROM lists"):
                _insert_pieces(connection, *row)
            connection.execute("DROP TABLE lists")
        connection.pragma("user_version", FORMAT)


def _gather_rows(connection: apsw.Connection) -> None:
    rows = connection.execute(
        "SELECT c.pack, c.id, c.offset, c.stored, c.plain, c.codec "
        "FROM chunks c JOIN packs p ON p.n = c.pack WHERE p.live != 0 ORDER BY c.pack"
    )
    for pack, chunks in groupby(rows, key=itemgetter(0)):
        insert_list(connection, pack, (chunk[1:] for chunk in chunks))
    connection.execute("DROP TABLE chunks")


def insert_list(
    connection: apsw.Connection, pack: int, chunks: Iterable[tuple[ChunkId, int, int, int, int]]
) -> bytes:
    """Enter the chunks of a pack, given as in `SafePack`; returns their ids in the list's order."""
    ids, places = encode_list(chunks)
    _insert_pieces(connection, pack, ids, places)
    return ids


def delete_lists(connection: apsw.Connection, packs: Iterable[int]) -> None:
    """Remove the lists of packs."""
    connection.executemany("DELETE FROM pieces WHERE begins BETWEEN ? AND ?", map(pieces_of, packs))


def pieces_of(pack: int, last: int | None = None) -> tuple[int, int]:
    """Where the pieces of a pack begin at least and at most; of all up to `last`, if given.

    A piece's key is the pack's number and the first four bytes of its first id.
    """
    return pack << _HEAD, ((pack if last is None else last) + 1 << _HEAD) - 1


def _insert_pieces(connection: apsw.Connection, pack: int, ids: bytes, places: bytes) -> None:
    connection.executemany(
        "INSERT INTO pieces VALUES (?, ?, ?)",
        [(pack << _HEAD | head, *columns) for head, *columns in cut_list(ids, places)],
    )


def name_live(
    connection: apsw.Connection, live: Iterable[PackRoot], others: Iterable[PackRoot]
) -> None:
    """What a new record names and what its deposit leaves out; what neither has stays `NAMED`."""
    connection.execute("UPDATE packs SET live = ? WHERE live IN (?, ?)", (NAMED, LIVE, OTHERS))
    connection.executemany("UPDATE packs SET live = 1 WHERE root = ?", ((root,) for root in live))
    connection.executemany(
        "UPDATE packs SET live = ? WHERE root = ? AND live IN (?, ?)",
        ((OTHERS, root, NAMED, SAFE) for root in others),
    )


def unusable(error: apsw.Error) -> JournalUnusable:
    """An error of the database as ours."""
    if isinstance(error, apsw.FullError):
        return full_disk()
    return JournalUnusable(f"journal: {type(error).__name__}")


def unopened(path: Path, error: apsw.Error | OSError, *, free: int) -> JournalUnusable:
    """A journal that cannot be opened; `free`: bytes that its disk has left.

    Only a damaged one is to be moved away: on a full or failing disk a new one fares no better.
    """
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return JournalUnusable(
            f"journal {path}: expected a journal, got a damaged file",
            hint="move it away: the next deposit rebuilds it from the catalogue",
        )
    if isinstance(error, apsw.FullError) or free < _LEAST:
        return full_disk()
    why = error.strerror if isinstance(error, OSError) else type(error).__name__
    return JournalUnusable(
        f"journal {path}: expected to open it, got: {why}",
        hint="see that its folder is there, may be written by this user, and that its disk is well",
    )


def room_at(path: Path) -> int:
    """Bytes that the disk of a file has left; as if there were room where its folder is missing."""
    try:
        # Not by shutil, which costs every look at home more than it is worth here.
        found = os.statvfs(path.parent)
        return found.f_bavail * found.f_frsize
    except OSError:
        return _LEAST


def full_disk() -> JournalUnusable:
    """What to say when there is no room."""
    return JournalUnusable("journal: expected room, got a full disk", hint="free some space")
