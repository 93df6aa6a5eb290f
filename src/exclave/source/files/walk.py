"""Goes through a tree in ascending order of path bytes, one opened folder at a time.

A folder's content does not follow its name at once: "a.txt" stands between "a" and "a/b". So each
folder's names are sorted together with the places where its folders' contents begin.

Rules
- A folder is listed when its turn comes, and stays open while its names are gone through; memory
  and descriptors depend on depth and on the largest folder, not on the size of the tree.
- Nothing is reached but from an opened folder, and no symbolic link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

from exclave.source.files.errors import TreeUnreadable, shown
from exclave.source.files.folder import FOLDER_FLAGS, open_folder
from exclave.values import dataclass, field

__all__ = ["Walk"]

_OPEN: Final = 64
"""Folders kept open at most; deeper trees open theirs again on the way back."""


@dataclass(slots=True)
class _Level:
    path: bytes
    descriptor: int | None
    waiting: list[tuple[bytes, bytes]]  # (key, name), descending; a key that ends in "/" is content
    left_out: set[bytes] = field(default_factory=set)


class Walk:
    """One way through a tree; `close` in any case at the end."""

    def __init__(
        self,
        root: int,
        *,
        cross_mounts: bool,
        note: Callable[[str], None],
        watch: Callable[[str, bytes], None],
    ) -> None:
        """`note` takes what is left out; `watch` is told when a folder was listed."""
        self._root = root
        self._device = None if cross_mounts else os.fstat(root).st_dev
        self._note = note
        self._watch = watch
        self._levels: list[_Level] = []

    def __iter__(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Path, descriptor of the folder it lies in (until the next step), last part of the path.

        The tree's own folder is not among them.
        """
        self._enter(b"", os.dup(self._root))
        while self._levels:
            level = self._levels[-1]
            if not level.waiting:
                self._leave()
                continue
            key, name = level.waiting.pop()
            if name in level.left_out or not self._reopened(level):
                continue  # below what vanished after it was listed, everything goes with it
            assert level.descriptor is not None
            path = level.path + b"/" + name if level.path else name
            if key.endswith(b"/"):
                self._descend(level.descriptor, path, name)
            else:
                yield path, level.descriptor, name

    def leave_out(self, name: bytes) -> None:
        """What lies below the path just given, whose last part is `name`, is not gone through."""
        self._levels[-1].left_out.add(name)

    def close(self) -> None:
        """Close what is open."""
        while self._levels:
            self._leave()

    def _descend(self, parent: int, path: bytes, name: bytes) -> None:
        try:
            descriptor = os.open(name, FOLDER_FLAGS, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            self._vanished(path)
            return
        except OSError as error:
            raise _unreadable(path, error) from error
        self._enter(path, descriptor)

    def _enter(self, path: bytes, descriptor: int) -> None:
        waiting: list[tuple[bytes, bytes]] = []
        self._levels.append(_Level(path, descriptor, waiting))
        if self._device is not None and os.fstat(descriptor).st_dev != self._device:
            self._note(f"{shown(path)}: another file system, its content left out")
            return
        try:
            with os.scandir(descriptor) as listing:
                for entry in listing:
                    # Listing by descriptor gives text; fsencode is its exact inverse.
                    name = os.fsencode(entry.name)
                    waiting.append((name, name))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((name + b"/", name))
        except OSError as error:
            raise _unreadable(path, error) from error
        waiting.sort(reverse=True)
        if len(self._levels) > _OPEN:
            self._shut(self._levels[-1 - _OPEN])
        self._watch("listed", path)

    def _leave(self) -> None:
        self._shut(self._levels.pop())

    def _shut(self, level: _Level) -> None:
        if level.descriptor is not None:
            os.close(level.descriptor)
            level.descriptor = None

    def _reopened(self, level: _Level) -> bool:
        if level.descriptor is None:
            try:
                level.descriptor = open_folder(self._root, level.path)
            except (FileNotFoundError, NotADirectoryError):
                self._vanished(level.path)
                level.waiting.clear()
                return False
            except OSError as error:
                raise _unreadable(level.path, error) from error
        return True

    def _vanished(self, path: bytes) -> None:
        self._note(f"{shown(path)}: vanished while the tree was read, left out")


def _unreadable(path: bytes, error: OSError) -> TreeUnreadable:
    return TreeUnreadable(f"{shown(path)}: expected to list the folder, got: {error.strerror}")
