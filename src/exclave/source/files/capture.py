"""Captures a file tree: contents, holes, links, modes, owners, times and user attributes.

What it does not capture, and says in the notes: sockets and devices, ACLs and system
attributes, anything on another file system mounted below, names that vanished while listing.

Rules
- All traversal is relative to opened folders and follows no symbolic link.
- A file that changes while it is read is read again; one that keeps changing is an error: mixed
  content must never verify (`exclave.source.files.reading`).
- A file that stands as it did at the last lodged deposit is not read again, unless all is to be
  (`exclave.source.files.recall`); what is captured is the same bytes either way.
- Records and contents stand in ascending order of path bytes (spec/archive.md 8).
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from exclave.archive.filetree import (
    FileEntry,
    FileType,
    decode_entry,
    encode_entry,
    moved_record,
    owner_fields,
    record_leaf,
)
from exclave.archive.objects import FilesTree
from exclave.archive.reference import StreamRef
from exclave.errors import ConfigurationError
from exclave.merkle import RootBuilder
from exclave.source.files.errors import TreeUnreadable, shown
from exclave.source.files.folder import FOLDER_FLAGS, read_xattrs
from exclave.source.files.reading import FileReader
from exclave.source.files.recall import (
    Known,
    KnownFiles,
    Run,
    is_settled,
    known_bytes,
    same,
)
from exclave.source.files.size import tree_size
from exclave.source.files.told import Told
from exclave.source.files.walk import Walk
from exclave.source.interface import (
    ArchiveSink,
    Captured,
    Progress,
    SourceSize,
    StreamPurpose,
    StreamSink,
    Unread,
)
from exclave.values import dataclass, replace

__all__ = ["FilesConfig", "FilesSource"]

_TOGETHER: Final = 512


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

    def obstacles(self) -> Sequence[str]:
        """None: nobody can lock files against a reader."""
        return ()

    def size(self) -> SourceSize:
        """What the files' blocks hold, so that holes do not count; a file of many names once."""
        root = self._open()
        try:
            return tree_size(root, cross_mounts=self._config.cross_mounts)
        except OSError as error:
            raise TreeUnreadable(
                f"{self._config.folder}: expected to look at the tree, got: {error.strerror}"
            ) from error
        finally:
            os.close(root)

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
            unread=run.unread,
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
        self._reader = FileReader(attempts=config.attempts, watch=watch)
        self._first_names: dict[tuple[int, int], FileEntry] = {}
        self._offset = 0
        self.notes: list[str] = []
        self.files = 0
        self._memory = sink.remembered(config.name)
        self._content: StreamSink
        self._run: Run | None = None
        self._known: KnownFiles | None = None
        if self._memory is None:
            self._content = sink.open_stream(StreamPurpose.CONTENT)
        else:
            content = self._memory.open_content()
            self._content = content
            self._run = Run(root, content)
            self._known = KnownFiles(self._memory.earlier())
        self._unread = self._unread_bytes = self._unsettled = 0

    def run(self) -> FilesTree:
        """Write all records and contents."""
        entries = _Records(self._sink.open_stream(StreamPurpose.TREE_RECORDS))
        builder = RootBuilder()
        told = Told(self._config.name, self._progress)
        walk = Walk(
            self._root,
            cross_mounts=self._config.cross_mounts,
            note=self.notes.append,
            watch=self._watch,
        )
        with closing(walk):
            own = _describe(
                os.fstat(self._root), b"", FileType.FOLDER, xattrs=read_xattrs(self._root)
            )
            for record, size in chain([(encode_entry(own), 0)], self._records(walk)):
                entries.write(record)
                builder.add(record_leaf(record))
                told.add(size)
        told.end()
        if self._run is not None:
            self._run.end()
        return FilesTree(
            name=self._config.name,
            count=builder.size,
            tree_root=builder.root(),
            entries=entries.finish(),
            content=self._content.finish(),
        )

    @property
    def unread(self) -> Unread | None:
        """What was not read again."""
        if self._memory is None:
            return None
        return Unread(
            files=self._unread,
            bytes=self._unread_bytes,
            unsettled=self._unsettled,
            read_all=self._memory.read_all,
        )

    def _records(self, walk: Walk) -> Iterator[tuple[bytes, int]]:
        """The record of each entry in order, with its bytes in the content stream."""
        for path, parent, name in walk:
            try:
                facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    yield self._file(parent, name, path, facts)
                    continue
                entry = self._other(parent, name, path, facts)
            except (FileNotFoundError, NotADirectoryError):
                self.notes.append(f"{shown(path)}: vanished while the tree was read, left out")
                walk.leave_out(name)
                continue
            if entry is None:
                walk.leave_out(name)
                self.notes.append(f"{shown(path)}: a socket or device, left out")
                continue
            yield encode_entry(entry), 0

    def _other(
        self, parent: int, name: bytes, path: bytes, facts: os.stat_result
    ) -> FileEntry | None:
        """A folder, link or FIFO."""
        if stat.S_ISDIR(facts.st_mode):
            return self._folder(parent, name, path)
        if stat.S_ISLNK(facts.st_mode):
            target = os.readlink(name, dir_fd=parent)
            return _describe(facts, path, FileType.SYMLINK, target=target)
        if not stat.S_ISFIFO(facts.st_mode):
            return None
        inode = (facts.st_dev, facts.st_ino)
        if (first := self._first_names.get(inode)) is not None:
            return _further_name(first, path)
        entry = _describe(facts, path, FileType.FIFO)
        if facts.st_nlink > 1:
            self._first_names[inode] = entry
        return entry

    def _folder(self, parent: int, name: bytes, path: bytes) -> FileEntry:
        descriptor = os.open(name, FOLDER_FLAGS, dir_fd=parent)
        try:
            facts = os.fstat(descriptor)
            xattrs = read_xattrs(descriptor)
            return _describe(facts, path, FileType.FOLDER, xattrs=xattrs)
        finally:
            os.close(descriptor)

    def _file(
        self, parent: int, name: bytes, path: bytes, facts: os.stat_result
    ) -> tuple[bytes, int]:
        """A regular file: remembered, or read; or a further name of one."""
        if facts.st_nlink > 1:
            first = self._first_names.get((facts.st_dev, facts.st_ino))
            if first is not None:
                return encode_entry(_further_name(first, path)), 0
        known = None if self._known is None else self._known.find(path)
        if known is not None and not self._stands(known, path, facts):
            known = None
        if known is not None and self._memory is not None and self._memory.read_all is None:
            return self._recalled(known, facts)
        if self._run is not None:
            self._run.end()
        entry, facts = self._regular(parent, name, path)
        if facts.st_nlink > 1:
            self._first_names[facts.st_dev, facts.st_ino] = entry
        if known is not None and self._stands(known, path, facts):
            self._compare(known, entry)
        record = encode_entry(entry)
        self._note(facts, record, entry.stored_size)
        return record, entry.stored_size

    def _stands(self, known: Known, path: bytes, facts: os.stat_result) -> bool:
        owners = owner_fields(_owner(facts.st_uid), _group(facts.st_gid))
        return same(known, path, facts, owners)

    def _recalled(self, known: Known, facts: os.stat_result) -> tuple[bytes, int]:
        """A file that stands as it did: its record, at its place in the stream of today."""
        assert self._run is not None
        size, record = known.stored, known.record
        self._run.add(known)
        if known.offset != self._offset:
            record = moved_record(record, self._offset)
        if facts.st_nlink > 1:
            self._first_names[facts.st_dev, facts.st_ino] = decode_entry(record)
        self._offset += size
        self.files += 1
        self._unread += 1
        self._unread_bytes += size
        self._note(facts, record, size)
        return record, size

    def _note(self, facts: os.stat_result, record: bytes, stored: int) -> None:
        if self._memory is None:
            return
        if is_settled(facts, self._memory.began):
            self._memory.note(known_bytes(facts, record, stored))
        else:
            self._unsettled += 1

    def _compare(self, known: Known, entry: FileEntry) -> None:
        """A file that nothing says was changed must be what it was."""
        if entry.blake3 != known.entry.blake3:
            self.notes.append(
                f"{shown(entry.path)}: other content than at the last deposit, although inode, "
                "size and times are the same: a failing disk, or somebody set them back"
            )

    def _regular(self, parent: int, name: bytes, path: bytes) -> tuple[FileEntry, os.stat_result]:
        seen = self._reader.read(parent, name, path, self._content)
        entry = _describe(
            seen.facts,
            path,
            FileType.REGULAR,
            xattrs=seen.xattrs,
            content=(seen.facts.st_size, self._offset, seen.blake3, seen.extents),
        )
        self._offset += entry.stored_size
        self.files += 1
        return entry, seen.facts


