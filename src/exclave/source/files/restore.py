"""Writes a file tree into an empty folder; never through a link, never outside it.

Rules
- Everything is created relative to opened folders and exclusively (O_EXCL); a link planted in
  the target makes the restore fail, it is never followed.
- While it runs, folders are private (0700); attributes come after content, those of folders
  last and deepest first, so that times are right and read-only folders can be filled.
- After an interruption a later call takes the folder again: a marker file beside it, whose name
  ends in `.exclave-restoring`, says that what lies there is ours to remove.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from exclave.archive.filetree import FileEntry, FileType, decode_entries
from exclave.archive.manifest import Register
from exclave.archive.objects import FilesTree
from exclave.errors import TargetError, UsageError
from exclave.source.files.compare import compare_tree
from exclave.source.files.errors import FolderNotEmpty, TreeUnwritable, shown
from exclave.source.files.folder import FOLDER_FLAGS, open_folder, opened_parent
from exclave.source.interface import ArchiveSupply, Compared, Progress

__all__ = ["FilesTarget", "PathUnknown"]

_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PathUnknown(UsageError):
    """A named path is not in the tree."""


class ContentShort(TargetError):
    """The content stream ends before the files do."""


class FilesTarget:
    """A folder into which one file tree is restored; it is made if it does not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marker = folder.with_name(folder.name + ".exclave-restoring")

    def check_empty(self, register: Register) -> None:
        """Raise `FolderNotEmpty` unless the folder is missing, empty or our own unfinished work."""
        token = _token(register)
        if self._folder.is_symlink() or (self._folder.exists() and not self._folder.is_dir()):
            raise FolderNotEmpty(f"{self._folder}: expected an empty folder, got something else")
        if not self._folder.exists() or not any(self._folder.iterdir()):
            return
        if self._marker.is_symlink() or not self._marker.is_file():
            raise FolderNotEmpty(
                f"{self._folder}: expected an empty folder, got one with content",
                hint="restore to another folder, or empty this one by hand",
            )
        if self._marker.read_text() != token:
            raise FolderNotEmpty(f"{self._folder}: holds an unfinished restore of another deposit")

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Write the tree, or only the named paths (and what lies below them)."""
        self.check_empty(register)
        trees = [tree for tree in register.objects if isinstance(tree, FilesTree)]
        named = tuple(map(os.fsencode, only))
        for tree in trees:
            _refuse_unknown(decode_entries(supply.read_stream(tree.entries)), named)
        try:
            self._begin(_token(register))
            for tree in trees:
                self._write(tree, supply, progress, named)
            self._marker.unlink()
        except OSError as error:
            raise TreeUnwritable(
                f"{self._folder}: expected to write the tree, got: {error.strerror}"
            ) from error

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """Read everything again and compare (`compare.py`)."""
        return compare_tree(self._folder, register, supply, progress, tuple(map(os.fsencode, only)))

    def _begin(self, token: str) -> None:
        if self._marker.exists() and self._folder.exists():
            # rmtree works relative to opened folders where the platform can, as Linux does.
            shutil.rmtree(self._folder)
        descriptor = os.open(
            self._marker, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
        )
        with os.fdopen(descriptor, "w") as stream:
            stream.write(token)
            stream.flush()
            os.fsync(stream.fileno())
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def _write(
        self, tree: FilesTree, supply: ArchiveSupply, progress: Progress, only: tuple[bytes, ...]
    ) -> None:
        content = _Content(supply.read_stream(tree.content))
        root = os.open(self._folder, FOLDER_FLAGS)
        try:
            for entry in decode_entries(supply.read_stream(tree.entries)):
                if not wanted(entry.path, only):
                    if entry.type is FileType.REGULAR:
                        content.skip(entry.stored_size)
                    continue
                _create(root, entry, content)
                progress(tree.name, 1, entry.stored_size)
            folders = [
                entry
                for entry in decode_entries(supply.read_stream(tree.entries))
                if entry.type is FileType.FOLDER and wanted(entry.path, only)
            ]
            # A folder sorts before what lies in it, so backwards is deepest first.
            for entry in reversed(folders):
                descriptor = open_folder(root, entry.path)
                try:
                    _attributes(descriptor, entry)
                finally:
                    os.close(descriptor)
        finally:
            os.close(root)


class _Content:
    """The content stream, taken in exact numbers of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def take(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes."""
        while count:
            if not self._held:
                piece = next(self._pieces, None)
                if piece is None:
                    raise ContentShort(f"file content: ends {count} bytes early")
                self._held = memoryview(piece)
                continue
            part, self._held = self._held[:count], self._held[count:]
            count -= len(part)
            yield part

    def skip(self, count: int) -> None:
        """Leave out bytes of a file that is not wanted."""
        for _ in self.take(count):
            pass


def wanted(path: bytes, only: tuple[bytes, ...]) -> bool:
    """Whether a path is named, lies below a named one, or is a folder on the way to one."""
    if not only:
        return True
    return any(
        path == name or path.startswith(name + b"/") or not path or name.startswith(path + b"/")
        for name in only
    )


def _refuse_unknown(entries: Iterator[FileEntry], only: tuple[bytes, ...]) -> None:
    if not only:
        return
    missing = set(only) - {entry.path for entry in entries}
    if missing:
        raise PathUnknown(f"file tree: expected a path of the tree, got {shown(min(missing))!r}")


def _token(register: Register) -> str:
    roots = [tree.tree_root.hex() for tree in register.objects if isinstance(tree, FilesTree)]
    return " ".join([register.id, *roots])


def _create(root: int, entry: FileEntry, content: _Content) -> None:
    if not entry.path:
        return
    with opened_parent(root, entry.path) as (parent, name):
        if entry.type is FileType.FOLDER:
            os.mkdir(name, 0o700, dir_fd=parent)
        elif entry.type is FileType.REGULAR:
            _write_file(parent, name, entry, content)
        elif entry.type is FileType.SYMLINK:
            os.symlink(entry.target, name, dir_fd=parent)
            _link_attributes(parent, name, entry)
        elif entry.type is FileType.FIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
            _fifo_attributes(parent, name, entry)
        else:
            _hard_link(root, parent, name, entry)


def _write_file(parent: int, name: bytes, entry: FileEntry, content: _Content) -> None:
    descriptor = os.open(name, _WRITE_FLAGS, 0o600, dir_fd=parent)
    try:
        for offset, length in entry.extents:
            place = offset
            for piece in content.take(length):
                while piece:
                    written = os.pwrite(descriptor, piece, place)
                    place += written
                    piece = piece[written:]  # noqa: PLW2901 (the rest of a short write)
        os.ftruncate(descriptor, entry.size)
        _attributes(descriptor, entry)
    finally:
        os.close(descriptor)


def _hard_link(root: int, parent: int, name: bytes, entry: FileEntry) -> None:
    with opened_parent(root, entry.target) as (folder, first):
        facts = os.stat(first, dir_fd=folder, follow_symlinks=False)
        if not (stat.S_ISREG(facts.st_mode) or stat.S_ISFIFO(facts.st_mode)):
            raise TreeUnwritable(f"{shown(entry.path)}: expected a hard link to a file, got none")
        os.link(first, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)


def _attributes(descriptor: int, entry: FileEntry) -> None:
    for name, value in entry.xattrs:
        try:
            os.setxattr(descriptor, name, value)
        except OSError:
            continue  # a file system without them; the comparison names what is missing
    if os.geteuid() == 0:
        os.fchown(descriptor, entry.uid, entry.gid)
    os.fchmod(descriptor, entry.mode)  # after the owner: changing him clears set-id bits
    os.utime(descriptor, ns=(entry.mtime, entry.mtime))


def _link_attributes(parent: int, name: bytes, entry: FileEntry) -> None:
    if os.geteuid() == 0:
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)


def _fifo_attributes(parent: int, name: bytes, entry: FileEntry) -> None:
    _link_attributes(parent, name, entry)
    # Opening a FIFO for its descriptor would wait for a partner; O_PATH does not.
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{descriptor}").chmod(entry.mode)
    finally:
        os.close(descriptor)
    os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
