"""References to stored chunks and the streams made of them (spec/archive.md 4).

Values only: nothing here reads a pack. A stream of up to 16 chunks lists its references; a
longer one refers to the root of a tree of nodes (`exclave.archive.stream`). Its bytes per
reference are checked where references are decoded, which may be ten million times a register.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from exclave.archive._fields import Fields, FieldTypeWrong
from exclave.encoding import MAX_INTEGER, JsonObject, JsonValue
from exclave.errors import MalformedData, NonCanonicalData
from exclave.values import dataclass

__all__ = [
    "EMPTY_STREAM",
    "MANIFEST_PACK_BIT",
    "MAX_CHUNK",
    "MAX_INLINE",
    "MAX_LEVEL",
    "Codec",
    "LengthMismatch",
    "Reference",
    "ReferenceInvalid",
    "StreamInvalid",
    "StreamRef",
    "check_reference",
    "reference_from_json",
    "reference_to_json",
]

MANIFEST_PACK_BIT = 1 << 31
"""Set in the pack number of a chunk that lies in a manifest pack (spec/archive.md 4)."""

MAX_CHUNK = 16 * 1024 * 1024
"""Largest plaintext of a chunk (spec/archive.md 1)."""

MAX_INLINE = 16
"""References that a stream lists itself before it becomes a tree."""

MAX_LEVEL = 4
"""Highest node level: 4096^5 chunks are more than a stream of 2^53 bytes can have."""

_U32 = 2**32 - 1


class ReferenceInvalid(MalformedData):
    """A reference names a chunk that cannot exist."""


class StreamInvalid(NonCanonicalData):
    """A stream is described in another form than the one it must have."""


class LengthMismatch(MalformedData):
    """A stream's length is not the sum of its chunks' lengths."""


class Codec(IntEnum):
    """How a chunk is stored (spec/archive.md 1)."""

    RAW = 0
    ZSTD = 1


class Reference(NamedTuple):
    """One stored chunk: where it lies and how long it is. Immutable.

    A named tuple and not a dataclass, since a register has up to 10^7 of them.
    """

    pack: int
    offset: int
    stored: int
    plain: int
    codec: Codec


def check_reference(reference: Reference) -> None:
    """Raise `ReferenceInvalid` unless the numbers fit together (spec/archive.md 1, 4)."""
    pack, offset, stored, plain, codec = reference
    if not (0 <= pack <= _U32 and 0 <= offset <= _U32):
        raise ReferenceInvalid(f"reference: pack {pack} or offset {offset} beyond 32 bits")
    if not 1 <= plain <= MAX_CHUNK:
        raise ReferenceInvalid(f"reference: expected 1 to {MAX_CHUNK} plain bytes, got {plain}")
    fits = stored == plain if codec == Codec.RAW else 1 <= stored < plain
    if not fits:
        raise ReferenceInvalid(
            f"reference: codec {int(codec)} cannot store {plain} bytes in {stored}"
        )


def reference_to_json(reference: Reference) -> list[JsonValue]:
    """The reference as a JSON list of five integers."""
    pack, offset, stored, plain, codec = reference
    return [pack, offset, stored, plain, int(codec)]


def reference_from_json(value: JsonValue, subject: str) -> Reference:
    """Read a JSON list of five integers; strict."""
    if not isinstance(value, list) or len(value) != 5:
        raise FieldTypeWrong(f"{subject}: expected a reference of five integers")
    numbers: list[int] = []
    for item in value:
        if not isinstance(item, int) or isinstance(item, bool):
            raise FieldTypeWrong(f"{subject}: expected a reference of five integers")
        numbers.append(item)
    pack, offset, stored, plain, codec = numbers
    if codec not in (0, 1):
        raise ReferenceInvalid(f"{subject}: expected codec 0 or 1, got {codec}")
    reference = Reference(pack, offset, stored, plain, Codec(codec))
    check_reference(reference)
    return reference


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRef:
    """A stream: inline (`root` is None, up to 16 references) or a tree (`root`, `level`)."""

    length: int
    refs: tuple[Reference, ...] = ()
    root: Reference | None = None
    level: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.length <= MAX_INTEGER:
            raise StreamInvalid(f"stream: expected a length of 0 to 2^53-1, got {self.length}")
        for reference in self.refs:
            check_reference(reference)
        if self.root is None:
            self._check_inline()
        else:
            self._check_tree(self.root)

    def _check_inline(self) -> None:
        if len(self.refs) > MAX_INLINE or self.level != 0:
            raise StreamInvalid(
                f"stream: expected at most {MAX_INLINE} references, got {len(self.refs)}"
            )
        total = sum(reference.plain for reference in self.refs)
        if total != self.length:
            raise LengthMismatch(f"stream: expected {self.length} bytes, its chunks have {total}")

    def _check_tree(self, root: Reference) -> None:
        check_reference(root)
        if self.length == 0:
            raise StreamInvalid("stream: expected references for no bytes, got a root")
        if self.refs:
            raise StreamInvalid("stream: expected references or a root, got both")
        if not 0 <= self.level <= MAX_LEVEL:
            raise StreamInvalid(f"stream: expected level 0 to {MAX_LEVEL}, got {self.level}")
        if not root.pack & MANIFEST_PACK_BIT:
            raise StreamInvalid(f"stream: node in data pack {root.pack}, expected a manifest pack")

    def to_json(self) -> JsonObject:
        """The stream as it stands in the manifest."""
        if self.root is None:
            refs: list[JsonValue] = [reference_to_json(r) for r in self.refs]
            return {"length": self.length, "refs": refs}
        return {
            "length": self.length,
            "level": self.level,
            "root": reference_to_json(self.root),
        }

    @classmethod
    def from_json(cls, value: JsonValue, *, subject: str = "stream") -> StreamRef:
        """Read a stream from the manifest; strict."""
        if isinstance(value, dict) and "root" in value:
            fields = Fields.of(value, subject, ("length", "level", "root"))
            return cls(
                length=fields.integer("length"),
                level=fields.integer("level"),
                root=reference_from_json(fields.value["root"], f"{subject}: root"),
            )
        fields = Fields.of(value, subject, ("length", "refs"))
        items = fields.items("refs")
        if len(items) > MAX_INLINE:
            raise StreamInvalid(
                f"{subject}: expected at most {MAX_INLINE} references, got {len(items)}"
            )
        refs = tuple(reference_from_json(item, subject) for item in items)
        return cls(length=fields.integer("length"), refs=refs)


EMPTY_STREAM = StreamRef(length=0)
"""The stream without bytes."""
