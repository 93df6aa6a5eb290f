"""SQLite files: captured in use, restored byte by byte, damage and leftovers named."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from exclave.archive.objects import SqliteDatabase
from exclave.source.interface import Source, Target
from exclave.source.single_file import FileExists
from exclave.source.sqlite import (
    DatabaseCorrupt,
    DatabaseTooLarge,
    DatabaseUnreadable,
    SqliteConfig,
    SqliteSource,
    SqliteTarget,
)
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent


@pytest.fixture(params=["wal", "delete"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database with an odd name, rows, an index and a dangling foreign key."""
    path = tmp_path / "re gi?st#er.db"
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA journal_mode = {request.param}")
    connection.execute(
        """CREATE TABLE "odd ""one" (id INTEGER PRIMARY KEY, v BLOB);
        CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER REFERENCES "odd ""one");
        CREATE INDEX by_v ON "odd ""one" (v);
        CREATE VIRTUAL TABLE words USING fts5(t);
        INSERT INTO words VALUES ('hello world');
        INSERT INTO child VALUES (1, 99999);"""
    )
    connection.executemany(
        'INSERT INTO "odd ""one" VALUES (?, ?)', ((n, bytes([n % 256]) * 50) for n in range(2000))
    )
    connection.close()
    return path


def test_round_trip_while_a_writer_is_open(database: Path, tmp_path: Path) -> None:
    writer = apsw.Connection(str(database))
    writer.execute("INSERT INTO child VALUES (2, 1)")  # in a log, where there is one
    writer.execute("BEGIN; INSERT INTO child VALUES (3, 1)")  # must not be seen
    archive = MemoryArchive(tmp_path)
    source = SqliteSource(SqliteConfig(file=database))
    assert isinstance(source, Source)
    assert source.check() == ()
    captured = source.capture(archive, silent)
    writer.execute("ROLLBACK")
    writer.close()
    [item] = captured.objects
    assert isinstance(item, SqliteDatabase)
    assert dict(item.tables)["child"] == 2
    assert dict(item.tables)['odd "one'] == 2000
    assert captured.notes == ("table child: 1 foreign keys lead nowhere",)
    register = register_of(captured, "sqlite")
    target = SqliteTarget(tmp_path / "restored")
    assert isinstance(target, Target)
    target.check_empty(register)
    target.restore(register, archive, silent)
    compared = target.compare(register, archive, silent)
    assert compared.differences == ()
    assert compared.rows == captured.rows >= 2002
    with pytest.raises(FileExists):
        target.restore(register, archive, silent)


def test_changes_are_named(database: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = register_of(
        SqliteSource(SqliteConfig(file=database)).capture(archive, silent), "sqlite"
    )
    target = SqliteTarget(tmp_path / "restored")
    target.restore(register, archive, silent)
    restored = tmp_path / "restored" / database.name
    connection = apsw.Connection(str(restored))
    connection.execute("PRAGMA journal_mode = delete").fetchall()
    connection.execute("DELETE FROM child WHERE id = 1")
    connection.close()
    what = [each.what for each in target.compare(register, archive, silent).differences]
    assert what == ["content differs", "number of rows in child differs"]
    restored.unlink()
    [gone] = target.compare(register, archive, silent).differences
    assert gone.what == "unreadable"


def test_a_leftover_journal_is_refused(database: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = register_of(
        SqliteSource(SqliteConfig(file=database)).capture(archive, silent), "sqlite"
    )
    folder = tmp_path / "restored"
    folder.mkdir()
    (folder / (database.name + "-wal")).write_bytes(b"planted")
    with pytest.raises(FileExists, match="-wal: expected no file"):
        SqliteTarget(folder).restore(register, archive, silent)


def test_bad_sources_are_named(database: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    with pytest.raises(DatabaseUnreadable, match=r"none\.db: expected a readable"):
        SqliteSource(SqliteConfig(file=tmp_path / "none.db")).capture(archive, silent)
    other = tmp_path / "text.db"
    other.write_text("no database at all" * 100)
    with pytest.raises(DatabaseUnreadable):
        SqliteSource(SqliteConfig(file=other)).check()
    with pytest.raises(DatabaseTooLarge, match="expected at most 1000 bytes"):
        SqliteSource(SqliteConfig(file=database, memory_limit=1000)).check()
    data = bytearray(database.read_bytes())
    data[-4096 * 10 : -4096 * 9] = bytes(4096)
    database.write_bytes(data)
    with pytest.raises((DatabaseCorrupt, DatabaseUnreadable)):
        SqliteSource(SqliteConfig(file=database)).capture(archive, silent)
    assert not archive.streams


def test_a_writer_that_keeps_the_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    writer = apsw.Connection(str(path))
    writer.execute("CREATE TABLE t (a); BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnreadable, match="locked"):
        SqliteSource(SqliteConfig(file=path, busy_timeout=0)).check()
    writer.close()
