"""What was read of a tree for the last lodged deposit, and which files stand as they did then.

A file counts as unchanged when device, inode, size, modification and change time, mode and owner
are what they were when its content was read. The change time cannot be set by programs: writing,
renaming onto a path, setting times or attributes all move it.

Rules
- What was touched less than `SETTLED` before its capture began is read again by the next one: a
  later write may leave the same time stamps (coarse clocks, pages mapped and still dirty).
- A remembered record is taken as it stands, but for the content offset; it must name the path and
  the owners that stand there now.
- What is remembered is only used to leave reading out. Content that was remembered differently
  though the file counts as unchanged is named by whoever reads it.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import Final

from exclave.archive.filetree import (
    FileEntry,
    decode_entry,
    record_offset,
    record_path,
    record_says,
)
from exclave.source.files.errors import FileChanging, shown
from exclave.source.files.folder import FILE_FLAGS, open_folder, split
from exclave.source.interface import RecallingStream
from exclave.values import dataclass

__all__ = [
    "SETTLED",
    "Known",
    "KnownFiles",
    "Run",
    "is_settled",
    "known_bytes",
    "same",
]

SETTLED: Final = 60 * 10**9
"""Nanoseconds. Time stamps are as coarse as 2 s, and a page that was mapped and written moves them
again only when the kernel has written it back, by default within some 35 s."""

_KNOWN: Final = struct.Struct(">IQQqQ")  # length of the record, device, inode, change time, stored
_LONGEST: Final = 4096
"""Files of one run: they are kept until the stream has taken them."""
_PIECE: Final = 2**20


@dataclass(frozen=True, slots=True)
class Known:
    """A regular file as it was read; `record` is its record of the last deposit."""

    device: int
    inode: int
    changed: int
    stored: int  # bytes in the content stream
    record: bytes

    @property
    def path(self) -> bytes:
        """Its path."""
        return record_path(self.record)

    @property
    def offset(self) -> int:
        """Where its data stood in the last deposit's content stream."""
        return record_offset(self.record)

    @property
    def entry(self) -> FileEntry:
        """The record decoded."""
        return decode_entry(self.record)


def known_bytes(facts: os.stat_result, record: bytes, stored: int) -> bytes:
    """A file as it is noted for the next deposit."""
    head = _KNOWN.pack(len(record), facts.st_dev, facts.st_ino, facts.st_ctime_ns, stored)
    return head + record


def is_settled(facts: os.stat_result, began: int) -> bool:
    """Whether a later change is sure to leave other time stamps."""
    return max(facts.st_ctime_ns, facts.st_mtime_ns) < began - SETTLED


def same(known: Known, path: bytes, facts: os.stat_result, owners: bytes) -> bool:
    """Whether a file stands as it did; `owners` is what `owner_fields` gives for it now."""
    now = (
        stat.S_IMODE(facts.st_mode),
        facts.st_uid,
        facts.st_gid,
        facts.st_mtime_ns,
        facts.st_size,
    )
    return (
        known.inode == facts.st_ino
        and known.changed == facts.st_ctime_ns
        and known.device == facts.st_dev
        and record_says(known.record, now, path, owners)
    )


class KnownFiles:
    """The remembered files in order of path, asked for in the same order."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._known = _read(pieces)
        self._next = next(self._known, None)
        self._path = b"" if self._next is None else self._next.path

    def find(self, path: bytes) -> Known | None:
        """The file of that path, if it is remembered; paths ascend from call to call."""
        while self._next is not None and self._path < path:
            self._next = next(self._known, None)
            self._path = b"" if self._next is None else self._next.path
        return self._next if self._path == path else None


def _read(pieces: Iterator[bytes]) -> Iterator[Known]:
    buffer = b""
    for piece in pieces:
        buffer += piece
        at, size = 0, len(buffer)
        while size - at >= _KNOWN.size:
            length, device, inode, changed, stored = _KNOWN.unpack_from(buffer, at)
            end = at + _KNOWN.size + length
            if end > size:
                break
            yield Known(device, inode, changed, stored, buffer[at + _KNOWN.size : end])
            at = end
        buffer = buffer[at:]


class Run:
    """Unchanged files that stood behind one another in the last deposit's content, too."""

    def __init__(self, root: int, content: RecallingStream) -> None:
        self._root = root
        self._content = content
        self._files: list[Known] = []
        self._start = 0
        self._length = 0

    def add(self, known: Known) -> None:
        """The next file."""
        if self._files and (
            known.offset != self._start + self._length or len(self._files) == _LONGEST
        ):
            self.end()
        if not self._files:
            self._start = known.offset
        self._files.append(known)
        self._length += known.stored

    def end(self) -> None:
        """Hand the files on; others may follow."""
        if self._length:
            self._content.recall(self._start, self._length, _Reader(self._root, self._files).read)
        self._files, self._length = [], 0


class _Reader:
    """Reads parts of a run: where it borders on something new, or where its packs are gone."""

    def __init__(self, root: int, files: list[Known]) -> None:
        self._root = root
        self._files = files

    def read(self, offset: int, size: int) -> Iterator[bytes]:
        """Bytes of the earlier content stream, which these files still hold."""
        end = offset + size
        for known in self._files:
            if known.offset >= end:
                return
            if known.offset + known.stored > offset:
                entry = known.entry
                yield from self._part(known, entry, offset - known.offset, end - known.offset)

    def _part(self, known: Known, entry: FileEntry, start: int, end: int) -> Iterator[bytes]:
        folder, name = split(entry.path)
        parent = open_folder(self._root, folder)
        try:
            descriptor = os.open(name, FILE_FLAGS, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            yield from _stored(descriptor, entry, max(0, start), min(end, entry.stored_size))
            facts = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        now = (facts.st_dev, facts.st_ino, facts.st_ctime_ns, facts.st_size, facts.st_mtime_ns)
        if now != (known.device, known.inode, known.changed, entry.size, entry.mtime):
            raise FileChanging(
                f"{shown(entry.path)}: expected a file at rest, changed during the capture",
                hint="run again; stop its writer, or capture from a snapshot of the file system",
            )


def _stored(descriptor: int, entry: FileEntry, start: int, end: int) -> Iterator[bytes]:
    """Bytes `start` to `end` of what a file has in the content stream: of its extents' data."""
    place = 0
    for offset, length in entry.extents:
        first, last = max(start, place), min(end, place + length)
        while first < last:
            at = offset + first - place
            piece = os.pread(descriptor, min(_PIECE, last - first), at)
            if not piece:
                return  # shorter than it was: seen by its state
            yield piece
            first += len(piece)
        place += length
