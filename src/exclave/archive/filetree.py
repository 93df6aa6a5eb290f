"""File trees: records of what stood in a folder, and the root over them (spec/archive.md 8).

Describes files; it neither reads nor writes any. Records are decoded as they stream by, in memory
bounded by one record and the depth of the tree.

Rules
- Ascending path bytes, first the tree's own folder; every other path lies in a folder before it.
- A path cannot leave the tree: relative, no empty, "." or ".." part, no NUL, and no entry below
  a symbolic link (its parent would have to be a folder).
- Extents, attributes and offsets have one form. What a link points to is not followed here:
  whoever restores must create files relative to opened folders.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cache, lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple

from exclave.errors import MalformedData, NonCanonicalData
from exclave.merkle import RootBuilder
from exclave.values import dataclass

__all__ = [
    "MAX_RECORD",
    "EntryOrder",
    "EntryReader",
    "ExtentsInvalid",
    "FileEntry",
    "FileRecordInvalid",
    "FileType",
    "ParentMissing",
    "PathEscapes",
    "RecordFacts",
    "check_sequence",
    "decode_entries",
    "decode_entry",
    "encode_entries",
    "encode_entry",
    "entry_leaf",
    "moved_record",
    "owner_fields",
    "record_facts",
    "record_leaf",
    "record_offset",
    "record_path",
    "record_says",
    "tree_root",
]

MAX_RECORD = 16 * 1024 * 1024
"""Longest record: a million extents; keeps a forged length from filling memory."""

_NO_HASH = bytes(32)
_U16, _U32, _U64 = 2**16, 2**32, 2**64

# A tree of a million files is a million records: each is decoded by few calls.
_HEAD: Final = struct.Struct(">BIIIqQQ32s")  # up to the path's length
_FIXED: Final = struct.Struct(">BIIIqQQ32sH")  # with it
_SEEN: Final = struct.Struct(">BIIIqQ")  # type to size
_LENGTH16: Final = struct.Struct(">H")
_LENGTH32: Final = struct.Struct(">I")
_EXTENT: Final = struct.Struct(">QQ")
_NO_OFFSET: Final = bytes(8)
_OFFSET: Final = slice(29, 37)  # of the offset in `content`
_ESCAPES: Final = re.compile(rb"\x00|(?:^|/)\.{0,2}(?:/|\Z)").search


class FileRecordInvalid(MalformedData):
    """A record is cut off, too long, or has a field that no writer writes."""


class PathEscapes(FileRecordInvalid):
    """A path is absolute or has an empty, "." or ".." part or a NUL: it could leave the tree."""


class ExtentsInvalid(NonCanonicalData):
    """Data extents overlap, touch, are empty or unordered, or lie outside the file."""


class EntryOrder(NonCanonicalData):
    """Records are not in ascending order of path, or the first is not the tree's folder."""


class ParentMissing(MalformedData):
    """An entry lies in something that is not a folder of the tree."""


class FileType(IntEnum):
    """What an entry is."""

    REGULAR = 1
    FOLDER = 2
    SYMLINK = 3
    HARDLINK = 4
    FIFO = 5


