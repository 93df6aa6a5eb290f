"""The way through a tree: in order of path bytes, with few descriptors, past what vanishes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from exclave.source.files.walk import Walk


@contextmanager
def walking(
    folder: Path, notes: list[str], watch: Callable[[str, bytes], None] = lambda *_: None
) -> Iterator[Walk]:
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with closing(Walk(root, cross_mounts=False, note=notes.append, watch=watch)) as walk:
            yield walk
    finally:
        os.close(root)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def paths(folder: Path, notes: list[str]) -> list[bytes]:
    with walking(folder, notes) as walk:
        return [path for path, _, _ in walk]


def test_paths_ascend_by_bytes_and_not_by_folders(tmp_path: Path) -> None:
    for name in ("a/b", "a/b.c/d", "a/b/x", "a-b", "a.txt", "a0/y"):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() and name != "a/b":
            place.write_bytes(b"")
        elif name == "a/b":
            place.mkdir(parents=True)
    found = paths(tmp_path, [])
    assert found == sorted(found)
    assert len(found) == 9


def test_a_deep_tree_takes_few_descriptors(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(200):
        folder = folder / "m"
        folder.mkdir()
        (folder / "a").write_bytes(b"")
        (folder / "z").write_bytes(b"")  # after what lies below "m": its folder is opened again
    before = _open_files()
    most = 0
    with walking(tmp_path, []) as walk:
        found = []
        for path, parent, name in walk:
            assert os.stat(name, dir_fd=parent, follow_symlinks=False)
            found.append(path)
            most = max(most, _open_files())
    assert found == sorted(found)
    assert len(found) == 600
    assert most - before < 80
    assert _open_files() == before


def test_what_vanishes_meanwhile_is_noted_once(tmp_path: Path) -> None:
    folder = tmp_path
    for number in range(100):
        folder = folder / "m"
        folder.mkdir()
        (folder / f"z{number}").write_bytes(b"")
    notes: list[str] = []

    def watch(step: str, path: bytes) -> None:
        if step == "listed" and path.count(b"/") == 99:
            (tmp_path / "m" / "m").rename(tmp_path.parent / f"{tmp_path.name}-moved")

    with walking(tmp_path, notes, watch) as walk:
        found = [path for path, _, _ in walk]
    # Folders kept open are gone through to their end; those opened again are not there any more.
    assert found == sorted(found)
    assert notes
    assert all("vanished while the tree was read" in note for note in notes)
    assert b"m/z0" in found


def test_what_is_left_out_is_not_gone_through(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a.b").write_bytes(b"")
    found = []
    with walking(tmp_path, []) as walk:
        for path, _, name in walk:
            found.append(path)
            if path == b"a":
                walk.leave_out(name)
    assert found == [b"a", b"a.b"]
