"""The journal's database: its tables, its transactions, and apsw's errors as ours."""

from __future__ import annotations

import threading
from typing import Final

import apsw

from exclave.ids import Epoch, MissionId
from exclave.journal.rows import JournalUnusable

__all__ = ["LATER", "Transaction", "create", "unusable"]

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
CREATE TABLE chunks (
  id BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
  stored INTEGER NOT NULL, plain INTEGER NOT NULL, codec INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
  sequence INTEGER PRIMARY KEY, statement BLOB NOT NULL, deposit BLOB NOT NULL,
  envelope BLOB NOT NULL);
CREATE TABLE lodgings (
  sequence INTEGER NOT NULL, seat INTEGER NOT NULL, receipt TEXT NOT NULL,
  PRIMARY KEY (sequence, seat)) WITHOUT ROWID;
"""
LATER: Final = """
CREATE TABLE IF NOT EXISTS asked (
  sequence INTEGER NOT NULL, seat INTEGER NOT NULL, PRIMARY KEY (sequence, seat)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS withdrawn (
  statement BLOB PRIMARY KEY, sequence INTEGER NOT NULL, deposit BLOB NOT NULL,
  envelope BLOB NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
"""
FORMAT: Final = 1


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


def create(connection: apsw.Connection, mission: MissionId, depositor: str, epoch: Epoch) -> None:
    with connection:
        connection.execute(SCHEMA)
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [("mission", mission.hex()), ("depositor", depositor), ("epoch", epoch)],
        )
        connection.pragma("user_version", FORMAT)


def unusable(error: apsw.Error) -> JournalUnusable:
    if isinstance(error, apsw.FullError):
        return JournalUnusable("journal: expected room, got a full disk", hint="free some space")
    return JournalUnusable(f"journal: {type(error).__name__}")
