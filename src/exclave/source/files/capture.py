"""Captures a file tree: contents, holes, links, modes, owners, times and user attributes.

What it does not capture, and says in the notes: sockets and devices, ACLs and system
attributes, anything on another file system mounted below, names that vanished while listing.

Rules
- All traversal is relative to opened folders and follows no symbolic link.
- A file that changes while it is read is read again; one that keeps changing is an error: mixed
  content must never verify. Content is staged so that a repeated read leaves nothing behind.
- Records and contents stand in ascending order of path bytes (spec/archive.md 8).
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from blake3 import blake3

from exclave.archive.filetree import FileEntry, FileType, encode_entry, entry_leaf
from exclave.archive.objects import FilesTree
from exclave.errors import ConfigurationError
from exclave.merkle import RootBuilder
from exclave.source.files.errors import FileChanging, TreeUnreadable, shown
from exclave.source.files.folder import (
    FOLDER_FLAGS,
    data_extents,
    hash_zeros,
    open_folder,
    opened_parent,
    read_xattrs,
)
from exclave.source.interface import ArchiveSink, Captured, Progress, StreamPurpose, StreamSink

__all__ = ["FilesConfig", "FilesSource"]

_PIECE: Final = 1024 * 1024
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_HELD: Final = 32 * 1024 * 1024  # larger files are read twice instead of held


def _unwatched(step: str, path: bytes) -> None:
    del step, path


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesConfig:
    """Which folder, and how."""

    folder: Path
    name: str = "files"
    attempts: int = 4  # reads of a file that changes meanwhile
    cross_mounts: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if self.attempts < 1:
            raise ConfigurationError(f"attempts: expected at least 1, got {self.attempts}")


class FilesSource:
    """One file tree. `watch` is told of each step; tests act there."""

    def __init__(
        self, config: FilesConfig, *, watch: Callable[[str, bytes], None] = _unwatched
    ) -> None:
        self._config = config
        self._watch = watch

    def check(self) -> Sequence[str]:
        """Open the folder; returns warnings."""
        os.close(self._open())
        if os.geteuid() != 0:
            return (f"{self._config.folder}: not root, unreadable files would end the capture",)
        return ()

    def capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        """Capture the tree; see the module's rules."""
        root = self._open()
        try:
            run = _TreeCapture(
                config=self._config, root=root, sink=sink, progress=progress, watch=self._watch
            )
            tree = run.run()
        except OSError as error:
            raise TreeUnreadable(
                f"{self._config.folder}: expected to read the tree, got: {error.strerror}"
            ) from error
        finally:
            os.close(root)
        return Captured(
            objects=(tree,),
            facts=(("folder", shown(os.fsencode(self._config.folder))),),
            notes=tuple(run.notes),
            rows=0,
            files=run.files,
            bytes_read=tree.content.length,
        )

    def _open(self) -> int:
        try:
            # The configured folder itself may be reached through links; nothing below may.
            return os.open(self._config.folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        except OSError as error:
            raise TreeUnreadable(
                f"{self._config.folder}: expected a readable folder, got: {error.strerror}"
            ) from error


class _TreeCapture:
    """One run over one tree."""

    def __init__(
        self,
        *,
        config: FilesConfig,
        root: int,
        sink: ArchiveSink,
        progress: Progress,
        watch: Callable[[str, bytes], None],
    ) -> None:
        self._config = config
        self._root = root
        self._sink = sink
        self._progress = progress
        self._watch = watch
        self._device = os.fstat(root).st_dev
        self._first_names: dict[tuple[int, int], FileEntry] = {}
        self._offset = 0
        self.notes: list[str] = []
        self.files = 0

    def run(self) -> FilesTree:
        """Write all records and contents."""
        entries = self._sink.open_stream(StreamPurpose.MANIFEST)
        content = self._sink.open_stream(StreamPurpose.CONTENT)
        builder = RootBuilder()
        gone: list[bytes] = []
        for path in self._paths():
            # Below a folder that vanished after it was listed, everything is left out with it.
            if any(path.startswith(lost + b"/") for lost in gone):
                continue
            try:
                entry = self._entry(path, content)
            except (FileNotFoundError, NotADirectoryError):
                gone.append(path)
                self.notes.append(f"{shown(path)}: vanished while the tree was read, left out")
                continue
            if entry is None:
                gone.append(path)
                continue
            record = encode_entry(entry)
            entries.write(len(record).to_bytes(4, "big") + record)
            builder.add(entry_leaf(entry))
            self._progress(self._config.name, 1, entry.stored_size)
        return FilesTree(
            name=self._config.name,
            count=builder.size,
            tree_root=builder.root(),
            entries=entries.finish(),
            content=content.finish(),
        )

    def _paths(self) -> list[bytes]:
        """Every path, ascending by bytes, beginning with the empty one."""
        found = [b""]
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            for name, is_folder in self._list(folder):
                path = folder + b"/" + name if folder else name
                found.append(path)
                if is_folder:
                    waiting.append(path)
        self._watch("listed", b"")
        return sorted(found)

    def _list(self, folder: bytes) -> Iterator[tuple[bytes, bool]]:
        try:
            descriptor = open_folder(self._root, folder)
        except (FileNotFoundError, NotADirectoryError):
            return  # `run` finds it gone too, and notes it
        except OSError as error:
            raise TreeUnreadable(
                f"{shown(folder)}: expected to list the folder, got: {error.strerror}"
            ) from error
        try:
            if os.fstat(descriptor).st_dev != self._device and not self._config.cross_mounts:
                self.notes.append(f"{shown(folder)}: another file system, its content left out")
                return
            with os.scandir(descriptor) as listing:
                # Listing by descriptor gives text; fsencode is its exact inverse.
                found = [(os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in listing]
        finally:
            os.close(descriptor)
        yield from found

    def _entry(self, path: bytes, content: StreamSink) -> FileEntry | None:
        if not path:
            return _describe(os.fstat(self._root), path, FileType.FOLDER, descriptor=self._root)
        with opened_parent(self._root, path) as (parent, name):
            facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                return self._folder(parent, name, path)
            if stat.S_ISLNK(facts.st_mode):
                target = os.readlink(name, dir_fd=parent)
                return _describe(facts, path, FileType.SYMLINK, target=target)
            inode = (facts.st_dev, facts.st_ino)
            if (first := self._first_names.get(inode)) is not None:
                return _further_name(first, path)
            entry: FileEntry | None = None
            if stat.S_ISFIFO(facts.st_mode):
                entry = _describe(facts, path, FileType.FIFO)
            elif stat.S_ISREG(facts.st_mode):
                entry = self._regular(parent, name, path, content)
            if entry is not None:
                if facts.st_nlink > 1:
                    self._first_names[inode] = entry
                return entry
        self.notes.append(f"{shown(path)}: a socket or device, left out")
        return None

    def _folder(self, parent: int, name: bytes, path: bytes) -> FileEntry:
        descriptor = os.open(name, FOLDER_FLAGS, dir_fd=parent)
        try:
            facts = os.fstat(descriptor)
            return _describe(facts, path, FileType.FOLDER, descriptor=descriptor)
        finally:
            os.close(descriptor)

    def _regular(self, parent: int, name: bytes, path: bytes, content: StreamSink) -> FileEntry:
        try:
            descriptor = os.open(name, _READ_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise TreeUnreadable(
                f"{shown(path)}: expected to read the file, got: {error.strerror}"
            ) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileChanging(f"{shown(path)}: became something else while it was opened")
            return self._stable(descriptor, path, content)
        finally:
            os.close(descriptor)

    def _stable(self, descriptor: int, path: bytes, content: StreamSink) -> FileEntry:
        """Read until the file was the same before and after.

        A small file is read once and held. A large one is read a second time to be sent, since
        a stream takes nothing back: content goes out only after it was seen to be at rest.
        """
        for _ in range(self._config.attempts):
            before = os.fstat(descriptor)
            size = before.st_size
            extents = data_extents(descriptor, size)
            held: list[bytes] | None = [] if size <= _HELD else None
            digest = blake3()
            for piece in _logical(descriptor, size, extents, digest):
                if held is not None:
                    held.append(piece)
                self._watch("reading", path)
            entry = replace(
                _describe(before, path, FileType.REGULAR, descriptor=descriptor),
                size=size,
                offset=self._offset,
                blake3=digest.digest(),
                extents=extents,
            )
            if _state(os.fstat(descriptor)) != _state(before):
                continue
            if held is None:
                self._send_again(descriptor, entry, content)
            else:
                for piece in held:
                    content.write(piece)
            self._offset += entry.stored_size
            self.files += 1
            return entry
        raise FileChanging(
            f"{shown(path)}: expected a file at rest, changed in {self._config.attempts} reads",
            hint="stop its writer, or capture from a snapshot of the file system",
        )

    def _send_again(self, descriptor: int, entry: FileEntry, content: StreamSink) -> None:
        """Read once more and write; what differs from what was hashed ends the capture."""
        digest = blake3()
        for piece in _logical(descriptor, entry.size, entry.extents, digest):
            content.write(piece)
        if digest.digest() != entry.blake3:
            raise FileChanging(
                f"{shown(entry.path)}: expected a file at rest, changed while it was stored",
                hint="stop its writer, or capture from a snapshot of the file system",
            )


def _logical(
    descriptor: int, size: int, extents: tuple[tuple[int, int], ...], digest: blake3
) -> Iterator[bytes]:
    """The data of the extents; `digest` takes the whole logical content, zeros included."""
    place = 0
    for offset, length in extents:
        hash_zeros(digest, offset - place)
        for piece in _pieces(descriptor, offset, length):
            digest.update(piece)
            yield piece
        place = offset + length
    hash_zeros(digest, size - place)


def _pieces(descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    end = offset + length
    while offset < end:
        piece = os.pread(descriptor, min(_PIECE, end - offset), offset)
        if not piece:
            return  # shorter than it was: seen by the state or the hash
        yield piece
        offset += len(piece)


def _state(facts: os.stat_result) -> tuple[int, ...]:
    # The change time cannot be set back by programs; it also moves when attributes change.
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _describe(
    facts: os.stat_result,
    path: bytes,
    kind: FileType,
    *,
    target: bytes = b"",
    descriptor: int | None = None,
) -> FileEntry:
    return FileEntry(
        type=kind,
        path=path,
        mode=stat.S_IMODE(facts.st_mode),
        uid=facts.st_uid,
        gid=facts.st_gid,
        mtime=facts.st_mtime_ns,
        owner=_owner(facts.st_uid),
        group=_group(facts.st_gid),
        target=target,
        xattrs=() if descriptor is None else read_xattrs(descriptor),
    )


def _further_name(first: FileEntry, path: bytes) -> FileEntry:
    """A hard link; one file has one set of attributes, those seen at its first name."""
    return replace(
        first,
        type=FileType.HARDLINK,
        path=path,
        target=first.path,
        size=0,
        offset=0,
        blake3=bytes(32),
        extents=(),
        xattrs=(),
    )


@cache
def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, UnicodeError):
        return ""


@cache
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, UnicodeError):
        return ""
