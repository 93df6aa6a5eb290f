"""Chunks in stored form and the packs that hold them (spec/archive.md 1 to 3).

Builds a pack's plaintext and reads it back; sealing is `exclave.sealing`'s business. Reading
trusts nothing: sizes are known before anything is decompressed.

Rules
- A chunk is stored compressed only when that makes it smaller.
- A pack's plaintext has exactly the length of the smallest rung that holds it.
- `parse_directory` accepts exactly what `PackBuilder` can have written.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from enum import IntEnum
from typing import Protocol

import zstandard
from blake3 import blake3

from exclave.archive.reference import (
    MAX_CHUNK,
    Codec,
    Reference,
    ReferenceInvalid,
    check_reference,
)
from exclave.errors import IntegrityError, MalformedData, NonCanonicalData
from exclave.ids import ChunkId
from exclave.sealing.pack import PackKind
from exclave.values import dataclass

__all__ = [
    "DEFAULT_CAPACITY",
    "DEFAULT_LEVEL",
    "LADDER",
    "MAX_PACK",
    "ChunkCorrupt",
    "ChunkForm",
    "DirectoryEntry",
    "DirectoryInvalid",
    "EntryInvalid",
    "PackBuilder",
    "PaddingInvalid",
    "Role",
    "RoleNotAllowed",
    "TrailerInvalid",
    "choose_stored",
    "chunk_id",
    "decode_chunk",
    "ladder_size",
    "make_compressor",
    "make_decompressor",
    "parse_directory",
    "read_chunk",
    "view_chunk",
]

DEFAULT_CAPACITY = 16 * 1024 * 1024
"""Plaintext of a data pack. Pack, sealed pack and shards of a few packs are in memory at once:
at 16 MiB some six buffers stay under the 250 MiB that a deposit aims at, and per-pack costs
(two signatures' worth of hashing, requests to n seats) are still small against its transfer."""

DEFAULT_LEVEL = 1
"""zstd level: 1 is several times faster than restic's default for a few per cent more bytes."""

LADDER = tuple(
    sorted(base << j for base, top in ((16384, 12), (24576, 11)) for j in range(top + 1))
)
"""The lengths a pack's plaintext can have: 16 KiB * 2^j and 24 KiB * 2^j up to 64 MiB."""

MAX_PACK = LADDER[-1]

_ENTRY = struct.Struct(">32sIIIBBH")
_TRAILER = struct.Struct(">II8s")
_MAGIC = b"EXCLDIR1"
_MAX_WINDOW = MAX_CHUNK
_CODECS = (Codec.RAW, Codec.ZSTD)


class ChunkCorrupt(IntegrityError):
    """A stored chunk does not decode to the plain length that its entry states."""


class DirectoryInvalid(MalformedData):
    """A pack's plaintext has no directory that fits it."""


class TrailerInvalid(DirectoryInvalid):
    """The last 16 bytes are not a trailer, or point outside the pack."""


class EntryInvalid(DirectoryInvalid):
    """A directory entry is impossible or leaves a gap."""


class RoleNotAllowed(DirectoryInvalid):
    """A data pack holds something that belongs into manifest packs."""


class PaddingInvalid(NonCanonicalData):
    """A pack has not the smallest rung's length, or padding other than zeros."""


class Role(IntEnum):
    """What a chunk is for (spec/archive.md 3)."""

    DATA = 0
    NODE = 1
    MANIFEST_ROOT = 2


_ROLES = tuple(Role)


class ChunkForm(Protocol):
    """What tells how a chunk is stored: a `Reference` or a `DirectoryEntry`."""

    @property
    def offset(self) -> int:
        """Where it begins in the pack's plaintext."""

    @property
    def stored(self) -> int:
        """Stored length, bytes."""

    @property
    def plain(self) -> int:
        """Plain length, bytes."""

    @property
    def codec(self) -> Codec:
        """How it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """One chunk of a pack."""

    chunk_id: ChunkId
    offset: int
    stored: int
    plain: int
    codec: Codec
    role: Role

    def reference(self, pack: int) -> Reference:
        """The reference to this chunk in the pack of that number."""
        return Reference(pack, self.offset, self.stored, self.plain, self.codec)


def chunk_id(dedup_key: bytes, plain: bytes | bytearray | memoryview) -> ChunkId:
    """Keyed BLAKE3 of a chunk's plaintext (spec/archive.md 2); the key has 32 bytes."""
    return ChunkId(blake3(plain, key=dedup_key).digest())


def make_compressor(level: int = DEFAULT_LEVEL) -> zstandard.ZstdCompressor:
    """A compressor for `choose_stored`; one per thread, since it must not be shared."""
    return zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)


