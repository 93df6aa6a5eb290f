"""P11 for file trees and SQLite: whatever is changed after restoring is named by its path.

The attacker's powers and the rules are those of `test_p11_proven_reconstruction.py`, with the
restored folder in place of the database.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
import pytest

from exclave.archive.filetree import decode_entries, encode_entries
from exclave.archive.manifest import Register
from exclave.archive.objects import FilesTree
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.files.restore import FilesTarget
from exclave.source.interface import Compared, Target
from exclave.source.sqlite import SqliteConfig, SqliteSource, SqliteTarget
from tests.support.embassy import default_target, found_embassy
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent
from tests.support.tampering import TamperedTarget

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A restored register and what is needed to compare it."""

    folder: Path
    target: Target
    register: Register
    archive: MemoryArchive

    def compare(self) -> Compared:
        """The comparison under attack."""
        return self.target.compare(self.register, self.archive, silent)

    def found(self) -> set[tuple[str, str]]:
        """Subject and what of every difference."""
        return {(each.subject, each.what) for each in self.compare().differences}


@pytest.fixture
def deeds(tmp_path: Path) -> Restored:
    """A restored tree."""
    root = tmp_path / "deeds"
    (root / "maps").mkdir(parents=True)
    (root / "maps" / "north").write_bytes(os.urandom(2 * MIB))
    (root / "maps" / "south").write_bytes(b"south")
    (root / "one").write_bytes(b"same content")
    (root / "two").write_bytes(b"same content")
    os.link(root / "maps" / "south", root / "z-south")
    (root / "newest").symlink_to("maps/north")
    with (root / "sparse").open("wb") as stream:
        stream.truncate(4 * MIB)
    os.utime(root / "one", ns=(5, 1_000_000_000_000_000_001))
    os.utime(root / "two", ns=(5, 1_000_000_000_000_000_001))
    archive = MemoryArchive(tmp_path)
    captured = FilesSource(FilesConfig(folder=root)).capture(archive, silent)
    folder = tmp_path / "restored"
    register = register_of(captured, "files")
    target = FilesTarget(folder)
    target.restore(register, archive, silent)
    return Restored(folder=folder, target=target, register=register, archive=archive)


def _quietly(path: Path, change: Callable[[], object]) -> None:
    """Change a file and put its times and its folder's back, as a careful attacker does."""
    facts = [(each, each.lstat()) for each in (path, path.parent)]
    change()
    for each, old in facts:
        if os.path.lexists(each):
            os.utime(each, ns=(old.st_atime_ns, old.st_mtime_ns), follow_symlinks=False)


def _flip(path: Path, offset: int) -> None:
    def flip() -> None:
        with path.open("r+b") as stream:
            stream.seek(offset)
            byte = stream.read(1)
            stream.seek(offset)
            stream.write(bytes([byte[0] ^ 1]))

    _quietly(path, flip)


def _resize(path: Path, size: int) -> None:
    _quietly(path, lambda: os.truncate(path, size))


def _replace(path: Path, make: Callable[[], object]) -> None:
    def replace() -> None:
        path.unlink()
        make()

    _quietly(path, replace)


def _move_and_link(folder: Path, away: Path) -> None:
    folder.rename(away)
    folder.symlink_to(away)


FILES: dict[str, tuple[Callable[[Path], object], set[tuple[str, str]]]] = {
    "a bit": (lambda r: _flip(r / "maps" / "north", MIB), {("maps/north", "content differs")}),
    "a bit in a hole": (lambda r: _flip(r / "sparse", 3 * MIB), {("sparse", "content differs")}),
    "shorter": (lambda r: _resize(r / "maps" / "north", MIB), {("maps/north", "size differs")}),
    "longer": (lambda r: _resize(r / "sparse", 5 * MIB), {("sparse", "size differs")}),
    "mode": (lambda r: (r / "one").chmod(0o4755), {("one", "mode differs")}),
    "a folder's mode": (lambda r: (r / "maps").chmod(0o777), {("maps", "mode differs")}),
    "a nanosecond": (
        lambda r: os.utime(r / "one", ns=(5, 1_000_000_000_000_000_002)),
        {("one", "time differs")},
    ),
    "where a link leads": (
        lambda r: _replace(r / "newest", lambda: (r / "newest").symlink_to("maps/south")),
        {("newest", "link differs")},
    ),
    "a link for a file": (
        lambda r: _replace(r / "one", lambda: (r / "one").symlink_to("two")),
        {("one", "another type of file")},
    ),
    "a link for a folder": (
        lambda r: _quietly(r / "maps", lambda: _move_and_link(r / "maps", r.parent / "away")),
        {("maps", "another type of file")}
        | {(each, "missing") for each in ("maps/north", "maps/south", "z-south")},
    ),
    "a hard link broken": (
        lambda r: _replace(r / "z-south", lambda: shutil.copy2(r / "maps/south", r / "z-south")),
        {("z-south", "not the same file as")},
    ),
    "two files made one": (
        lambda r: _replace(r / "two", lambda: (r / "two").hardlink_to(r / "one")),
        {("two", "the same file as")},
    ),
    "one more": (
        lambda r: _quietly(r / "maps", (r / "maps" / "x\ny").touch),
        {("maps/x\\x0ay", "added")},
    ),
    "one less": (lambda r: _quietly(r / "two", (r / "two").unlink), {("two", "missing")}),
}


def test_untouched_is_proven(deeds: Restored) -> None:
    compared = deeds.compare()
    assert compared.differences == ()
    assert (compared.files, compared.objects) == (5, 9)


