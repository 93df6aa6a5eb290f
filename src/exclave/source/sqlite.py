"""SQLite registers: one database file, captured while it is in use.

A capture holds one read transaction: it checks the database, counts the rows and copies the
pages as SQLite itself sees them, with what still stands in a write-ahead log. The copy lives in
memory only (nothing unencrypted may touch the scratch folder), so the size is limited by
`memory_limit`; a larger database is refused before anything is read.

Rules
- `integrity_check` must say "ok" in the same transaction; foreign keys that lead nowhere are a
  note, since SQLite enforces them only for programs that ask for it.
- A restore creates a new file and refuses leftovers of an old one: a journal beside it would be
  replayed into the restored pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
from blake3 import blake3

from exclave.archive.manifest import Register
from exclave.archive.objects import SqliteDatabase
from exclave.errors import SourceError
from exclave.source.interface import (
    ArchiveSink,
    ArchiveSupply,
    Captured,
    Compared,
    Difference,
    Progress,
    SourceSize,
    StreamPurpose,
)
from exclave.source.single_file import (
    PIECE,
    compare_content,
    files_of,
    place_of,
    require_none,
    restore_file,
)
from exclave.values import dataclass

__all__ = [
    "DatabaseCorrupt",
    "DatabaseTooLarge",
    "DatabaseUnreadable",
    "SqliteConfig",
    "SqliteSource",
    "SqliteTarget",
]

_BESIDE: Final = ("-journal", "-wal", "-shm")
_REPLAYED: Final = ("-journal", "-wal")


class DatabaseUnreadable(SourceError):
    """The file is missing, locked for too long, or not a SQLite database."""


class DatabaseCorrupt(SourceError):
    """SQLite's own check finds damage."""


class DatabaseTooLarge(SourceError):
    """The database is larger than may be held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteConfig:
    """Which file, and limits."""

    file: Path
    busy_timeout: float = 30.0  # seconds to wait for a writer
    memory_limit: int = 512 * 1024 * 1024


class SqliteSource:
    """One SQLite database file."""

    def __init__(self, config: SqliteConfig) -> None:
        self._config = config

    def check(self) -> Sequence[str]:
        """Open the database and read from it; no warnings are known."""
        with self._transaction() as connection:
            self._refuse_large(connection)
        return ()

    def obstacles(self) -> Sequence[str]:
        """None: a reader of SQLite waits for nobody but in `check`."""
        return ()

    def size(self) -> SourceSize:
        """The database's pages; a journal beside it is not counted."""
        try:
            return SourceSize(bytes=self._config.file.stat().st_size)
        except OSError as error:
            raise DatabaseUnreadable(
                f"{self._config.file}: expected a readable file, got: {error.strerror}"
            ) from error

    def capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        """Capture the database; see the module's rules."""
        with self._transaction() as connection:
            self._refuse_large(connection)
            _refuse_damage(connection, self._config.file)
            notes = _dangling(connection)
            tables = _count_rows(connection)
            data = connection.serialize("main")
        stream = sink.open_stream(StreamPurpose.CONTENT, expected_size=len(data))
        view = memoryview(data)
        for start in range(0, len(data), PIECE):
            stream.write(view[start : start + PIECE])
        progress(self._config.file.name, sum(rows for _, rows in tables), len(data))
        database = SqliteDatabase(
            file=self._config.file.name,
            blake3=blake3(data).digest(),
            size=len(data),
            tables=tables,
            data=stream.finish(),
        )
        return Captured(
            objects=(database,),
            facts=(("sqlite", apsw.sqlite_lib_version()),),
            notes=notes,
            rows=sum(rows for _, rows in tables),
            files=0,
            bytes_read=len(data),
        )

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        """A read transaction that has taken its snapshot."""
        try:
            with _opened(self._config.file, self._config.busy_timeout) as connection:
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_schema")
                yield connection
        except (apsw.Error, OSError) as error:
            raise DatabaseUnreadable(
                f"{self._config.file}: expected a readable SQLite database, got: {error}"
            ) from error

    def _refuse_large(self, connection: apsw.Connection) -> None:
        size = _number(connection, "PRAGMA page_count") * _number(connection, "PRAGMA page_size")
        if size > self._config.memory_limit:
            raise DatabaseTooLarge(
                f"{self._config.file}: expected at most {self._config.memory_limit} bytes, "
                f"got {size}",
                hint="raise memory_limit, or capture a copy of the file as part of a file tree",
            )


