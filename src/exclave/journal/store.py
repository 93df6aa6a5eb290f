"""The journal: what this depositor knows of its packs, in one embedded database.

It holds the dedup index (chunk id -> place in a pack), the packs that are *safe* (at least
h seats in distinct states hold their shards and the rest is spooled), which seat still
lacks what, and the records made so far. It never holds a deposit secret, a veil or a
key in the clear: whoever steals it can open nothing (promise P2).

Rules
- A pack and its chunks enter in one durable transaction, and only once the pack is safe: so
  everything in the index can be adopted by the next attempt after a crash. Finding them again is
  `exclave.journal.index`'s business, which may be lost.
- Nothing here holds a row for each chunk, nor all packs or records in memory unless asked for them.
- A record is stored before it is sent, so that a crash can never make two records with
  the same sequence.
- Dedup never crosses recovery epochs: opening with another epoch starts an empty index.
- A record that no seat took may be withdrawn; it is kept aside with the reason.
- A pack that is no longer safe, or was made for another set of seats, is no longer shared; the
  next record is then full, since it cannot be told as a change of the one before.
- It can be lost: the deposit workflow rebuilds it from the catalogue (spec/catalogue.md).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import apsw

from exclave.ids import (
    ChunkId,
    DepositId,
    Epoch,
    MissionId,
    PackRoot,
    Seat,
    ShardRoot,
    StatementHash,
)
from exclave.journal.database import (
    DROPPED,
    LIVE,
    NAMED,
    SAFE,
    Transaction,
    bring_up,
    connect,
    create,
    delete_lists,
    insert_list,
    name_live,
    require_known,
    room_at,
    unopened,
    unusable,
)
from exclave.journal.lists import ID_SIZE
from exclave.journal.rows import (
    JournalForeign,
    JournalUnusable,
    Location,
    PackRow,
    RecordRow,
    SafePack,
    ShardRow,
)

if TYPE_CHECKING:
    from exclave.journal.index import ChunkIndex

__all__ = [
    "Journal",
    "JournalForeign",
    "JournalUnusable",
    "Location",
    "PackRow",
    "RecordRow",
    "SafePack",
    "ShardRow",
]

_SECRETS: Final = "SELECT secret FROM packs WHERE root = ?"
_MARKED: Final = "SELECT n FROM packs WHERE live = ?"
_LODGED_AT: Final = "SELECT seat FROM lodgings WHERE sequence = ?"
_LODGINGS: Final = """
SELECT r.sequence, l.seat FROM records r LEFT JOIN lodgings l USING (sequence) ORDER BY r.sequence
"""


class Journal:
    """Open with `Journal.open`; safe to use from several threads."""

    def __init__(
        self, connection: apsw.Connection, reader: apsw.Connection, index: Path, recent: int | None
    ) -> None:
        self._db = connection
        self._lock = threading.Lock()
        # Looking up goes on while a commit waits for the disk (write-ahead log).
        self._reader = reader
        self._folder = index
        self._recent = recent
        self._made: ChunkIndex | None = None
        self._making = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        mission: MissionId,
        depositor: str,
        epoch: Epoch,
        recent: int | None = None,
    ) -> Self:
        """Open or create; refuses a journal of another mission or depositor.

        `recent`: entries of the dedup index that are kept in memory, `RECENT` otherwise.
        """
        require_known(path)
        try:
            fresh = not path.exists()
            if fresh:
                path.touch(mode=0o600)
            connection = connect(path)
            if connection.pragma("user_version") == 0:
                create(connection, mission, depositor, epoch)
            bring_up(connection)
            reader = apsw.Connection(str(path))
            reader.set_busy_timeout(2_000)
            reader.pragma("query_only", True)
        except (apsw.Error, OSError) as error:
            raise unopened(path, error, free=room_at(path)) from error
        journal = cls(connection, reader, path.with_suffix(".index"), recent)
        journal._adopt_identity(mission, depositor, epoch)
        return journal

    def close(self) -> None:
        """Close the database."""
        if self._made is None:
            self._reader.close()
        else:
            self._made.close()
        with self._lock:
            self._db.close()

    def _adopt_identity(self, mission: MissionId, depositor: str, epoch: Epoch) -> None:
        meta = dict(self._rows("SELECT key, value FROM meta"))
        if meta.get("mission") != mission.hex() or meta.get("depositor") != depositor:
            raise JournalForeign(
                f"journal: belongs to depositor {meta.get('depositor')!r} of mission "
                f"{str(meta.get('mission'))[:16]}, expected {depositor!r} of {mission.hex()[:16]}"
            )
        if meta.get("epoch") != epoch:
            with self._transaction():
                self._db.execute("DELETE FROM pieces")
                self._db.execute("DELETE FROM runs")
                self._db.execute("UPDATE packs SET live = ?", (DROPPED,))
                self._db.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))

    @property
    def epoch(self) -> Epoch:
        """The recovery epoch within which packs are shared."""
        return Epoch(int(self._rows("SELECT value FROM meta WHERE key = 'epoch'")[0][0]))

    # -- dedup index ---------------------------------------------------------------------

    @property
    def _index(self) -> ChunkIndex:
        """Made when it is first needed: who only looks at packs is spared it, and numpy."""
        from exclave.journal.index import RECENT, ChunkIndex

        with self._making:
            if self._made is None:
                self._made = ChunkIndex(
                    self._folder,
                    connection=self._db,
                    lock=self._lock,
                    reader=self._reader,
                    recent=RECENT if self._recent is None else self._recent,
                )
            return self._made

    def lookup(self, ids: Sequence[ChunkId]) -> list[Location | None]:
        """Places of chunks that the next record may refer to, in the order asked."""
        return self._index.lookup(ids)

    def chunk_count(self) -> int:
        """Number of chunks in the index."""
        return int(self._rows("SELECT coalesce(sum(length(ids)), 0) FROM pieces")[0][0]) // ID_SIZE

    # -- packs ---------------------------------------------------------------------------

    def add_safe_pack(self, pack: SafePack, *, shared: bool = True) -> int:
        """Enter a safe pack with its chunks, durably; returns its number.

        With `shared` false only its shards are remembered, for seats that still lack them.
        """
        [number] = self.add_safe_packs([pack], shared=shared)
        return number

    def add_safe_packs(self, packs: Iterable[SafePack], *, shared: bool = True) -> list[int]:
        """Enter several as one; returns their numbers."""
        with self._index.entering() as enter:
            with self._transaction():
                added = [self._add(pack, shared=shared) for pack in packs]
            for number, ids in added:
                if ids:
                    enter(number, ids)
        return [number for number, _ in added]

    def packs(self, numbers: Iterable[int]) -> list[PackRow]:
        """The named packs, in the order asked."""
        return [self._pack(n) for n in numbers]

    def packs_by_root(self, roots: Iterable[PackRoot]) -> Iterator[PackRow]:
        """The packs of these roots, one after the other; every one must be known."""
        for root in roots:
            rows = self._rows("SELECT n FROM packs WHERE root = ?", (root,))
            if not rows:
                raise JournalUnusable(f"journal: pack {root.hex()[:16]} is not known")
            yield self._pack(rows[0][0])

    def live_roots(self) -> frozenset[PackRoot]:
        """Roots of the packs that the newest record names."""
        return frozenset(
            PackRoot(r[0]) for r in self._rows("SELECT root FROM packs WHERE live = 1")
        )

    def live_secrets(self) -> frozenset[bytes]:
        """Ids of the secrets of the packs that the newest record names."""
        rows = self._rows("SELECT DISTINCT secret FROM packs WHERE live = 1")
        return frozenset(r[0] for r in rows)

    def live_size(self) -> int:
        """Bytes that each seat holds of the packs that the newest record names."""
        rows = self._rows("SELECT sum((length + k - 1) / k) FROM packs WHERE live IN (1, 3)")
        return int(rows[0][0] or 0)

    def secrets_of(self, roots: Iterable[PackRoot]) -> frozenset[bytes]:
        """Ids of the secrets of the packs of these roots."""
        found: set[bytes] = set()
        for root in roots:
            found.update(r[0] for r in self._rows(_SECRETS, (root,)))
        return frozenset(found)

    def sealed_secret(self, secret: bytes) -> tuple[DepositId, bytes]:
        """The sealed form of a deposit secret by its id, and the deposit it was sealed for."""
        rows = self._rows("SELECT deposit, sealed FROM secrets WHERE id = ?", (secret,))
        if not rows:
            raise JournalUnusable("journal: a pack names a secret that is not there")
        return DepositId(rows[0][0]), bytes(rows[0][1])

    def late_shards(self, seat: Seat) -> list[tuple[PackRoot, ShardRoot]]:
        """Shards that a seat has not acknowledged; their sealed form lies in the spool."""
        return [
            (PackRoot(r[0]), ShardRoot(r[1]))
            for r in self._rows(
                "SELECT p.root, s.root FROM shards s JOIN packs p ON p.n = s.pack "
                "WHERE s.seat = ? AND s.held = 0 ORDER BY s.pack",
                (seat,),
            )
        ]

    def mark_held(self, seat: Seat, root: ShardRoot) -> None:
        """A seat acknowledged a shard that was late."""
        with self._transaction():
            self._db.execute(
                "UPDATE shards SET held = 1 WHERE seat = ? AND root = ? AND held = 0", (seat, root)
            )

    def held_shards(self, seat: Seat) -> frozenset[ShardRoot]:
        """Shards that a seat acknowledged."""
        rows = self._rows("SELECT root FROM shards WHERE seat = ? AND held = 1", (seat,))
        return frozenset(ShardRoot(r[0]) for r in rows)

    def mark_lost(self, seat: Seat, roots: Iterable[ShardRoot]) -> int:
        """A seat lacks shards that lie nowhere else; returns the packs not shared any more."""
        wanted = set(roots)
        rows = self._rows("SELECT pack, root FROM shards WHERE seat = ?", (seat,))
        packs = [(pack,) for pack, root in rows if root in wanted]
        with self._transaction():
            self._db.executemany(
                "UPDATE shards SET held = 0 WHERE pack = ? AND seat = ?",
                [(pack, seat) for (pack,) in packs],
            )
            return self._unshare(packs)

    def keep_layout(self, k: int, seats: Iterable[Seat]) -> int:
        """Share packs of this k and these seats only; returns how many others there were."""
        expected = ",".join(str(seat) for seat in sorted(seats))
        rows = self._rows(
            "SELECT p.n, p.k, group_concat(s.seat) FROM packs p JOIN shards s ON s.pack = p.n "
            "WHERE p.live != 0 GROUP BY p.n"
        )
        others = [
            (n,)
            for n, made, among in rows
            if made != k or ",".join(sorted(among.split(","), key=int)) != expected
        ]
        with self._transaction():
            return self._unshare(others)

    # -- records -------------------------------------------------------------------------

    def store_record(
        self, record: RecordRow, live: Iterable[PackRoot], *, others: Iterable[PackRoot] = ()
    ) -> None:
        """Make a record the newest before it is sent: it names `live`; `others` are only shared."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?)",
                (record.sequence, record.statement, record.deposit, record.envelope),
            )
            self._db.execute("DELETE FROM meta WHERE key = 'full'")
            name_live(self._db, live, others)
            self._drop()

    def want_full(self) -> None:
        """The next record shall be full."""
        with self._transaction():
            self._want_full()

    @property
    def full_wanted(self) -> bool:
        """Whether the next record must be full."""
        return bool(self._rows("SELECT 1 FROM meta WHERE key = 'full'"))

    def is_whole(self) -> bool:
        """Whether all records of the chain are here, from number 1 on."""
        [[count, newest]] = self._rows("SELECT count(*), max(sequence) FROM records")
        return bool(count) and count == newest

    def note_asked(self, sequence: int, seat: Seat) -> None:
        """A record is about to be sent to a seat: from now on it may have it."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO asked VALUES (?, ?)", (sequence, seat))

    def note_refused(self, sequence: int, seat: Seat) -> None:
        """A seat refused a record for good: it does not have it."""
        with self._transaction():
            self._db.execute("DELETE FROM asked WHERE sequence = ? AND seat = ?", (sequence, seat))

    def may_have(self, sequence: int) -> frozenset[Seat]:
        """Seats that were sent a record and did not refuse it."""
        rows = self._rows("SELECT seat FROM asked WHERE sequence = ?", (sequence,))
        return frozenset(Seat(r[0]) for r in rows)

    def withdraw(self, sequence: int, reason: str) -> None:
        """Set aside the newest record, which no seat took; its packs stay safe."""
        with self._transaction():
            self._set_aside(sequence, reason)

    def withdrawn(self) -> list[tuple[int, bytes, str]]:
        """Sequence, statement and reason of records that were set aside."""
        rows = self._rows("SELECT sequence, statement, reason FROM withdrawn ORDER BY sequence")
        return [(r[0], r[1], r[2]) for r in rows]

    def adopt_record(self, record: RecordRow, reason: str) -> None:
        """Go on from a record that the seats have; own ones from its number on are set aside."""
        with self._transaction():
            self._set_aside(record.sequence, reason)
            self._db.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?)",
                (record.sequence, record.statement, record.deposit, record.envelope),
            )

    def begin_after(self, statement: StatementHash) -> None:
        """The first record of these keys will name that one, of others, as its predecessor."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('begun', ?)", (statement.hex(),))

    @property
    def begun_after(self) -> StatementHash | None:
        """The record of other keys after which this chain begins, if any."""
        rows = self._rows("SELECT value FROM meta WHERE key = 'begun'")
        return StatementHash(bytes.fromhex(rows[0][0])) if rows else None

    def newest_record(self) -> RecordRow | None:
        """The record with the highest sequence."""
        return next(iter(self.records()), None)

    def records(self) -> Iterator[RecordRow]:
        """Records, newest first, one after the other: each may have many MiB."""
        rows = self._rows("SELECT sequence FROM records ORDER BY sequence DESC")
        return (self.record(sequence) for (sequence,) in rows)

    def record(self, sequence: int) -> RecordRow:
        """The record of a number, which must be there."""
        [row] = self._rows(
            "SELECT sequence, statement, deposit, envelope FROM records WHERE sequence = ?",
            (sequence,),
        )
        return RecordRow(
            sequence=row[0],
            statement=row[1],
            deposit=DepositId(row[2]),
            envelope=row[3],
            lodged=frozenset(Seat(r[0]) for r in self._rows(_LODGED_AT, (sequence,))),
        )

    def lodgings(self) -> Mapping[int, frozenset[Seat]]:
        """The number of each record, ascending, and the seats that lodged it."""
        found: dict[int, set[Seat]] = {}
        for sequence, seat in self._rows(_LODGINGS):
            seats = found.setdefault(sequence, set())
            if seat is not None:
                seats.add(Seat(seat))
        return {sequence: frozenset(seats) for sequence, seats in found.items()}

    def mark_lodged(self, sequence: int, seat: Seat, receipt: str) -> None:
        """A seat lodged a record and gave a receipt."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO lodgings VALUES (?, ?, ?)", (sequence, seat, receipt)
            )

    # -- inside --------------------------------------------------------------------------

    def _set_aside(self, first: int, reason: str) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO withdrawn SELECT statement, sequence, deposit, envelope, ? "
            "FROM records WHERE sequence >= ?",
            (reason, first),
        )
        for table in ("records", "lodgings", "asked"):
            self._db.execute(f"DELETE FROM {table} WHERE sequence >= ?", (first,))  # noqa: S608
        self._db.execute("UPDATE packs SET live = ? WHERE live = ?", (SAFE, LIVE))
        self._want_full()

    def _add(self, pack: SafePack, *, shared: bool) -> tuple[int, bytes]:
        self._db.execute(
            "INSERT OR IGNORE INTO secrets VALUES (?, ?, ?)",
            (pack.secret, pack.deposit, pack.sealed_secret),
        )
        live = SAFE if shared else DROPPED
        self._db.execute(
            "INSERT INTO packs (root, length, k, kind, secret, live) VALUES (?,?,?,?,?,?)",
            (pack.root, pack.length, pack.k, pack.kind, pack.secret, live),
        )
        number = self._db.last_insert_rowid()
        self._db.executemany(
            "INSERT INTO shards VALUES (?, ?, ?, ?)",
            [(number, s.seat, s.root, int(s.held)) for s in pack.shards],
        )
        if not shared or not pack.chunks:
            return number, b""
        return number, insert_list(self._db, number, pack.chunks)

    def _drop(self) -> None:
        """Share no more what is still marked: a pack has a list as long as it is shared."""
        named: list[tuple[Any, ...]] = self._db.execute(_MARKED, (NAMED,)).fetchall()
        delete_lists(self._db, (n for (n,) in named))
        self._db.execute("UPDATE packs SET live = ? WHERE live = ?", (DROPPED, NAMED))
        if self._made is not None:
            self._made.forget()

    def _unshare(self, packs: Sequence[tuple[int]]) -> int:
        changes = self._db.total_changes()
        self._db.executemany(
            "UPDATE packs SET live = ? WHERE n = ? AND live != 0", ((NAMED, *n) for n in packs)
        )
        count = self._db.total_changes() - changes
        self._drop()
        if count:
            self._want_full()
        return count

    def _want_full(self) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('full', 1)")

    def _pack(self, number: int) -> PackRow:
        row = self._rows(
            "SELECT root, length, k, kind, secret, live FROM packs WHERE n = ?", (number,)
        )[0]
        shards = self._rows("SELECT seat, root FROM shards WHERE pack = ? ORDER BY seat", (number,))
        return PackRow(
            n=number,
            root=PackRoot(row[0]),
            length=row[1],
            k=row[2],
            kind=row[3],
            secret=row[4],
            live=row[5] == LIVE,
            shards=tuple((Seat(s[0]), ShardRoot(s[1])) for s in shards),
        )

    def _rows(
        self, sql: str, bindings: tuple[bytes | int | str, ...] = ()
    ) -> list[tuple[Any, ...]]:  # SQLite's columns have no static type
        with self._lock:
            try:
                return list(self._db.execute(sql, bindings))
            except apsw.Error as error:
                raise unusable(error) from error

    def _transaction(self) -> Transaction:
        return Transaction(self._db, self._lock)
