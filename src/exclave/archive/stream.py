"""Trees of references: how a stream of any number of chunks is written and read.

The writer keeps at most 4,096 references per level, the reader one node per level, so both
run in bounded memory. Neither knows packs: nodes are handed to `emit_node` and asked from
`fetch_node`.

Rules (spec/archive.md 4)
- Up to 16 chunks: a list of references. More: nodes of 4,096, the last of a level may be shorter.
- The root is the only node of its level; at level 0 it has more than 16 entries, above at least
  two: so a sequence of references has one form only.
- Lengths and spans add up at every node.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from exclave.archive.reference import (
    EMPTY_STREAM,
    MANIFEST_PACK_BIT,
    MAX_CHUNK,
    MAX_INLINE,
    MAX_LEVEL,
    Codec,
    LengthMismatch,
    Reference,
    StreamRef,
    check_reference,
)
from exclave.errors import MalformedData, NonCanonicalData
from exclave.values import dataclass

__all__ = [
    "FANOUT",
    "Node",
    "NodeInvalid",
    "NodeNotCanonical",
    "Reference",
    "StreamRef",
    "StreamWriter",
    "decode_node",
    "encode_node",
    "iter_references",
]

FANOUT = 4096
"""References in a full node: a node is 68 to 100 KiB, one chunk."""

_HEAD = struct.Struct(">4sB3sI")
_MAGIC = b"EXND"
_CODECS = (Codec.RAW, Codec.ZSTD)


class NodeInvalid(MalformedData):
    """Bytes that are not a node, or a node that refers to impossible chunks."""


class NodeNotCanonical(NonCanonicalData):
    """A node that stands where no writer puts it: wrong level, not full, or needless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node's references; `spans` are the stream bytes below each (empty at level 0)."""

    level: int
    refs: tuple[Reference, ...]
    spans: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Stream bytes below this node."""
        return sum(self.spans) if self.level else sum(r.plain for r in self.refs)


def encode_node(node: Node) -> bytes:
    """The node's one encoding; raises `NodeInvalid` or `ReferenceInvalid`."""
    count = len(node.refs)
    if not 1 <= count <= FANOUT or not 0 <= node.level <= MAX_LEVEL:
        raise NodeInvalid(f"node: level {node.level} with {count} references")
    if len(node.spans) != (count if node.level else 0):
        raise NodeInvalid(f"node: expected a span per reference above level 0, got {node.spans}")
    for reference in node.refs:
        check_reference(reference)
    *columns, codec = zip(*node.refs, strict=True)
    parts = [_HEAD.pack(_MAGIC, node.level, bytes(3), count)]
    parts += [struct.pack(f">{count}I", *column) for column in columns]
    parts.append(bytes(codec))
    if node.level:
        parts.append(struct.pack(f">{count}Q", *node.spans))
    data = b"".join(parts)
    decode_node(data)
    return data


def decode_node(data: bytes | bytearray | memoryview) -> Node:
    """Read a node; raises `NodeInvalid`."""
    if len(data) < _HEAD.size:
        raise NodeInvalid(f"node: expected at least {_HEAD.size} bytes, got {len(data)}")
    magic, level, reserved, count = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise NodeInvalid(f"node: expected EXND, got {magic.hex()}")
    if reserved != bytes(3):
        raise NodeInvalid("node: expected reserved bytes to be zero")
    if level > MAX_LEVEL:
        raise NodeInvalid(f"node: expected level 0 to {MAX_LEVEL}, got {level}")
    if not 1 <= count <= FANOUT:
        raise NodeInvalid(f"node: expected 1 to {FANOUT} references, got {count}")
    size = _HEAD.size + count * (25 if level else 17)
    if len(data) != size:
        raise NodeInvalid(f"node: expected {size} bytes, got {len(data)}")
    start = _HEAD.size
    numbers = struct.unpack_from(f">{4 * count}I", data, start)
    columns = [numbers[i : i + count] for i in range(0, 4 * count, count)]
    codecs = bytes(data[start + 16 * count : start + 17 * count])
    _check_columns(level, columns, codecs)
    spans: tuple[int, ...] = ()
    if level:
        spans = struct.unpack_from(f">{count}Q", data, start + 17 * count)
        if not all(spans):
            raise NodeInvalid("node: expected spans of at least one byte, got an empty one")
    rows = zip(*columns, map(_CODECS.__getitem__, codecs), strict=True)
    return Node(level=level, refs=tuple(map(Reference._make, rows)), spans=spans)


