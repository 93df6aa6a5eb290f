"""Writes the entries of a file tree in their order; never through a link, never outside the tree.

Rules
- Everything is created relative to opened folders and exclusively (O_EXCL).
- Folders are private (0700) until all that lies in them is there; then they get their attributes,
  deepest first, so that times are right and read-only folders can be filled.
- Few system calls a file: a register has millions of small ones.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from exclave.archive.filetree import FileEntry, FileType
from exclave.errors import TargetError
from exclave.source.files.errors import TreeUnwritable, shown
from exclave.source.files.folder import OpenFolders
from exclave.source.files.proof import Proof, ReadBack, probe

__all__ = ["ContentShort", "TreeWriter"]

_AT_ONCE: Final = 2 * 2**20
_MOST_PARTS: Final = 512
"""What one call writes: many pieces at once, of which the system takes up to 1,024."""
_WRITE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ContentShort(TargetError):
    """The content stream ends before the files do."""


class TreeWriter:
    """Writes one tree below an opened, empty folder; use as a context, `finish` at the end."""

    def __init__(self, root: int, content: Iterator[bytes | memoryview]) -> None:
        self._content = _Content(content)
        self._folders = OpenFolders(root)
        self._filling: list[FileEntry] = []  # folders that are not complete, outermost first
        probed = probe(root)
        self._owners = probed.owners if os.geteuid() == 0 else None
        self._read_back = ReadBack(root, keeps_change_times=probed.keeps_change_times)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._read_back.close()
        self._folders.close()

    def write(self, entry: FileEntry) -> None:
        """Write the next entry that is wanted."""
        self._complete_before(entry.path)
        if entry.type is FileType.FOLDER:
            if entry.path:
                parent, name = self._folders.holder(entry.path)
                os.mkdir(name, 0o700, dir_fd=parent)
            self._filling.append(entry)
            return
        parent, name = self._folders.holder(entry.path)
        if entry.type is FileType.REGULAR:
            self._file(parent, name, entry)
            self._read_back.written(entry)
        elif entry.type is FileType.SYMLINK:
            os.symlink(entry.target, name, dir_fd=parent)
            self._link_attributes(parent, name, entry)
        elif entry.type is FileType.FIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
            self._fifo_attributes(parent, name, entry)
        else:
            self._hard_link(entry)

    def skip(self, entry: FileEntry) -> None:
        """Pass over an entry that is not wanted."""
        if entry.type is FileType.REGULAR:
            self._content.skip(entry.stored_size)

    def finish(self) -> Proof:
        """Complete all folders; what was read back."""
        while self._filling:
            self._complete(self._filling.pop())
        return self._read_back.finish()

    def _complete_before(self, path: bytes) -> None:
        # What lies in folder F comes before F + "0", the character after "/".
        while len(self._filling) > 1 and path >= self._filling[-1].path + b"0":
            self._complete(self._filling.pop())

    def _complete(self, folder: FileEntry) -> None:
        self._attributes(self._folders.at(folder.path), folder)
        self._folders.forget(folder.path)

    def _file(self, parent: int, name: bytes, entry: FileEntry) -> None:
        descriptor = os.open(name, _WRITE_FLAGS, 0o600, dir_fd=parent)
        try:
            place = 0
            for start, length in entry.extents:
                place, end = start, start + length
                while place < end:
                    pieces = self._content.take(end - place)
                    place += _write_all(descriptor, pieces, place)
            if place != entry.size:
                os.ftruncate(descriptor, entry.size)
            self._attributes(descriptor, entry)
        finally:
            os.close(descriptor)

    def _hard_link(self, entry: FileEntry) -> None:
        folder, first = self._folders.holder(entry.target)
        folder = os.dup(folder)
        try:
            facts = os.stat(first, dir_fd=folder, follow_symlinks=False)
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISFIFO(facts.st_mode)):
                raise TreeUnwritable(
                    f"{shown(entry.path)}: expected a hard link to a file, got none"
                )
            parent, name = self._folders.holder(entry.path)
            os.link(first, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(folder)

    def _attributes(self, descriptor: int, entry: FileEntry) -> None:
        for name, value in entry.xattrs:
            try:
                os.setxattr(descriptor, name, value)
            except OSError:
                continue  # a file system without them; the comparison names what is missing
        if self._owners is not None and self._owners != (entry.uid, entry.gid):
            os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode)  # after the owner: changing him clears set-id bits
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))

    def _link_attributes(self, parent: int, name: bytes, entry: FileEntry) -> None:
        if self._owners is not None:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _fifo_attributes(self, parent: int, name: bytes, entry: FileEntry) -> None:
        self._link_attributes(parent, name, entry)
        # Opening a FIFO for its descriptor would wait for a partner; O_PATH does not.
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            Path(f"/proc/self/fd/{descriptor}").chmod(entry.mode)
        finally:
            os.close(descriptor)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)


class _Content:
    """The content stream, taken in exact numbers of bytes."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def take(self, count: int) -> list[memoryview]:
        """The next bytes: `count`, or as many of them as are written at once."""
        if len(self._held) >= count:
            part, self._held = self._held[:count], self._held[count:]
            return [part]
        parts: list[memoryview] = []
        wanted = left = min(count, _AT_ONCE)
        while left and len(parts) < _MOST_PARTS:
            if not self._held:
                piece = next(self._pieces, None)
                if piece is None:
                    raise ContentShort(f"file content: ends {count - wanted + left} bytes early")
                self._held = memoryview(piece)
            part, self._held = self._held[:left], self._held[left:]
            left -= len(part)
            parts.append(part)
        return parts

    def skip(self, count: int) -> None:
        """Leave out bytes of a file that is not wanted."""
        while count:
            count -= sum(map(len, self.take(count)))


def _write_all(descriptor: int, pieces: list[memoryview], place: int) -> int:
    """Write all pieces from `place` on; how many bytes that were."""
    size = sum(map(len, pieces))
    written = os.pwritev(descriptor, pieces, place)
    if written < size:  # rare: cut off by a signal or a full disk, which the next call names
        rest = memoryview(b"".join(pieces))
        while written < size:
            written += os.pwrite(descriptor, rest[written:], place + written)
    return size