def choose_stored(
    plain: bytes | bytearray | memoryview,
    compressor: zstandard.ZstdCompressor | None = None,
) -> tuple[Codec, bytes | bytearray | memoryview]:
    """The stored form of a chunk: compressed if smaller, else its plaintext itself."""
    if not 1 <= len(plain) <= MAX_CHUNK:
        raise ValueError(f"chunk: expected 1 to {MAX_CHUNK} bytes, got {len(plain)}")
    packed = (compressor or make_compressor()).compress(plain)
    if len(packed) < len(plain):
        return Codec.ZSTD, packed
    return Codec.RAW, plain


def make_decompressor() -> zstandard.ZstdDecompressor:
    """A decompressor for `decode_chunk`; one per thread, since it must not be shared."""
    return zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)


def decode_chunk(
    form: ChunkForm,
    stored: bytes | bytearray | memoryview,
    decompressor: zstandard.ZstdDecompressor | None = None,
) -> bytes:
    """The plaintext of a chunk; raises `ChunkCorrupt`. Never allocates more than `plain` states."""
    if len(stored) != form.stored:
        raise ChunkCorrupt(f"chunk: expected {form.stored} stored bytes, got {len(stored)}")
    if not 1 <= form.plain <= MAX_CHUNK:
        raise ChunkCorrupt(f"chunk: expected 1 to {MAX_CHUNK} plain bytes, got {form.plain}")
    if form.codec == Codec.RAW:
        if form.stored != form.plain:
            raise ChunkCorrupt(f"chunk: expected {form.plain} raw bytes, got {form.stored}")
        return bytes(stored)
    try:
        # The size is compared before the library allocates by it: a bomb is refused unread.
        frame = zstandard.get_frame_parameters(stored)
        if frame.content_size != form.plain or frame.dict_id != 0:
            raise ChunkCorrupt(
                f"chunk: expected a zstd frame of {form.plain} bytes, got {frame.content_size}"
            )
        plain = (decompressor or make_decompressor()).decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ChunkCorrupt("chunk: not one intact zstd frame") from error
    if len(plain) != form.plain:
        raise ChunkCorrupt(f"chunk: expected {form.plain} plain bytes, got {len(plain)}")
    return plain


def ladder_size(size: int) -> int:
    """The smallest rung that holds `size` bytes; `ValueError` beyond 64 MiB."""
    if not 0 <= size <= MAX_PACK:
        raise ValueError(f"pack: expected at most {MAX_PACK} bytes, got {size}")
    return LADDER[bisect_left(LADDER, size)]


class PackBuilder:
    """Collects chunks into one pack's plaintext.

    `capacity` is the plaintext length that is not to be exceeded, except by a single chunk that
    is larger than that: the first chunk always fits. `memory` may hold an earlier pack's plaintext
    that nobody reads any more: fresh pages cost more than the copy into them.
    """

    __slots__ = ("_capacity", "_count", "_directory", "_finished", "_memory", "_size")

    def __init__(
        self, capacity: int = DEFAULT_CAPACITY, *, memory: bytearray | None = None
    ) -> None:
        if not LADDER[0] <= capacity <= MAX_PACK:
            raise ValueError(f"pack: expected a capacity of {LADDER[0]} to {MAX_PACK} bytes")
        self._capacity = capacity
        self._memory = bytearray() if memory is None else memory
        self._size = 0  # bytes of the memory that are this pack's
        self._directory = bytearray()
        self._count = 0
        self._finished = False

    @property
    def count(self) -> int:
        """Chunks so far."""
        return self._count

    @property
    def stored_size(self) -> int:
        """Bytes of chunks so far, without directory and padding; 0 when finished."""
        return self._size

    def fits(self, stored_length: int) -> bool:
        """Whether a chunk of this stored length still goes into this pack."""
        needed = _size_with(self._size + stored_length, self._count + 1)
        return needed <= (self._capacity if self._count else MAX_PACK)

    def add(
        self,
        chunk: ChunkId,
        plain_length: int,
        codec: Codec,
        stored: bytes | bytearray | memoryview,
        role: Role = Role.DATA,
    ) -> int:
        """Append a chunk that fits; its offset in the pack's plaintext."""
        if self._finished or not self.fits(len(stored)):
            raise ValueError("pack: finished or full")
        if len(chunk) != 32:
            raise ValueError(f"pack: expected a chunk id of 32 bytes, got {len(chunk)}")
        offset = self._size
        check_reference(Reference(0, offset, len(stored), plain_length, codec))
        self._append(stored)
        self._directory += _ENTRY.pack(
            chunk, offset, len(stored), plain_length, codec, Role(role), 0
        )
        self._count += 1
        return offset

    def finish(self) -> memoryview:
        """The pack's plaintext, padded to its rung: a view of all memory that was needed for it.

        Nothing may be added afterwards.
        """
        if self._finished or not self._count:
            raise ValueError("pack: finished or without chunks")
        self._finished = True
        start, total = self._size, ladder_size(_size_with(self._size, self._count))
        self._append(self._directory)
        self._append(bytes(total - self._size - _TRAILER.size))
        self._append(_TRAILER.pack(start, self._count, _MAGIC))
        # Whoever keeps the builder for its count does not keep the plaintext in memory.
        memory, self._memory = self._memory, bytearray()
        self._directory, self._size = bytearray(), 0
        return memoryview(memory)[:total]

    def _append(self, data: bytes | bytearray | memoryview) -> None:
        end = self._size + len(data)
        if end > len(self._memory):
            del self._memory[self._size :]
            self._memory += data
        else:
            with memoryview(self._memory) as view:
                view[self._size : end] = data
        self._size = end


