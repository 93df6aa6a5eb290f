"""Compares a restored folder with its tree: every byte and attribute, nothing more, nothing less.

Expected values come from the manifest's entries; entries that do not have the fingerprinted root
are a difference themselves. A file that was read back when it was restored, and that has not been
changed since (`proof.py`), is not read once more; every other one is. Numeric owners are
compared as root only, since nobody else can set them. Access and change times are not kept.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from exclave.archive.filetree import (
    EntryReader,
    FileEntry,
    FileType,
    RecordFacts,
    decode_entries,
    decode_entry,
    record_facts,
    record_path,
)
from exclave.archive.manifest import Register
from exclave.archive.objects import FilesTree
from exclave.errors import MalformedData
from exclave.source.files.choice import chosen, proof_key
from exclave.source.files.errors import TreeUnwritable, shown
from exclave.source.files.folder import (
    FILE_FLAGS,
    FOLDER_FLAGS,
    OpenFolders,
    open_folder,
    read_xattrs,
)
from exclave.source.files.looking import hash_file
from exclave.source.files.proof import Proof
from exclave.source.files.told import Told
from exclave.source.interface import ArchiveSupply, Compared, Difference, Progress

__all__ = ["compare_tree"]

_MODES: Final = {
    FileType.REGULAR: stat.S_IFREG,
    FileType.FOLDER: stat.S_IFDIR,
    FileType.SYMLINK: stat.S_IFLNK,
    FileType.FIFO: stat.S_IFIFO,
}


def compare_tree(
    folder: Path,
    register: Register,
    supply: ArchiveSupply,
    progress: Progress,
    *,
    only: tuple[bytes, ...] = (),
    proofs: Mapping[bytes, Proof] = MappingProxyType({}),
) -> Compared:
    """Compare all trees of a register, or only the named paths and what lies below them.

    `proofs`: what was read back when the trees were restored, by `proof_key`.
    """
    try:
        root = os.open(folder, FOLDER_FLAGS)
    except OSError as error:
        raise TreeUnwritable(
            f"{folder}: expected a restored folder, got: {error.strerror}"
        ) from error
    left_out = ["access and change times", "what the disk keeps: files were read through its cache"]
    if os.geteuid() != 0:
        left_out.append("owners and groups: only root can restore them")
    if only:
        left_out.append("everything but the named paths")
    with OpenFolders(root) as folders:
        try:
            run = _TreeComparison(root, folders, register.id, only)
            for tree in register.objects:
                if isinstance(tree, FilesTree):
                    proof = proofs.get(proof_key(tree, only), Proof())
                    run.compare(tree, supply, progress, proof)
        finally:
            os.close(root)
    return Compared(
        rows=0,
        files=run.files,
        objects=run.objects,
        differences=tuple(run.differences),
        not_compared=tuple(left_out),
    )


class _TreeComparison:
    """One comparison; collects what differs."""

    def __init__(
        self, root: int, folders: OpenFolders, register: str, only: tuple[bytes, ...]
    ) -> None:
        self._root = root
        self._folders = folders
        self._register = register
        self._only = only
        self._as_root = os.geteuid() == 0
        self._proof = Proof()
        self.differences: list[Difference] = []
        self.files = 0
        self.objects = 0
        self._place = 0  # of the next regular file, among those that were to be restored
        self._present = 0  # entries that stand there, as what they should be or otherwise
        self._links: dict[tuple[int, int], bytes] = {}  # files with several names, by inode

    def compare(
        self, tree: FilesTree, supply: ArchiveSupply, progress: Progress, proof: Proof
    ) -> None:
        """Compare one tree with what stands in the folder."""
        self._proof, self._place, self._present = proof, 0, 0
        entries = EntryReader(supply.read_stream(tree.entries))
        try:
            for entry in self._others(entries, tree, progress) if len(proof) else entries:
                if chosen(entry.path, self._only):
                    self._entry(entry)
                    self.objects += 1
                    progress(tree.name, 1, entry.size)
        except MalformedData as error:
            self._differs(b"", error.message)
            return
        if entries.root != tree.tree_root:
            self._differs(b"", "stored entries are not those that were fingerprinted")
        self._nothing_added(tree, supply)

    def _others(
        self, entries: EntryReader, tree: FilesTree, progress: Progress
    ) -> Iterator[FileEntry]:
        """The entries of all that is not a file which stands as it was read back.

        Whoever restored has decoded these same records and checked their order; the root over them
        is compared once more. So a file that was read back needs no more of its record than facts.
        """
        told = Told(tree.name, progress)
        for record in entries.records():
            facts = record_facts(record)
            if self._as_read_back(record, facts):
                told.add(facts.size)
            else:
                yield decode_entry(record)
        told.end()

    def _as_read_back(self, record: bytes, said: RecordFacts) -> bool:
        """Count a file that needs no other look; everything else is for `_entry` to name."""
        path = record_path(record)
        if said.type != FileType.REGULAR or not chosen(path, self._only):
            return False
        try:
            parent, name = self._folders.holder(path)
            facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return False
        if (
            facts.st_nlink != 1
            or facts.st_mode != stat.S_IFREG | said.mode
            or facts.st_mtime_ns != said.mtime
            or (self._as_root and (facts.st_uid, facts.st_gid) != (said.uid, said.gid))
            or not self._proof.holds(self._place, facts)
        ):
            return False
        self._place += 1
        self._present += 1
        self.files += 1
        self.objects += 1
        return True

    def _nothing_added(self, tree: FilesTree, supply: ArchiveSupply) -> None:
        # Every entry that is present is one of those that stand there: equal numbers, equal sets.
        if sum(1 for path in self._standing() if chosen(path, self._only)) == self._present:
            return
        expected = {entry.path for entry in decode_entries(supply.read_stream(tree.entries))}
        for path in self._standing():
            if path not in expected and chosen(path, self._only):
                self._differs(path, "added")

    def _differs(self, path: bytes, what: str, expected: object = "", got: object = "") -> None:
        self.differences.append(
            Difference(
                register=self._register,
                subject=shown(path),
                what=what,
                expected=str(expected),
                got=str(got),
            )
        )

    def _entry(self, entry: FileEntry) -> None:
        place = self._place
        self._place += entry.type is FileType.REGULAR
        try:
            if not entry.path:
                self._attributes(entry, os.fstat(self._root), self._root)
                return
            parent, name = self._folders.holder(entry.path)
            facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
            self._present += 1
            if entry.type is FileType.HARDLINK:
                self._hard_link(entry, facts)
            elif stat.S_IFMT(facts.st_mode) != _MODES[entry.type]:
                self._differs(entry.path, "another type of file", entry.type.name.lower())
            elif entry.type is FileType.REGULAR and self._proof.holds(place, facts):
                self.files += 1
                self._alone(entry, facts)
                self._attributes(entry, facts, None)
            else:
                self._look(parent, name, entry, facts)
        except (FileNotFoundError, NotADirectoryError):
            self._differs(entry.path, "missing")
        except OSError as error:
            self._differs(entry.path, "unreadable", got=error.strerror)

    def _look(self, parent: int, name: bytes, entry: FileEntry, facts: os.stat_result) -> None:
        if entry.type is FileType.SYMLINK:
            target = os.readlink(name, dir_fd=parent)
            if target != entry.target:
                self._differs(entry.path, "link differs", shown(entry.target), shown(target))
            self._attributes(entry, facts, None)
        elif entry.type is FileType.FIFO:
            self._attributes(entry, facts, None)
        else:
            descriptor = os.open(name, FILE_FLAGS, dir_fd=parent)
            try:
                if entry.type is FileType.REGULAR:
                    self._alone(entry, facts)
                    self._content(entry, descriptor)
                self._attributes(entry, os.fstat(descriptor), descriptor)
            finally:
                os.close(descriptor)

    def _hard_link(self, entry: FileEntry, facts: os.stat_result) -> None:
        folder, first = self._folders.holder(entry.target)
        origin = os.stat(first, dir_fd=folder, follow_symlinks=False)
        if (origin.st_dev, origin.st_ino) != (facts.st_dev, facts.st_ino):
            self._differs(entry.path, "not the same file as", shown(entry.target))

    def _alone(self, entry: FileEntry, facts: os.stat_result) -> None:
        """Two files that were apart must not have become one, or a write changes both."""
        if facts.st_nlink > 1:
            first = self._links.setdefault((facts.st_dev, facts.st_ino), entry.path)
            if first != entry.path:
                self._differs(entry.path, "the same file as", got=shown(first))

    def _content(self, entry: FileEntry, descriptor: int) -> None:
        size, digest = hash_file(descriptor, entry.size)
        self.files += 1
        if size != entry.size:
            self._differs(entry.path, "size differs", entry.size, size)
        elif digest != entry.blake3:
            self._differs(entry.path, "content differs", entry.blake3.hex(), digest.hex())

    def _attributes(self, entry: FileEntry, facts: os.stat_result, descriptor: int | None) -> None:
        mode = stat.S_IMODE(facts.st_mode)
        # The mode of a symbolic link means nothing and cannot be set.
        if entry.type is not FileType.SYMLINK and mode != entry.mode:
            self._differs(entry.path, "mode differs", oct(entry.mode), oct(mode))
        if facts.st_mtime_ns != entry.mtime:
            self._differs(entry.path, "time differs", entry.mtime, facts.st_mtime_ns)
        owners = (facts.st_uid, facts.st_gid)
        if self._as_root and owners != (entry.uid, entry.gid):
            self._differs(entry.path, "owner differs", (entry.uid, entry.gid), owners)
        if descriptor is not None and read_xattrs(descriptor) != entry.xattrs:
            names = b" ".join(name for name, _ in entry.xattrs)
            self._differs(entry.path, "extended attributes differ", shown(names))

    def _standing(self) -> Iterator[bytes]:
        waiting = [b""]
        while waiting:
            place = waiting.pop()
            try:
                descriptor = open_folder(self._root, place)
            except OSError as error:
                self._differs(place, "unreadable", got=error.strerror)
                continue
            try:
                with os.scandir(descriptor) as listing:
                    found = [
                        (os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in listing
                    ]
            finally:
                os.close(descriptor)
            for name, is_folder in found:
                path = place + b"/" + name if place else name
                yield path
                if is_folder:
                    waiting.append(path)