class SqliteTarget:
    """A folder into which a SQLite database is restored under its own name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check_empty(self, register: Register) -> None:
        """Raise `FileExists` unless neither the file nor a journal of it exists."""
        for database in files_of(register, SqliteDatabase, ()):
            path = place_of(self._folder, database)
            require_none(path, *(path.with_name(path.name + end) for end in _BESIDE))

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Write the file, whole or not at all; a later call begins anew."""
        todo = files_of(register, SqliteDatabase, only)
        self.check_empty(register)
        for database in todo:
            rows = sum(count for _, count in database.tables)
            restore_file(self._folder, database, supply, progress, units=rows)

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """Compare bytes, SQLite's own check and rows of every table; no journal beside them."""
        del supply
        differences: list[Difference] = []
        rows = 0
        databases = files_of(register, SqliteDatabase, only)
        for database in databases:
            path = place_of(self._folder, database)
            try:
                differences += compare_content(register.id, database, path)
                found = _compare_rows(register.id, database, path)
                found += _compare_journals(register.id, database, path)
            except (apsw.Error, OSError) as error:
                found = [_difference(register.id, database, "unreadable", got=str(error))]
            differences += found
            rows += sum(count for _, count in database.tables)
            progress(database.file, rows, database.size)
        return Compared(
            rows=rows,
            files=len(databases),
            objects=len(databases),
            differences=tuple(differences),
            not_compared=(),
        )


@contextmanager
def _opened(
    file: Path, busy_timeout: float, *, immutable: bool = False
) -> Iterator[apsw.Connection]:
    """A read-only connection; `immutable` touches no journal and needs no locks."""
    uri = file.absolute().as_uri() + ("?immutable=1" if immutable else "")
    connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        connection.set_busy_timeout(round(busy_timeout * 1000))
        # The schema is data: functions named in it must not act.
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection
    finally:
        connection.close()


def _number(connection: apsw.Connection, query: str) -> int:
    return int(str(next(iter(connection.execute(query)))[0]))


def _damage(connection: apsw.Connection) -> str | None:
    said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    return None if said == ["ok"] else "; ".join(said)[:500]


def _refuse_damage(connection: apsw.Connection, file: Path) -> None:
    damage = _damage(connection)
    if damage is not None:
        raise DatabaseCorrupt(
            f"{file}: expected integrity_check to say ok, got: {damage}",
            hint="repair the database with .recover, or restore an older deposit",
        )


def _dangling(connection: apsw.Connection) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for row in connection.execute("PRAGMA foreign_key_check"):
        counts[str(row[0])] = counts.get(str(row[0]), 0) + 1
    return tuple(
        f"table {name}: {count} foreign keys lead nowhere" for name, count in sorted(counts.items())
    )


def _count_rows(connection: apsw.Connection) -> tuple[tuple[str, int], ...]:
    names = [
        str(row[0])
        for row in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
            " ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
        )
    ]
    found = []
    for name in names:
        quoted = name.replace('"', '""')
        found.append((name, _number(connection, f'SELECT count(*) FROM "{quoted}"')))  # noqa: S608
    return tuple(found)


def _difference(
    register: str, database: SqliteDatabase, what: str, *, expected: str = "", got: str = ""
) -> Difference:
    return Difference(
        register=register, subject=database.file, what=what, expected=expected, got=got
    )


def _compare_rows(register: str, database: SqliteDatabase, path: Path) -> list[Difference]:
    if not database.size:
        return []
    found: list[Difference] = []
    with _opened(path, 0, immutable=True) as connection:
        damage = _damage(connection)
        if damage is not None:
            found.append(_difference(register, database, "damaged", got=damage))
        counted = dict(_count_rows(connection))
    expected = dict(database.tables)
    for name in sorted(expected.keys() | counted.keys()):
        if expected.get(name) != counted.get(name):
            found.append(
                _difference(
                    register,
                    database,
                    f"number of rows in {name} differs",
                    expected=str(expected.get(name)),
                    got=str(counted.get(name)),
                )
            )
    return found


def _compare_journals(register: str, database: SqliteDatabase, path: Path) -> list[Difference]:
    """What the next program that opens the database would replay over the compared bytes."""
    beside = (path.with_name(path.name + end) for end in _REPLAYED)
    return [
        Difference(register=register, subject=journal.name, what="journal added")
        for journal in beside
        if journal.is_symlink() or (journal.exists() and journal.stat().st_size)
    ]