def _size_with(stored: int, count: int) -> int:
    return stored + count * _ENTRY.size + _TRAILER.size


def parse_directory(
    plaintext: bytes | bytearray | memoryview, *, kind: PackKind | None = None
) -> tuple[DirectoryEntry, ...]:
    """The chunks of a pack, in order; `kind` is what the pack's header says, if known.

    Raises a `DirectoryInvalid` or `PaddingInvalid`. Chunks themselves are not looked at.
    """
    view = memoryview(plaintext)
    # 1. A length that a pack can have.
    if len(view) not in LADDER:
        raise PaddingInvalid(f"pack: expected a length on the ladder, got {len(view)}")
    # 2. The trailer points at a directory inside.
    start, count, magic = _TRAILER.unpack(view[-_TRAILER.size :])
    if magic != _MAGIC:
        raise TrailerInvalid(f"pack: expected a trailer with EXCLDIR1, got {magic.hex()}")
    used = _size_with(start, count)
    if count < 1 or used > len(view):
        raise TrailerInvalid(f"pack: {count} entries at {start} do not fit in {len(view)} bytes")
    # 3. The smallest rung, and nothing hidden in the padding.
    if ladder_size(used) != len(view):
        raise PaddingInvalid(f"pack: expected {ladder_size(used)} bytes, got {len(view)}")
    end = start + count * _ENTRY.size
    if bytes(view[end : -_TRAILER.size]).strip(b"\x00"):
        raise PaddingInvalid("pack: expected zeros between directory and trailer")
    # 4. Entries without gaps up to the directory.
    return _parse_entries(view[start:end], start, kind)


def _parse_entries(
    directory: memoryview, end: int, kind: PackKind | None
) -> tuple[DirectoryEntry, ...]:
    entries: list[DirectoryEntry] = []
    expected = 0
    for identity, offset, stored, plain, codec, role, reserved in _ENTRY.iter_unpack(directory):
        subject = f"pack: entry {len(entries)}"
        if codec >= len(_CODECS) or role >= len(_ROLES) or reserved:
            raise EntryInvalid(f"{subject}: codec {codec}, role {role}, reserved {reserved}")
        if kind is PackKind.DATA and role != Role.DATA:
            raise RoleNotAllowed(f"{subject}: expected role 0 in a data pack, got {role}")
        if offset != expected:
            raise EntryInvalid(f"{subject}: expected offset {expected}, got {offset}")
        try:
            check_reference(Reference(0, offset, stored, plain, _CODECS[codec]))
        except ReferenceInvalid as error:
            raise EntryInvalid(f"{subject}: {error.message}") from error
        expected += stored
        entries.append(
            DirectoryEntry(
                chunk_id=ChunkId(identity),
                offset=offset,
                stored=stored,
                plain=plain,
                codec=_CODECS[codec],
                role=_ROLES[role],
            )
        )
    if expected != end:
        raise EntryInvalid(f"pack: expected chunks up to the directory at {end}, got {expected}")
    return tuple(entries)


def read_chunk(
    plaintext: bytes | bytearray | memoryview,
    form: ChunkForm,
    decompressor: zstandard.ZstdDecompressor | None = None,
) -> bytes:
    """The plaintext of one chunk of an opened pack; raises `ChunkCorrupt`."""
    view = memoryview(plaintext)
    end = form.offset + form.stored
    if end > len(view):
        raise ChunkCorrupt(f"chunk: expected {len(view)} bytes of pack to hold it, ends at {end}")
    return decode_chunk(form, view[form.offset : end], decompressor)


def view_chunk(
    plaintext: memoryview, form: ChunkForm, decompressor: zstandard.ZstdDecompressor | None = None
) -> bytes | memoryview:
    """As `read_chunk`, but a chunk that is stored raw is a view of the opened pack, not a copy."""
    if form.codec != Codec.RAW:
        return read_chunk(plaintext, form, decompressor)
    view = plaintext[form.offset : form.offset + form.plain]
    if form.stored != form.plain or len(view) != form.plain or not view:
        raise ChunkCorrupt(f"chunk: expected {form.plain} raw bytes, got {len(view)}")
    return view