_TYPES = {int(kind): kind for kind in FileType}
_LINKS: Final = (FileType.SYMLINK, FileType.HARDLINK)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One name in the tree. `extents` are (offset, length) of data; the rest of a file is zeros.

    `mtime` is in nanoseconds. `offset` is where the file's data begins in the content stream.
    """

    type: FileType
    path: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    offset: int = 0
    blake3: bytes = _NO_HASH
    owner: str = ""
    group: str = ""
    target: bytes = b""
    extents: tuple[tuple[int, int], ...] = ()
    xattrs: tuple[tuple[bytes, bytes], ...] = ()

    def __post_init__(self) -> None:
        _check_path(self.path)
        self._check_numbers()
        if self.type is FileType.REGULAR:
            _check_extents(self.extents, self.size)
        elif self.size or self.offset or self.extents or self.blake3 != _NO_HASH:
            raise self._refused("expected size, offset, hash and extents of regular files only")
        linked = self.type in _LINKS
        if linked != bool(self.target) or b"\x00" in self.target:
            raise self._refused("expected a target for links, and for links only")
        if self.type is FileType.HARDLINK:
            _check_path(self.target)
            if self.target >= self.path:
                raise self._refused("expected a hard link to name an earlier path")
        if not self.path and self.type is not FileType.FOLDER:
            raise self._refused("expected the tree's own entry to be a folder")
        if self.xattrs:
            self._check_attributes()

    def _refused(self, message: str) -> FileRecordInvalid:
        return FileRecordInvalid(f"file record {self.path[:80]!r}: {message}")

    def _check_numbers(self) -> None:
        if not 0 <= self.mode <= 0o7777:
            raise self._refused(f"expected a mode of at most 0o7777, got {self.mode:#o}")
        if not (0 <= self.uid < _U32 and 0 <= self.gid < _U32):
            raise self._refused("expected uid and gid of 32 bits")
        if not -(2**63) <= self.mtime < 2**63:
            raise self._refused("expected a modification time of 64 bits")
        if not (0 <= self.size < 2**63 and 0 <= self.offset < 2**63):
            raise self._refused("expected size and offset below 2^63")
        if len(self.blake3) != 32:
            raise self._refused(f"expected a hash of 32 bytes, got {len(self.blake3)}")
        if len(self.target) >= _U16 or len(self.xattrs) >= _U16:
            raise self._refused("target or attributes too long")
        for name in (self.owner, self.group):
            if len(name) >= _U16 or (not name.isascii() and len(_utf8(name)) >= _U16):
                raise self._refused("name of owner or group too long")

    def _check_attributes(self) -> None:
        names = [name for name, _ in self.xattrs]
        if any(not name or b"\x00" in name or len(name) >= _U16 for name in names):
            raise self._refused("expected extended attributes to have names")
        if any(a >= b for a, b in pairwise(names)):
            raise NonCanonicalData(
                f"file record {self.path[:80]!r}: expected extended attributes in ascending order"
            )

    @property
    def stored_size(self) -> int:
        """Bytes of this file in the content stream."""
        extents = self.extents
        if len(extents) == 1:
            return extents[0][1]
        return sum(length for _, length in extents)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FileRecordInvalid("file record: expected names in UTF-8") from error


def _check_path(path: bytes) -> None:
    if not path:
        return
    if len(path) >= _U16:
        raise FileRecordInvalid(f"path: expected at most 65535 bytes, got {len(path)}")
    if _ESCAPES(path):
        raise PathEscapes(
            f"path: expected a relative path without empty, '.' and '..' parts, got {path[:80]!r}",
            hint="nothing was written outside the target folder",
        )


def _check_extents(extents: tuple[tuple[int, int], ...], size: int) -> None:
    end = -1
    for offset, length in extents:
        if length < 1 or offset <= end:
            raise ExtentsInvalid(
                f"extents: expected ascending, not touching, not empty, got {length} at {offset}"
            )
        end = offset + length
    if end > size:
        raise ExtentsInvalid(f"extents: expected to end within {size} bytes, got {end}")


def encode_entry(entry: FileEntry) -> bytes:
    """A record without its length."""
    parts = [
        _HEAD.pack(
            entry.type,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime,
            entry.size,
            entry.offset,
            entry.blake3,
        )
    ]
    for text in (entry.path, _utf8(entry.owner), _utf8(entry.group), entry.target):
        parts += (len(text).to_bytes(2, "big"), text)
    parts.append(len(entry.extents).to_bytes(4, "big"))
    parts += (number.to_bytes(8, "big") for extent in entry.extents for number in extent)
    parts.append(len(entry.xattrs).to_bytes(2, "big"))
    for name, value in entry.xattrs:
        parts += (len(name).to_bytes(2, "big"), name, len(value).to_bytes(4, "big"), value)
    record = b"".join(parts)
    if len(record) > MAX_RECORD:
        raise FileRecordInvalid(
            f"file record {entry.path[:80]!r}: expected at most {MAX_RECORD} bytes"
        )
    return record


def decode_entry(record: bytes) -> FileEntry:
    """Read a record without its length; strict."""
    # A slice beyond the end is short without a word: what follows it then lies beyond as well.
    try:
        kind, mode, uid, gid, mtime, size, offset, digest, length = _FIXED.unpack_from(record)
        at = _FIXED.size + length
        path = record[_FIXED.size : at]
        start = at + 2
        at = start + _LENGTH16.unpack_from(record, at)[0]
        owner = record[start:at]
        start = at + 2
        at = start + _LENGTH16.unpack_from(record, at)[0]
        group = record[start:at]
        start = at + 2
        at = start + _LENGTH16.unpack_from(record, at)[0]
        target = record[start:at]
        extents, at = _extents(record, at)
        xattrs, at = _attributes(record, at)
    except struct.error as error:
        raise FileRecordInvalid(f"file record: ends after {len(record)} bytes") from error
    if at != len(record):
        raise FileRecordInvalid(f"file record: expected {at} bytes, got {len(record)}")
    if kind not in _TYPES:
        raise FileRecordInvalid(f"file record: expected type 1 to 5, got {kind}")
    return FileEntry(
        type=_TYPES[kind],
        path=path,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=mtime,
        size=size,
        offset=offset,
        blake3=digest,
        owner=_name(owner),
        group=_name(group),
        target=target,
        extents=extents,
        xattrs=xattrs,
    )


def _extents(record: bytes, at: int) -> tuple[tuple[tuple[int, int], ...], int]:
    (count,) = _LENGTH32.unpack_from(record, at)
    if count == 1:
        return (_EXTENT.unpack_from(record, at + 4),), at + 20
    # Count against the bytes that are there, before anything is made of it.
    table = record[at + 4 : at + 4 + 16 * count]
    if len(table) == 16 * count:
        numbers = struct.unpack(f">{2 * count}Q", table)
        return tuple(zip(numbers[::2], numbers[1::2], strict=True)), at + 4 + 16 * count
    return (), at + 4 + 16 * count


def _attributes(record: bytes, at: int) -> tuple[tuple[tuple[bytes, bytes], ...], int]:
    (count,) = _LENGTH16.unpack_from(record, at)
    at += 2
    found: list[tuple[bytes, bytes]] = []
    for _ in range(count):
        start = at + 2
        at = start + _LENGTH16.unpack_from(record, at)[0]
        name = record[start:at]
        start = at + 4
        at = start + _LENGTH32.unpack_from(record, at)[0]
        found.append((name, record[start:at]))
    return tuple(found), at


@lru_cache(maxsize=256)
def _name(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileRecordInvalid("file record: expected text in UTF-8") from error


def check_sequence(entries: Iterable[FileEntry]) -> Iterator[FileEntry]:
    """Pass entries on while checking order, parents and content offsets; refuses an empty tree."""
    folders: list[bytes] = []
    previous: bytes | None = None
    offset = 0
    for entry in entries:
        path = entry.path
        if previous is None and path:
            raise EntryOrder(f"file records: expected the empty path first, got {path[:80]!r}")
        if previous is not None and path <= previous:
            raise EntryOrder(f"file records: {path[:80]!r} after {previous[:80]!r}")
        previous = path
        if path:
            _require_parent(folders, path)
        if entry.type is FileType.FOLDER:
            folders.append(path)
        elif entry.type is FileType.REGULAR:
            if entry.offset != offset:
                raise FileRecordInvalid(
                    f"file record {path[:80]!r}: expected offset {offset}, got {entry.offset}"
                )
            offset += entry.stored_size
        yield entry
    if previous is None:
        raise EntryOrder("file records: expected the tree's own folder, got nothing")


def _require_parent(folders: list[bytes], path: bytes) -> None:
    """Drop folders whose entries are all past; the path's own parent must be among the rest.

    Entries of folder F lie in the byte order before F + "0", the character after "/". Such ranges
    nest, so the open folders form a stack, at most as deep as the path is long.
    """
    while len(folders) > 1 and path >= folders[-1] + b"0":
        folders.pop()
    parent = path.rpartition(b"/")[0]
    if parent not in folders:
        raise ParentMissing(f"file records: {path[:80]!r} lies in no folder of the tree")


def encode_entries(entries: Iterable[FileEntry]) -> Iterator[bytes]:
    """Records with their lengths, in order, as they go into the `entries` stream."""
    for entry in check_sequence(entries):
        record = encode_entry(entry)
        yield len(record).to_bytes(4, "big") + record


def decode_entries(pieces: Iterable[bytes | memoryview]) -> Iterator[FileEntry]:
    """Entries from the `entries` stream, given in pieces of any size; checks order and parents."""
    return check_sequence(map(decode_entry, _records(pieces)))


class EntryReader:
    """Entries as `decode_entries` gives them, and the root over what has been read so far.

    An accepted record is the one encoding of its entry, so its leaf is made of the bytes at hand.
    """

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._builder = RootBuilder()

    def __iter__(self) -> Iterator[FileEntry]:
        return check_sequence(self._decoded())

    @property
    def root(self) -> bytes:
        """Root over the entries so far: of the whole tree when all have been taken."""
        return self._builder.root()

    def records(self) -> Iterator[bytes]:
        """The records as they stand, for who has decoded and checked the same ones before."""
        for record in _records(self._pieces):
            self._builder.add(record_leaf(record))
            yield record

    def _decoded(self) -> Iterator[FileEntry]:
        return map(decode_entry, self.records())


def _records(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        position = 0
        while len(buffer) - position >= 4:
            (length,) = _LENGTH32.unpack_from(buffer, position)
            if length > MAX_RECORD:
                raise FileRecordInvalid(
                    f"file records: expected at most {MAX_RECORD} bytes, got {length}"
                )
            end = position + 4 + length
            if end > len(buffer):
                break
            yield bytes(buffer[position + 4 : end])
            position = end
        del buffer[:position]
    if buffer:
        raise FileRecordInvalid(f"file records: {len(buffer)} bytes of an unfinished record")


def entry_leaf(entry: FileEntry) -> bytes:
    """Leaf of an entry: its record without length, content offset set to zero."""
    return record_leaf(encode_entry(entry))


def record_leaf(record: bytes) -> bytes:
    """Leaf of an entry from its record without length."""
    data = (b"\x00", record[: _OFFSET.start], _NO_OFFSET, record[_OFFSET.stop :])
    return sha256(b"".join(data)).digest()  # `leaf_hash` of `moved_record`, a million times


def moved_record(record: bytes, offset: int) -> bytes:
    """The record of the same entry with its data at another place of the content stream."""
    return b"".join((record[: _OFFSET.start], offset.to_bytes(8, "big"), record[_OFFSET.stop :]))


def record_path(record: bytes) -> bytes:
    """The path that a record names."""
    start = _FIXED.size
    return record[start : start + _LENGTH16.unpack_from(record, _HEAD.size)[0]]


def record_offset(record: bytes) -> int:
    """Where the data stands in the content stream."""
    return int.from_bytes(record[_OFFSET], "big")


@cache
def owner_fields(owner: str, group: str) -> bytes:
    """How the owners' names stand in a record, after the path."""
    return b"".join(_LENGTH16.pack(len(t)) + t for t in (owner.encode(), group.encode()))


class RecordFacts(NamedTuple):
    """What an accepted record says that a look at the file shows; `mtime` in nanoseconds."""

    type: int
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int


def record_facts(record: bytes) -> RecordFacts:
    """The facts of an accepted record, without decoding the rest."""
    return RecordFacts._make(_SEEN.unpack_from(record))


def record_says(
    record: bytes, facts: tuple[int, int, int, int, int], path: bytes, owners: bytes
) -> bool:
    """Whether it is the record of a regular file with these facts, path and `owner_fields`.

    `facts` are mode, uid, gid, modification time (ns) and size.
    """
    named = _LENGTH16.pack(len(path)) + path + owners
    return record.startswith(_SEEN.pack(FileType.REGULAR, *facts)) and record.startswith(
        named, _HEAD.size
    )


def tree_root(entries: Iterable[FileEntry]) -> bytes:
    """Root over a whole tree's entries in order."""
    builder = RootBuilder()
    for entry in entries:
        builder.add(entry_leaf(entry))
    return builder.root()
