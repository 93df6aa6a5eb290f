"""File trees: everything a tree can hold returns; links are not followed; changes are named."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from exclave.archive.filetree import FileType, decode_entries
from exclave.archive.objects import FilesTree
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.files.errors import FileChanging, FolderNotEmpty, TreeUnreadable, TreeUnwritable
from exclave.source.files.restore import FilesTarget, PathUnknown
from exclave.source.interface import Captured, Source, Target
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent

MIB = 1024 * 1024


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with everything in it."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").mkdir()
    (root / "a-b").write_text("sorts between a and a/c")
    (root / "a" / "c").write_bytes(os.urandom(3 * MIB + 17))
    (root / "a" / "empty").touch()
    (root / "a" / "deep").mkdir()
    (root / "a" / "deep" / "link").symlink_to("../../nowhere")
    (root / "outward").symlink_to("/etc")
    os.link(root / "a" / "c", root / "z-hard")
    os.link(root / "a" / "c", root / "B-hard")
    os.mkfifo(root / "fifo", 0o620)
    (root / os.fsdecode(b"n\xff\xfe\n '\"\\x")).write_bytes(b"odd")
    with (root / "sparse").open("wb") as stream:
        stream.seek(5 * MIB)
        stream.write(b"middle")
        stream.truncate(9 * MIB)
    with (root / "all-hole").open("wb") as stream:
        stream.truncate(2 * MIB)
    (root / "a" / "empty").chmod(0o4751)
    with contextlib.suppress(OSError):  # a file system without attributes
        os.setxattr(root / "a-b", "user.note", b"value\x00\xff")
    os.utime(root / "a-b", ns=(1, -1_500_000_001))
    os.utime(root / "a" / "deep", ns=(1, 1_000_000_000_123_456_789))
    (root / "a" / "deep").chmod(0o500)
    return root


def capture(root: Path, archive: MemoryArchive) -> Captured:
    return FilesSource(FilesConfig(folder=root)).capture(archive, silent)


def test_everything_returns(tree: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    captured = capture(tree, archive)
    [item] = captured.objects
    assert isinstance(item, FilesTree)
    entries = {entry.path: entry for entry in decode_entries(archive.read_stream(item.entries))}
    assert item.count == len(entries) == 14
    assert entries[b"B-hard"].type is FileType.REGULAR
    assert entries[b"z-hard"].target == entries[b"a/c"].target == b"B-hard"
    assert entries[b"sparse"].stored_size < 2 * MIB
    assert entries[b"all-hole"].extents == ()
    assert item.content.length < 6 * MIB
    register = register_of(captured, "files")
    target = FilesTarget(tmp_path / "restored")
    assert isinstance(target, Target)
    target.check_empty(register)
    target.restore(register, archive, silent)
    compared = target.compare(register, archive, silent)
    assert compared.differences == ()
    assert (compared.objects, compared.files) == (14, captured.files)
    again = capture(tmp_path / "restored", MemoryArchive(tmp_path))
    [second] = again.objects
    assert isinstance(second, FilesTree)
    assert second.tree_root == item.tree_root
    assert (tmp_path / "restored" / "sparse").stat().st_blocks * 512 < 2 * MIB
    with pytest.raises(FolderNotEmpty, match="expected an empty folder, got one with content"):
        target.restore(register, archive, silent)


def test_each_change_is_named(tree: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = register_of(capture(tree, archive), "files")
    restored = tmp_path / "restored"
    target = FilesTarget(restored)
    target.restore(register, archive, silent)
    (restored / "a-b").write_text("sorts between a and a/d")
    (restored / "sparse").chmod(0o600)
    (restored / "fifo").unlink()
    (restored / "fifo").write_text("")
    (restored / "outward").unlink()
    (restored / "outward").symlink_to("/tmp")
    (restored / "z-hard").unlink()
    (restored / "z-hard").write_bytes((restored / "B-hard").read_bytes())
    (restored / "a" / "empty").unlink()
    (restored / "new").mkdir()
    found = {
        (each.subject, each.what) for each in target.compare(register, archive, silent).differences
    }
    assert {
        ("a-b", "content differs"),
        ("a-b", "time differs"),
        ("sparse", "mode differs"),
        ("fifo", "another type of file"),
        ("outward", "link differs"),
        ("z-hard", "not the same file as"),
        ("a/empty", "missing"),
        ("new", "added"),
    } <= found


def test_some_paths_alone(tree: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = register_of(capture(tree, archive), "files")
    target = FilesTarget(tmp_path / "restored")
    target.restore(register, archive, silent, only=["a/deep", "sparse"])
    assert target.compare(register, archive, silent, only=["a/deep", "sparse"]).differences == ()
    assert not (tmp_path / "restored" / "a-b").exists()
    with pytest.raises(PathUnknown, match="got 'none'"):
        FilesTarget(tmp_path / "other").restore(register, archive, silent, only=["none"])


def test_an_interrupted_restore_begins_anew(tree: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = register_of(capture(tree, archive), "files")
    target = FilesTarget(tmp_path / "restored")
    left = iter(range(6))

    def progress(what: str, units: int, size: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        target.restore(register, archive, progress)
    target.check_empty(register)
    target.restore(register, archive, silent)
    assert target.compare(register, archive, silent).differences == ()


def test_a_planted_link_is_not_followed(tree: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = register_of(capture(tree, archive), "files")
    outside = tmp_path / "outside"
    outside.mkdir()
    restored = tmp_path / "restored"

    def plant(what: str, units: int, size: int) -> None:
        folder = restored / "a" / "deep"
        if folder.is_dir() and not folder.is_symlink():
            folder.rmdir()
            folder.symlink_to(outside)

    with pytest.raises(TreeUnwritable):
        FilesTarget(restored).restore(register, archive, plant)
    assert not list(outside.iterdir())


def test_a_link_as_target_is_refused(tree: Path, tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = register_of(capture(tree, archive), "files")
    (tmp_path / "empty").mkdir()
    (tmp_path / "restored").symlink_to(tmp_path / "empty")
    with pytest.raises(FolderNotEmpty):
        FilesTarget(tmp_path / "restored").restore(register, archive, silent)


def test_a_file_that_changes_is_read_again(tree: Path, tmp_path: Path) -> None:
    changes = iter([b"first change", b"second change"])

    def watch(step: str, path: bytes) -> None:
        if step == "reading" and path == b"a-b" and (data := next(changes, None)):
            (tree / "a-b").write_bytes(data)

    archive = MemoryArchive(tmp_path)
    captured = FilesSource(FilesConfig(folder=tree), watch=watch).capture(archive, silent)
    register = register_of(captured, "files")
    FilesTarget(tmp_path / "restored").restore(register, archive, silent)
    assert (tmp_path / "restored" / "a-b").read_bytes() == b"second change"


def test_a_file_that_keeps_changing_is_an_error(tree: Path, tmp_path: Path) -> None:
    count = iter(range(1000))

    def watch(step: str, path: bytes) -> None:
        if step == "reading" and path == b"a-b":
            (tree / "a-b").write_text(f"change {next(count)}")

    with pytest.raises(FileChanging, match="a-b: expected a file at rest, changed in 4 reads"):
        FilesSource(FilesConfig(folder=tree), watch=watch).capture(MemoryArchive(tmp_path), silent)


def test_a_large_file_is_read_once(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 9 * 1024 * 1024
    (tree / "large").write_bytes(b"large" * (size // 5))
    read = 0
    preadv = os.preadv

    def counting(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        nonlocal read
        count = preadv(descriptor, buffers, offset)
        read += count
        return count

    monkeypatch.setattr(os, "preadv", counting)
    archive = MemoryArchive(tmp_path)
    captured = capture(tree, archive)
    assert read == captured.bytes_read > size - 5
    register = register_of(captured, "files")
    target = FilesTarget(tmp_path / "restored")
    target.restore(register, archive, silent)
    assert target.compare(register, archive, silent).differences == ()


def test_a_large_file_that_changes_while_it_is_stored_is_an_error(
    tree: Path, tmp_path: Path
) -> None:
    (tree / "large").write_bytes(bytes(9 * 1024 * 1024))

    def watch(step: str, path: bytes) -> None:
        if step == "reading" and path == b"large":
            with (tree / "large").open("r+b") as file:
                file.write(b"changed")

    with pytest.raises(FileChanging, match="large: expected a file at rest, changed while it was"):
        FilesSource(FilesConfig(folder=tree), watch=watch).capture(MemoryArchive(tmp_path), silent)


def test_what_vanishes_is_noted_and_left_out(tree: Path, tmp_path: Path) -> None:
    def watch(step: str, path: bytes) -> None:
        if step == "listed" and path == b"":
            (tree / "a-b").unlink()
        if step == "listed" and path == b"a":
            (tree / "a" / "deep" / "link").unlink()
            (tree / "a" / "deep").rmdir()

    archive = MemoryArchive(tmp_path)
    captured = FilesSource(FilesConfig(folder=tree), watch=watch).capture(archive, silent)
    assert len(captured.notes) == 2
    assert captured.notes[0].startswith("a-b: vanished")
    register = register_of(captured, "files")
    target = FilesTarget(tmp_path / "restored")
    target.restore(register, archive, silent)
    assert target.compare(register, archive, silent).differences == ()


def test_a_socket_is_noted(tree: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "sock"))
        captured = capture(tree, MemoryArchive(tmp_path))
    assert captured.notes == ("sock: a socket or device, left out",)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    source = FilesSource(FilesConfig(folder=tmp_path / "none"))
    assert isinstance(source, Source)
    with pytest.raises(TreeUnreadable, match="none: expected a readable folder"):
        source.check()
