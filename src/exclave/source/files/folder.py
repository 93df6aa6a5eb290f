"""Reaching into a tree without ever following a symbolic link.

Every step is relative to an opened folder (openat with O_NOFOLLOW), so a link planted in place
of a folder makes the step fail instead of leading out of the tree. All names are bytes.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Final, Self

from blake3 import blake3

__all__ = [
    "FILE_FLAGS",
    "FOLDER_FLAGS",
    "OpenFolders",
    "data_extents",
    "hash_zeros",
    "open_folder",
    "read_xattrs",
    "split",
]

FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""For reading: a FIFO that took a file's place is opened without waiting, and found out."""
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ZEROS: Final = 1024 * 1024
_KEPT_OPEN: Final = 64
# Attributes that belong to the file's user; the system's are of this machine.
_KEPT: Final = b"user."


def split(path: bytes) -> tuple[bytes, bytes]:
    """A relative path as (folder, name)."""
    folder, _, name = path.rpartition(b"/")
    return folder, name


def open_folder(root: int, path: bytes) -> int:
    """A descriptor of the folder at `path` below the opened `root`; raises `OSError`."""
    current = os.dup(root)
    for part in path.split(b"/") if path else ():
        try:
            following = os.open(part, FOLDER_FLAGS, dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current


class OpenFolders:
    """Folders below an opened root that stay open, since neighbours in a tree are used together.

    At most `_KEPT_OPEN` at once; what was used last goes last.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close them all."""
        while self._open:
            os.close(self._open.popitem()[1])

    def holder(self, path: bytes) -> tuple[int, bytes]:
        """The opened folder that holds `path`, and the last part of its name; `OSError`."""
        folder, name = split(path)
        return self.at(folder), name

    def at(self, folder: bytes) -> int:
        """A descriptor of a folder, to be used before the next call; raises `OSError`."""
        if not folder:
            return self._root
        found = self._open.get(folder)
        if found is not None:
            self._open.move_to_end(folder)
            return found
        above, name = split(folder)
        opened = open_folder(self._root, above) if above not in self._open else -1
        try:
            holder = self._open[above] if opened < 0 else opened
            descriptor = os.open(name, FOLDER_FLAGS, dir_fd=holder)
        finally:
            if opened >= 0:
                os.close(opened)
        self._open[folder] = descriptor
        if len(self._open) > _KEPT_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def forget(self, folder: bytes) -> None:
        """Close a folder that will not be needed soon."""
        descriptor = self._open.pop(folder, None)
        if descriptor is not None:
            os.close(descriptor)


def read_xattrs(descriptor: int) -> tuple[tuple[bytes, bytes], ...]:
    """The user's extended attributes, sorted; none where the file system has none."""
    try:
        listed = os.listxattr(descriptor)
        if not listed:
            return ()
        names = sorted(map(os.fsencode, listed))
        return tuple(
            (name, os.getxattr(descriptor, name)) for name in names if name.startswith(_KEPT)
        )
    except OSError:
        return ()


def data_extents(descriptor: int, size: int) -> tuple[tuple[int, int], ...]:
    """Where a file has data, as (offset, length); one extent where holes are not known."""
    found: list[tuple[int, int]] = []
    place = 0
    while place < size:
        try:
            start = os.lseek(descriptor, place, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError:
            if found or _is_hole(descriptor, place):
                break
            return ((0, size),)
        end = min(end, size)
        if start >= size:
            break
        if found and sum(found[-1]) == start:
            found[-1] = (found[-1][0], end - found[-1][0])
        else:
            found.append((start, end - start))
        place = end
    return tuple(found)


def _is_hole(descriptor: int, place: int) -> bool:
    """Whether SEEK_DATA failed because there is no data after `place`, not for lack of support."""
    try:
        return os.lseek(descriptor, place, os.SEEK_HOLE) == place
    except OSError:
        return False


def hash_zeros(digest: blake3, count: int) -> None:
    """Feed a hole into a hash."""
    while count > 0:
        size = min(count, _ZEROS)
        digest.update(bytes(size))
        count -= size