@pytest.mark.parametrize("case", FILES)
def test_files(case: str, deeds: Restored) -> None:
    tamper, expected = FILES[case]
    times = deeds.folder.stat()
    tamper(deeds.folder)
    os.utime(deeds.folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert deeds.found() == expected


def test_an_owner(deeds: Restored) -> None:
    if os.geteuid() != 0:
        assert "owners and groups: only root can restore them" in deeds.compare().not_compared
        pytest.skip("owners are compared as root only, and the report says so")
    os.chown(deeds.folder / "one", 1, -1)
    assert deeds.found() == {("one", "owner differs")}


def test_a_filled_hole_is_the_same_content(deeds: Restored) -> None:
    """What a file reads as is compared, not how much of it is stored."""
    sparse = deeds.folder / "sparse"
    _quietly(sparse, lambda: sparse.write_bytes(bytes(4 * MIB)))
    assert sparse.stat().st_blocks * 512 >= 4 * MIB
    assert deeds.found() == set()


def test_entries_changed_to_fit_do_not_help(deeds: Restored) -> None:
    """He also changes the stored entry: the manifest's root still disagrees."""
    [tree] = [each for each in deeds.register.objects if isinstance(each, FilesTree)]
    stored = deeds.archive.bytes_of(tree.entries)
    entries = list(decode_entries([stored]))
    assert b"".join(encode_entries(entries)) == stored
    fitted = [replace(e, mode=0o600) if e.path == b"one" else e for e in entries]
    deeds.archive.replace(tree.entries, b"".join(encode_entries(fitted)))
    (deeds.folder / "one").chmod(0o600)
    assert deeds.found() == {(".", "stored entries are not those that were fingerprinted")}


# SQLite


@pytest.fixture(params=["delete", "wal"])
def gazette(request: pytest.FixtureRequest, tmp_path: Path) -> Restored:
    """A restored SQLite file."""
    path = tmp_path / "gazette.db"
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA journal_mode = {request.param}").fetchall()
    connection.execute("CREATE TABLE act (id INTEGER PRIMARY KEY, text TEXT)")
    rows = ((n, f"act {n} " + "x" * 500) for n in range(2000))
    with connection:
        connection.executemany("INSERT INTO act VALUES (?, ?)", rows)
    connection.execute("DELETE FROM act WHERE id > 1900")  # pages that nothing uses
    connection.close()
    archive = MemoryArchive(tmp_path)
    captured = SqliteSource(SqliteConfig(file=path)).capture(archive, silent)
    folder = tmp_path / "restored"
    register = register_of(captured, "sqlite")
    target = SqliteTarget(folder)
    target.restore(register, archive, silent)
    return Restored(folder=folder, target=target, register=register, archive=archive)


def _act(gazette: Restored, statement: str) -> None:
    connection = apsw.Connection(str(gazette.folder / "gazette.db"))
    connection.execute(statement)
    connection.close()


def test_untouched_sqlite_is_proven(gazette: Restored) -> None:
    compared = gazette.compare()
    assert compared.differences == ()
    assert compared.rows == 1901


def test_a_row_of_sqlite(gazette: Restored) -> None:
    _act(gazette, "UPDATE act SET text = replace(text, 'act 7 ', 'act 8 ') WHERE id = 7")
    assert ("gazette.db", "content differs") in gazette.found()


def test_a_row_less_of_sqlite(gazette: Restored) -> None:
    _act(gazette, "DELETE FROM act WHERE id = 7")
    assert gazette.found() == {
        ("gazette.db", "content differs"),
        ("gazette.db", "number of rows in act differs"),
    }


def test_a_byte_that_no_table_uses(gazette: Restored) -> None:
    path = gazette.folder / "gazette.db"
    _flip(path, path.stat().st_size - 100)
    assert gazette.found() == {("gazette.db", "content differs")}


def test_a_row_in_a_log_beside_it(gazette: Restored) -> None:
    """The file keeps its bytes, but whoever opens it next sees another row."""
    path = gazette.folder / "gazette.db"
    before = path.read_bytes()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = wal").fetchall()
    connection.execute("UPDATE act SET text = 'forged' WHERE id = 7")
    log = path.with_name("gazette.db-wal").read_bytes()
    connection.close()
    path.write_bytes(before)
    path.with_name("gazette.db-wal").write_bytes(log)
    assert gazette.found() == {("gazette.db-wal", "journal added")}


def test_no_file(gazette: Restored) -> None:
    (gazette.folder / "gazette.db").unlink()
    assert gazette.found() == {("gazette.db", "unreadable")}


# The whole way


def test_the_whole_way(tmp_path: Path) -> None:
    """Through vaults, cards and a warrant: both registers are altered, both are named."""
    out = tmp_path / "out"

    def targets(register: Register) -> Target:
        def tamper() -> None:
            if register.id == "scans":
                _flip(out / "scans" / "deed-007.bin", 100)
            else:
                connection = apsw.Connection(str(out / "gazette" / "gazette.sqlite"))
                connection.execute("DELETE FROM act WHERE id = 3")
                connection.close()

        return TamperedTarget(default_target(out, register), tamper)

    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.deposit()
        embassy.lose_vault(2)
        embassy.lose_home()
        report = embassy.reconstruct(out, targets=targets)
    assert not report.proven
    scans, gazette = report.registers
    assert [(d.subject, d.what) for d in scans.differences] == [("deed-007.bin", "content differs")]
    assert {d.what for d in gazette.differences} == {
        "content differs",
        "number of rows in act differs",
    }