def _check_columns(level: int, columns: Sequence[Sequence[int]], codecs: bytes) -> None:
    """What `check_reference` checks, for all references of a node at once."""
    pack, _, stored, plain = columns
    if max(codecs) > 1:
        raise NodeInvalid("node: expected codec 0 or 1")
    if min(plain) < 1 or max(plain) > MAX_CHUNK:
        raise NodeInvalid(f"node: expected chunks of 1 to {MAX_CHUNK} bytes")
    raw = [(s, p) for s, p, codec in zip(stored, plain, codecs, strict=True) if not codec]
    if min(stored) < 1 or any(s != p for s, p in raw):
        raise NodeInvalid("node: expected raw chunks to be stored in their plain length")
    if sum(s >= p for s, p in zip(stored, plain, strict=True)) != sum(s >= p for s, p in raw):
        raise NodeInvalid("node: expected compressed chunks to be shorter than plain")
    if level and min(pack) < MANIFEST_PACK_BIT:
        raise NodeInvalid("node: expected nodes to lie in manifest packs")


class StreamWriter:
    """Collects a stream's references in order and builds its tree of nodes.

    `emit_node` stores a node as a chunk with role 1 in a manifest pack and says where.
    """

    __slots__ = ("_emit_node", "_length", "_levels", "_spans")

    def __init__(self, emit_node: Callable[[bytes], Reference]) -> None:
        self._emit_node = emit_node
        self._length = 0
        self._levels: list[list[Reference]] = [[]]
        self._spans: list[list[int]] = [[]]

    @property
    def length(self) -> int:
        """Stream bytes so far."""
        return self._length

    def add(self, reference: Reference) -> None:
        """Append the next chunk."""
        refs = self._levels[0]
        refs.append(reference)
        self._length += reference.plain
        if len(refs) == FANOUT:
            self._push(0)

    def finish(self) -> StreamRef:
        """End the stream; nothing may be added afterwards."""
        if len(self._levels) == 1 and len(self._levels[0]) <= MAX_INLINE:
            refs = tuple(self._levels[0])
            return StreamRef(length=self._length, refs=refs) if refs else EMPTY_STREAM
        level = 0
        while level + 1 < len(self._levels):
            if self._levels[level]:
                self._push(level)
            level += 1
        if level and len(self._levels[level]) == 1:  # a single node below is the root itself
            return StreamRef(length=self._length, root=self._levels[level][0], level=level - 1)
        root = self._emit(level)
        return StreamRef(length=self._length, root=root, level=level)

    def _emit(self, level: int) -> Reference:
        spans = tuple(self._spans[level]) if level else ()
        return self._emit_node(
            encode_node(Node(level=level, refs=tuple(self._levels[level]), spans=spans))
        )

    def _push(self, level: int) -> None:
        """Turn the pending references of a level into a node and refer to it from above."""
        refs, spans = self._levels[level], self._spans[level]
        span = sum(spans) if level else sum(r.plain for r in refs)
        node = self._emit(level)
        refs.clear()
        spans.clear()
        if level + 1 == len(self._levels):
            self._levels.append([])
            self._spans.append([])
        self._levels[level + 1].append(node)
        self._spans[level + 1].append(span)
        if len(self._levels[level + 1]) == FANOUT:
            self._push(level + 1)


def iter_references(
    stream: StreamRef, fetch_node: Callable[[Reference], bytes | bytearray | memoryview]
) -> Iterator[Reference]:
    """The stream's chunks in order; raises when a node is not what the writer would have made.

    What was yielded before a refusal is authentic but not the whole stream.
    """
    if stream.root is None:
        yield from stream.refs
        return
    node = decode_node(fetch_node(stream.root))
    least = 2 if stream.level else MAX_INLINE + 1
    if len(node.refs) < least:
        raise NodeNotCanonical(f"stream: expected at least {least} entries in its root")
    yield from _walk(node, stream.level, stream.length, True, fetch_node)


def _walk(
    node: Node,
    level: int,
    length: int,
    last: bool,
    fetch_node: Callable[[Reference], bytes | bytearray | memoryview],
) -> Iterator[Reference]:
    if node.level != level:
        raise NodeNotCanonical(f"node: expected level {level}, got {node.level}")
    if not last and len(node.refs) != FANOUT:
        raise NodeNotCanonical(f"node: expected {FANOUT} references, got {len(node.refs)}")
    if node.length != length:
        raise LengthMismatch(f"node: expected a span of {length} bytes, got {node.length}")
    if level == 0:
        yield from node.refs
        return
    end = len(node.refs) - 1
    for index, (reference, span) in enumerate(zip(node.refs, node.spans, strict=True)):
        below = decode_node(fetch_node(reference))
        yield from _walk(below, level - 1, span, last and index == end, fetch_node)
