"""A folder into which a file tree is restored and in which it is compared.

Rules
- Everything is created relative to opened folders and exclusively (O_EXCL); a link planted in
  the target makes the restore fail, it is never followed (`writing.py`).
- While it runs, folders are private (0700); attributes come after content.
- Each file is read back soon after it was written (`proof.py`); `compare` reads again whatever has
  changed since or was not read back, so it says the same with and without what `restore` knows.
- After an interruption a later call takes the folder again: a marker file beside it, whose name
  ends in `.exclave-restoring`, says that what lies there is ours to remove.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from exclave.archive.filetree import FileEntry, decode_entries
from exclave.archive.manifest import Register
from exclave.archive.objects import FilesTree
from exclave.errors import UsageError
from exclave.source.files.choice import proof_key, wanted
from exclave.source.files.compare import compare_tree
from exclave.source.files.errors import FolderNotEmpty, TreeUnwritable, shown
from exclave.source.files.folder import FOLDER_FLAGS
from exclave.source.files.proof import Proof
from exclave.source.files.writing import TreeWriter
from exclave.source.interface import ArchiveSupply, Compared, Progress

__all__ = ["FilesTarget", "PathUnknown"]


class PathUnknown(UsageError):
    """A named path is not in the tree."""


class FilesTarget:
    """A folder into which one file tree is restored; it is made if it does not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marker = folder.with_name(folder.name + ".exclave-restoring")
        self._proofs: dict[bytes, Proof] = {}  # by tree root and what was chosen of it

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
        """Compare all that stands there (`compare.py`)."""
        named = tuple(map(os.fsencode, only))
        return compare_tree(
            self._folder, register, supply, progress, only=named, proofs=self._proofs
        )

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
        root = os.open(self._folder, FOLDER_FLAGS)
        try:
            with TreeWriter(root, supply.read_stream(tree.content)) as writer:
                for entry in decode_entries(supply.read_stream(tree.entries)):
                    if wanted(entry.path, only):
                        writer.write(entry)
                        progress(tree.name, 1, entry.stored_size)
                    else:
                        writer.skip(entry)
                self._proofs[proof_key(tree, only)] = writer.finish()
        finally:
            os.close(root)


def _refuse_unknown(entries: Iterator[FileEntry], only: tuple[bytes, ...]) -> None:
    if not only:
        return
    missing = set(only)
    for entry in entries:
        missing.discard(entry.path)
    if missing:
        raise PathUnknown(f"file tree: expected a path of the tree, got {shown(min(missing))!r}")


def _token(register: Register) -> str:
    roots = [tree.tree_root.hex() for tree in register.objects if isinstance(tree, FilesTree)]
    return " ".join([register.id, *roots])
