"""A mission's index at one vault: what would be slow to find in the objects themselves.

SQLite, one file `state.db` a mission. It says nothing that the log and the shards do not say: every
row is written by folding a log entry or a stored shard (`exclave.vault.kept.fold`), so a new index
built from them is the same, row by row.

Rules
- Only the fold writes.
- The file may be deleted at any time while the vault is down; after an unclean stop, or when it
  is of another layout, it is built again.
- Errors of SQLite leave this module as `IndexFailed`, or `IndexConflict` where rows contradict;
  these and what rows mean stand in `exclave.vault.kept.index_rows`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import apsw

from exclave.authority.record import DepositRecord
from exclave.clock import format_time, parse_time
from exclave.ids import DepositId, PackRoot, ShardRoot, StatementHash
from exclave.ledger.entry import EntryType, LogEntry
from exclave.vault.interface import Quarantined
from exclave.vault.kept.index_rows import NamedShard, RecordRow, blob, index_errors, record_row
from exclave.vault.kept.quota import Charged

__all__ = ["Index"]

_LAYOUT: Final = 6

_TABLES: Final = {
    "facts": "name TEXT PRIMARY KEY, value INTEGER NOT NULL",
    "entries": "type TEXT, hash BLOB, number INTEGER NOT NULL, PRIMARY KEY (type, hash)",
    "statements": "hash BLOB PRIMARY KEY, type TEXT NOT NULL, number INTEGER NOT NULL, "
    "body BLOB NOT NULL",
    "records": "hash BLOB PRIMARY KEY, author TEXT NOT NULL, depositor TEXT NOT NULL, "
    "sequence INTEGER NOT NULL, deposit BLOB NOT NULL, previous BLOB, complete INTEGER NOT NULL, "
    "number INTEGER NOT NULL, logged TEXT NOT NULL, lodged INTEGER, forked INTEGER NOT NULL, "
    "payer TEXT NOT NULL, charged INTEGER NOT NULL, service INTEGER NOT NULL, "
    "live INTEGER, fresh INTEGER",
    "named": "root BLOB, record BLOB, pack BLOB NOT NULL, length INTEGER NOT NULL, "
    "k INTEGER NOT NULL, PRIMARY KEY (root, record)",
    "packs": "root BLOB PRIMARY KEY, retain_until INTEGER NOT NULL",
    "shards": "root BLOB PRIMARY KEY, size INTEGER NOT NULL, pack BLOB NOT NULL, "
    "length INTEGER NOT NULL, k INTEGER NOT NULL",
    "swept": "root BLOB PRIMARY KEY, number INTEGER NOT NULL",
    "quarantine": "number INTEGER PRIMARY KEY, why TEXT NOT NULL",
}
_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS records_place ON records (author, sequence)",
    "CREATE INDEX IF NOT EXISTS records_deposit ON records (deposit)",
    "CREATE INDEX IF NOT EXISTS records_payer ON records (payer)",
    "CREATE INDEX IF NOT EXISTS records_moment ON records (depositor, service)",
    "CREATE INDEX IF NOT EXISTS named_record ON named (record)",
    "CREATE INDEX IF NOT EXISTS shards_pack ON shards (pack)",
)
_STAGED: Final = (
    "NOT EXISTS (SELECT 1 FROM named WHERE named.root = shards.root AND named.pack = shards.pack "
    "AND named.length = shards.length AND named.k = shards.k)"
)


class Index:
    """The tables and their questions; calls are serialised by the mission's lock."""

    def __init__(self, path: str) -> None:
        """`path` may be `:memory:`."""
        self._totals: tuple[int, int] | None = None  # of stored shards, when counted
        with index_errors():
            self._db = apsw.Connection(path)
            self._db.execute("PRAGMA journal_mode=WAL")
            # A lost tail is noticed (the index then covers less than the log) and folded again.
            self._db.execute("PRAGMA synchronous=NORMAL")
        with self.transaction():
            if self._number("PRAGMA user_version") != _LAYOUT:
                named = self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")
                for (name,) in list(named):  # those of an older layout too
                    self._db.execute(f"DROP TABLE IF EXISTS {name}")
                self._db.execute(f"PRAGMA user_version = {_LAYOUT}")
            for name, columns in _TABLES.items():
                self._db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) WITHOUT ROWID")
            for statement in _INDEXES:
                self._db.execute(statement)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; within another one, all or nothing of this part."""
        try:
            with index_errors(), self._db:
                yield
        except BaseException:
            self._totals = None  # what was rolled back may be in them
            raise

    def clear(self) -> None:
        """Empty every table."""
        self._totals = None
        for name in _TABLES:
            self._db.execute(f"DELETE FROM {name}")  # noqa: S608

    def dump(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table in order of its key, facts about the run left out."""
        return {
            name: [tuple(row) for row in self._db.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]  # noqa: S608
            for name in _TABLES
            if name != "facts"
        }

    # Facts

    def fact(self, name: str) -> int:
        """A number kept under a name; 0 when never set."""
        return self._number("SELECT value FROM facts WHERE name = ?", name)

    def set_fact(self, name: str, value: int) -> None:
        """Keep a number under a name."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # Entries and statements

    def add_entry(self, number: int, entry: LogEntry) -> None:
        """An entry of the log and, when it has one, its statement's newest place."""
        self._db.execute(
            "INSERT OR IGNORE INTO entries VALUES (?, ?, ?)", (entry.type.value, entry.hash, number)
        )
        if entry.statement is not None:
            self._db.execute(
                "INSERT INTO statements VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE "
                "SET number = excluded.number, body = excluded.body",
                (entry.statement, entry.type.value, number, entry.hash),
            )

    def entry_number(self, kind: EntryType, body: bytes) -> int | None:
        """Where a body was logged under that type."""
        return self._optional(
            "SELECT number FROM entries WHERE type = ? AND hash = ?", kind.value, body
        )

    def statement(self, statement: StatementHash) -> tuple[EntryType, int, bytes] | None:
        """First type, newest entry and newest body of a statement."""
        rows = self._rows("SELECT type, number, body FROM statements WHERE hash = ?", statement)
        for kind, number, body in rows:
            return EntryType(kind), int(str(number)), blob(body)
        return None

    def quarantine(self, number: int, why: str) -> None:
        """An entry that means nothing here: it cannot be folded."""
        self._db.execute("INSERT OR REPLACE INTO quarantine VALUES (?, ?)", (number, why))

    def quarantined(self) -> tuple[Quarantined, ...]:
        """All such entries, in order."""
        rows = self._rows("SELECT number, why FROM quarantine ORDER BY number")
        return tuple(Quarantined(entry=int(str(number)), why=str(why)) for number, why in rows)

    def numbers_of(self, kinds: Collection[EntryType]) -> list[int]:
        """Numbers of all entries of these types, in the order of the log."""
        marks = ", ".join("?" * len(kinds))
        rows = self._rows(
            f"SELECT number FROM entries WHERE type IN ({marks}) ORDER BY number",  # noqa: S608
            *(kind.value for kind in kinds),
        )
        return [int(str(row[0])) for row in rows]

    # Records

    def add_record(
        self,
        record: DepositRecord,
        *,
        statement: StatementHash,
        author: str,
        payer: str,
        number: int,
        logged: datetime,
        service: int,
        shards: Iterable[NamedShard],
    ) -> None:
        """A mirrored record; charges its new packs to the payer."""
        forked = self.at_place(author, record.sequence) is not None
        charged = 0
        for shard in shards:
            if not self.is_described(shard):
                charged += shard.size
            self._db.execute(
                "INSERT INTO named VALUES (?, ?, ?, ?, ?)",
                (shard.root, statement, shard.pack, shard.length, shard.k),
            )
        self._db.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, NULL, NULL)",
            (statement, author, record.depositor, record.sequence, record.deposit, record.previous,
             record.full, number, format_time(logged), forked, payer, charged, service),
        )  # fmt: skip

    def set_lodged(
        self,
        statement: StatementHash,
        number: int,
        packs: Iterable[PackRoot],
        retain_until: int,
        volume: tuple[int, int],
    ) -> None:
        """A record is lodged; its live packs are kept at least until then (epoch seconds).

        `volume`: bytes of its live packs, and of those that it added.
        """
        self._db.execute(
            "UPDATE records SET lodged = ?, number = ?, live = ?, fresh = ? WHERE hash = ?",
            (number, number, *volume, statement),
        )
        self._db.executemany(
            "INSERT INTO packs VALUES (?, ?) ON CONFLICT (root) DO UPDATE "
            "SET retain_until = max(retain_until, excluded.retain_until)",
            [(pack, retain_until) for pack in packs],
        )

    def records(self, where: str = "1", *values: bytes | str | int) -> list[RecordRow]:
        """Records in the order of the log; `where` is one of this module's conditions."""
        rows = self._rows(  # no value of a peer is ever part of `where`
            "SELECT hash, author, depositor, sequence, deposit, previous, complete, number, "  # noqa: S608
            f"logged, lodged, forked FROM records WHERE {where} ORDER BY number, hash",
            *values,
        )
        return [record_row(row) for row in rows]

    def record(self, statement: StatementHash) -> RecordRow | None:
        """One of them."""
        return next(iter(self.records("hash = ?", statement)), None)

    def at_place(self, author: str, sequence: int) -> RecordRow | None:
        """The first record of a chain with that number."""
        found = self.records("author = ? AND sequence = ? AND forked = 0", author, sequence)
        return next(iter(found), None)

    def of_deposit(self, deposit: DepositId) -> RecordRow | None:
        """The record of a deposit id."""
        return next(iter(self.records("deposit = ?", deposit)), None)

    def pending(self) -> list[RecordRow]:
        """Records that may still be lodged."""
        return self.records("lodged IS NULL AND forked = 0")

    def charged(self, payer: str) -> list[Charged]:
        """What was charged to a payer, record by record."""
        rows = self._rows("SELECT author, logged, charged FROM records WHERE payer = ?", payer)
        return [
            Charged(author=str(author), logged=parse_time(str(logged)), size=int(str(size)))
            for author, logged, size in rows
        ]

    def signs(self, depositor: str, most: int = 256) -> list[tuple[int, str, bool]]:
        """The newest records of a depositor: service time when mirrored, author, whether lodged."""
        where = "depositor = ? ORDER BY service DESC LIMIT ?"
        sql = f"SELECT service, author, lodged FROM records WHERE {where}"  # noqa: S608
        rows = self._rows(sql, depositor, most)
        return [(int(str(row[0])), str(row[1]), row[2] is not None) for row in rows][::-1]

    def volumes(self, depositor: str, most: int) -> list[tuple[int, int, int]]:
        """Live bytes, fresh bytes and sequence of the deposits that were lodged last."""
        where = "depositor = ? AND lodged IS NOT NULL ORDER BY lodged DESC LIMIT ?"
        sql = f"SELECT live, fresh, sequence FROM records WHERE {where}"  # noqa: S608
        found = [
            tuple(int(str(value)) for value in row) for row in self._rows(sql, depositor, most)
        ]
        return [(live, fresh, sequence) for live, fresh, sequence in reversed(found)]

    def charged_to_author(self, author: str) -> int:
        """Bytes that one author's records were charged with, whoever paid."""
        return self._number("SELECT SUM(charged) FROM records WHERE author = ?", author)

    # Shards

    def add_shard(self, shard: NamedShard) -> None:
        """A stored shard, by its header."""
        self._db.execute(
            "INSERT OR IGNORE INTO shards VALUES (?, ?, ?, ?, ?)",
            (shard.root, shard.size, shard.pack, shard.length, shard.k),
        )
        if self._totals is not None and self._db.changes():
            self._totals = (self._totals[0] + 1, self._totals[1] + shard.size)

    def has_shard(self, root: ShardRoot) -> bool:
        """Whether it is stored."""
        return self._optional("SELECT 1 FROM shards WHERE root = ?", root) is not None

    def is_named(self, root: ShardRoot) -> bool:
        """Whether a record names it, rightly described or not."""
        return self._optional("SELECT 1 FROM named WHERE root = ?", root) is not None

    def is_described(self, shard: NamedShard) -> bool:
        """Whether a record names it just so; else it is staged."""
        found = self._optional(
            "SELECT 1 FROM named WHERE root = ? AND pack = ? AND length = ? AND k = ?",
            shard.root, shard.pack, shard.length, shard.k,
        )  # fmt: skip
        return found is not None

    def names_shards(self, record: StatementHash) -> bool:
        """Whether a record names any shard of this seat."""
        found = self._optional("SELECT 1 FROM named WHERE record = ? LIMIT 1", record)
        return found is not None

    def contradicted(self, record: StatementHash) -> ShardRoot | None:
        """A stored shard whose header says something else than the record."""
        rows = self._rows(
            "SELECT named.root FROM named JOIN shards USING (root) WHERE record = ? AND NOT "
            "(named.pack = shards.pack AND named.length = shards.length AND named.k = shards.k) "
            "ORDER BY named.root LIMIT 1",
            record,
        )
        return next((ShardRoot(blob(row[0])) for row in rows), None)

    def missing(self, record: StatementHash) -> tuple[ShardRoot, ...]:
        """Shards that a record names and that are not stored, ascending.

        What was swept after the record was lodged is not missing.
        """
        rows = self._rows(
            "SELECT named.root FROM named JOIN records ON records.hash = named.record "
            "LEFT JOIN shards USING (root) LEFT JOIN swept USING (root) "
            "WHERE record = ? AND shards.root IS NULL "
            "AND NOT (lodged IS NOT NULL AND swept.root IS NOT NULL AND swept.number > lodged) "
            "ORDER BY named.root",
            record,
        )
        return tuple(ShardRoot(blob(row[0])) for row in rows)

    def named_by_lodged(self, root: ShardRoot) -> bool:
        """Whether a lodged record names it."""
        found = "named JOIN records ON records.hash = named.record AND lodged IS NOT NULL"
        return self._optional(f"SELECT 1 FROM {found} WHERE root = ?", root) is not None  # noqa: S608

    def shard_totals(self) -> tuple[int, int]:
        """Number and bytes of all shards; counted once, since whoever asks for a status asks."""
        if self._totals is None:
            count = self._number("SELECT COUNT(*) FROM shards")
            self._totals = count, self._number("SELECT SUM(size) FROM shards")
        return self._totals

    def staged_shards(self) -> list[tuple[ShardRoot, int]]:
        """Roots and bytes of stored shards that no record names just so."""
        rows = self._rows(f"SELECT root, size FROM shards WHERE {_STAGED}")  # noqa: S608
        return [(ShardRoot(blob(root)), int(str(size))) for root, size in rows]

    def staged_among(self, roots: Iterable[ShardRoot]) -> list[tuple[ShardRoot, int]]:
        """Those of the given shards that are staged, with their bytes."""
        sql = f"SELECT root, size FROM shards WHERE root = ? AND {_STAGED}"  # noqa: S608
        return [
            (ShardRoot(blob(found)), int(str(size)))
            for root in roots
            for found, size in self._rows(sql, root)
        ]

    def retain_until(self, pack: PackRoot) -> int | None:
        """Epoch seconds; None for a pack of no lodged record."""
        return self._optional("SELECT retain_until FROM packs WHERE root = ?", pack)

    # The sweep

    def add_swept(self, roots: Iterable[ShardRoot], number: int) -> None:
        """An entry says that these shards may be gone."""
        rows = [(root, number) for root in roots]
        self._db.executemany("INSERT OR REPLACE INTO swept VALUES (?, ?)", rows)

    def drop_shard(self, root: ShardRoot) -> None:
        """A shard that has been swept."""
        self._totals = None
        self._db.execute("DELETE FROM shards WHERE root = ?", (root,))

    def shards_of(self, pack: PackRoot) -> tuple[ShardRoot, ...]:
        """Stored shards of a pack that lodged records name just so."""
        rows = self._rows(
            "SELECT DISTINCT shards.root FROM shards JOIN named USING (root, pack, length, k) "
            "JOIN records ON records.hash = named.record "
            "WHERE shards.pack = ? AND lodged IS NOT NULL ORDER BY shards.root",
            pack,
        )
        return tuple(ShardRoot(blob(row[0])) for row in rows)

    def packs_pending(self) -> frozenset[PackRoot]:
        """Packs that records name which may still be lodged."""
        rows = self._rows(
            "SELECT DISTINCT pack FROM named JOIN records ON records.hash = named.record "
            "WHERE lodged IS NULL AND forked = 0"
        )
        return frozenset(PackRoot(blob(row[0])) for row in rows)

    def _rows(self, sql: str, *values: bytes | str | int) -> Iterator[tuple[object, ...]]:
        with index_errors():
            return iter(self._db.execute(sql, values).fetchall())

    def _optional(self, sql: str, *values: bytes | str | int) -> int | None:
        for row in self._rows(sql, *values):
            return None if row[0] is None else int(str(row[0]))
        return None

    def _number(self, sql: str, *values: bytes | str | int) -> int:
        return self._optional(sql, *values) or 0
