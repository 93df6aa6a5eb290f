"""Large objects of a PostgreSQL database: their entries and the root over them (spec/archive.md 7).

Describes them; the contents lie in another stream, in the same order. Entries stand in ascending
order of oid and are decoded as they stream by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exclave.archive._bytes import ByteReader
from exclave.errors import MalformedData, NonCanonicalData
from exclave.merkle import RootBuilder, leaf_hash
from exclave.values import dataclass

__all__ = [
    "MAX_ACL",
    "LargeObjectEntry",
    "LargeObjectInvalid",
    "LargeObjectOrder",
    "decode_large_objects",
    "encode_large_object",
    "encode_large_objects",
    "large_objects_root",
]

MAX_ACL = 1024 * 1024
"""Longest ACL text; keeps a forged length from filling memory."""

_FIXED = 4 + 8 + 32 + 2


class LargeObjectInvalid(MalformedData):
    """An entry is cut off or has a field that no writer writes."""


class LargeObjectOrder(NonCanonicalData):
    """Entries are not in ascending order of oid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeObjectEntry:
    """One large object; `acl` as PostgreSQL prints it, empty when null."""

    oid: int
    size: int
    blake3: bytes
    owner: str
    acl: str

    def __post_init__(self) -> None:
        if not 1 <= self.oid < 2**32:
            raise LargeObjectInvalid(f"large object: expected an oid of 32 bits, got {self.oid}")
        if not 0 <= self.size < 2**63:
            raise LargeObjectInvalid(f"large object {self.oid}: size {self.size}")
        if len(self.blake3) != 32:
            raise LargeObjectInvalid(f"large object {self.oid}: expected a hash of 32 bytes")
        if len(_utf8(self.owner)) >= 2**16 or len(_utf8(self.acl)) > MAX_ACL:
            raise LargeObjectInvalid(f"large object {self.oid}: owner's name or ACL too long")


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LargeObjectInvalid("large object: expected names in UTF-8") from error


def encode_large_object(entry: LargeObjectEntry) -> bytes:
    """An entry's one encoding."""
    owner, acl = _utf8(entry.owner), _utf8(entry.acl)
    return b"".join(
        (
            entry.oid.to_bytes(4, "big"),
            entry.size.to_bytes(8, "big"),
            entry.blake3,
            len(owner).to_bytes(2, "big"),
            owner,
            len(acl).to_bytes(4, "big"),
            acl,
        )
    )


def encode_large_objects(entries: Iterable[LargeObjectEntry]) -> Iterator[bytes]:
    """Entries as they go into the `entries` stream; checks their order."""
    return map(encode_large_object, _ascending(entries))


def _ascending(entries: Iterable[LargeObjectEntry]) -> Iterator[LargeObjectEntry]:
    previous = 0
    for entry in entries:
        if entry.oid <= previous:
            raise LargeObjectOrder(f"large objects: oid {entry.oid} after {previous}")
        previous = entry.oid
        yield entry


def decode_large_objects(pieces: Iterable[bytes | memoryview]) -> Iterator[LargeObjectEntry]:
    """Entries from the `entries` stream, given in pieces of any size; strict."""
    return _ascending(_entries(pieces))


def _entries(pieces: Iterable[bytes | memoryview]) -> Iterator[LargeObjectEntry]:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        position = 0
        while (size := _entry_size(buffer, position)) is not None:
            yield _decode(bytes(buffer[position : position + size]))
            position += size
        del buffer[:position]
    if buffer:
        raise LargeObjectInvalid(f"large objects: {len(buffer)} bytes of an unfinished entry")


def _entry_size(buffer: bytearray, start: int) -> int | None:
    """Length of the entry at `start`; None while it is not all there."""
    if len(buffer) - start < _FIXED:
        return None
    acl_at = start + _FIXED + int.from_bytes(buffer[start + _FIXED - 2 : start + _FIXED], "big")
    if len(buffer) < acl_at + 4:
        return None
    length = int.from_bytes(buffer[acl_at : acl_at + 4], "big")
    if length > MAX_ACL:
        raise LargeObjectInvalid(f"large objects: expected an ACL of at most {MAX_ACL} bytes")
    end = acl_at + 4 + length
    return end - start if end <= len(buffer) else None


def _decode(data: bytes) -> LargeObjectEntry:
    reader = ByteReader(data, "large object", LargeObjectInvalid)
    entry = LargeObjectEntry(
        oid=reader.integer(4),
        size=reader.integer(8),
        blake3=reader.take(32),
        owner=reader.text(2),
        acl=reader.text(4),
    )
    reader.end()
    return entry


def large_objects_root(entries: Iterable[LargeObjectEntry]) -> bytes:
    """Root over a database's entries in order."""
    builder = RootBuilder()
    for entry in entries:
        builder.add(leaf_hash(encode_large_object(entry)))
    return builder.root()