class _Records:
    """Collects records for their stream: a call for each would cost more than its bytes."""

    def __init__(self, stream: StreamSink) -> None:
        self._stream = stream
        self._parts: list[bytes] = []

    def write(self, record: bytes) -> None:
        self._parts += (len(record).to_bytes(4, "big"), record)
        if len(self._parts) >= _TOGETHER:
            self._flush()

    def finish(self) -> StreamRef:
        self._flush()
        return self._stream.finish()

    def _flush(self) -> None:
        if self._parts:
            self._stream.write(b"".join(self._parts))
            self._parts.clear()


def _describe(
    facts: os.stat_result,
    path: bytes,
    kind: FileType,
    *,
    target: bytes = b"",
    xattrs: tuple[tuple[bytes, bytes], ...] = (),
    content: tuple[int, int, bytes, tuple[tuple[int, int], ...]] = (0, 0, bytes(32), ()),
) -> FileEntry:
    """The entry; `content` are size, offset, hash and extents of a regular file."""
    size, offset, digest, extents = content
    return FileEntry(
        type=kind,
        path=path,
        mode=stat.S_IMODE(facts.st_mode),
        uid=facts.st_uid,
        gid=facts.st_gid,
        mtime=facts.st_mtime_ns,
        size=size,
        offset=offset,
        blake3=digest,
        owner=_owner(facts.st_uid),
        group=_group(facts.st_gid),
        target=target,
        extents=extents,
        xattrs=xattrs,
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
