"""Rows of tables: leaves, canonical keys and the tree of row groups (spec/archive.md 6).

Works on COPY text as it streams by, a block of whole lines at a time, since calls per row would
cost more than the hashing. It does not sort: whoever captures a table whose stream is not in key
order merges (key, leaf) pairs before giving the leaves to `GroupedTree`.

Rules
- A leaf depends on the line alone; a key on the key columns alone, not on any collation.
- Where groups end depends on the leaves alone, so equal runs of rows make equal groups.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exclave.errors import MalformedData
from exclave.merkle import RootBuilder, leaf_hash, tree_root

__all__ = [
    "GROUP_ENTRY",
    "GROUP_LIMIT",
    "KEY_TYPES_IN_STREAM_ORDER",
    "CopyEscapeInvalid",
    "GroupDifference",
    "GroupedTree",
    "GroupsInvalid",
    "KeyInvalid",
    "LinesIncomplete",
    "RowTree",
    "canonical_key",
    "compare_groups",
    "decode_groups",
    "hash_lines",
    "leaf_of",
    "unescape_copy",
]

GROUP_LIMIT = 8192
"""Leaves after which a group ends in any case."""

GROUP_ENTRY = 36
"""Bytes of a group in `groups`: u32 number of leaves, tree root."""

KEY_TYPES_IN_STREAM_ORDER = frozenset({"int2", "int4", "int8", "oid", "uuid", "text", "varchar"})
"""Types whose ORDER BY (text and varchar with COLLATE "C") is the order of canonical keys."""

_GROUP_MASK = 0x03FF
_SIGNED = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
_NUMBER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)
_ESCAPES = {
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
    b"\\": b"\\",
}
_LEAF = hashlib.sha256(b"\x00")
_BATCH = 2048


class KeyInvalid(MalformedData):
    """A key column's field is null, missing, or not a value of its type."""


class CopyEscapeInvalid(MalformedData):
    """A field holds an escape that COPY TO never writes."""


class LinesIncomplete(MalformedData):
    """A block of COPY text does not end with a line's LF."""


class GroupsInvalid(MalformedData):
    """Bytes that are not a sequence of row groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTree:
    """The tree over a table's rows; `groups` is what the manifest's stream holds."""

    root: bytes
    rows: int
    groups: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """A run of rows, by tree order, that differs: first row and number of rows on each side."""

    expected_first: int
    expected_rows: int
    got_first: int
    got_rows: int


def leaf_of(line: bytes | memoryview) -> bytes:
    """Leaf of a row: its COPY line without the LF."""
    return leaf_hash(line)


def unescape_copy(field: bytes) -> bytes:
    r"""A COPY TEXT field without its escapes; `\N` (null) is the caller's to recognise."""
    if b"\\" not in field:
        return field
    return _ESCAPE.sub(_unescape_one, field)


def _unescape_one(match: re.Match[bytes]) -> bytes:
    plain = _ESCAPES.get(match[1])
    if plain is None:
        raise CopyEscapeInvalid(f"copy text: expected an escape of COPY TO, got {match[0]!r}")
    return plain


def _number(field: bytes, kind: str, low: int, high: int) -> int:
    if not _NUMBER.fullmatch(field) or not low <= (value := int(field)) < high:
        raise KeyInvalid(f"key: expected {kind}, got {field[:40]!r}")
    return value


def _encode(field: bytes, kind: str) -> bytes:
    if field == b"\\N":
        raise KeyInvalid("key: expected a value, got null")
    if kind in _SIGNED:
        bound = _SIGNED[kind]
        return (_number(field, kind, -bound, bound) + 2**63).to_bytes(8, "big")
    if kind == "oid":
        return _number(field, kind, 0, 2**32).to_bytes(8, "big")
    plain = unescape_copy(field)
    if b"\x00" in plain:
        raise KeyInvalid("key: expected text without NUL")
    return plain + b"\x00"


def canonical_key(fields: Sequence[bytes], types: Sequence[str]) -> bytes:
    """Canonical key of a row from its key columns' COPY fields and type names, in order."""
    if len(fields) < len(types):
        raise KeyInvalid(f"key: expected {len(types)} columns, got {len(fields)}")
    return b"".join(map(_encode, fields, types))


def hash_lines(
    block: bytes, n_key: int, key_types: Sequence[str]
) -> tuple[list[bytes], list[bytes]]:
    """Keys and leaves of a block of whole COPY lines; `n_key` 0 gives no keys.

    `key_types` are the types of the first `n_key` columns. Raises `LinesIncomplete`, `KeyInvalid`.
    """
    if not block:
        return [], []
    if not block.endswith(b"\n"):
        raise LinesIncomplete("copy text: expected whole lines, got a part of one at the end")
    lines = block.split(b"\n")
    lines.pop()
    leaves = _leaves_of(lines)
    if n_key == 0:
        return [], leaves
    if len(key_types) != n_key:
        raise ValueError(f"key: expected {n_key} types, got {len(key_types)}")
    return _keys_of(lines, key_types), leaves


def _leaves_of(lines: list[bytes]) -> list[bytes]:
    # Copying a hash that has taken the prefix is a quarter quicker than beginning a new one.
    leaves: list[bytes] = []
    copy, append = _LEAF.copy, leaves.append
    for line in lines:
        state = copy()
        state.update(line)
        append(state.digest())
    return leaves


def _keys_of(lines: list[bytes], types: Sequence[str]) -> list[bytes]:
    if len(types) == 1 and types[0] in _SIGNED:
        keys = _integer_keys([line.partition(b"\t")[0] for line in lines], types[0])
        if keys is not None:
            return keys
    n_key = len(types)
    return [canonical_key(line.split(b"\t", n_key)[:n_key], types) for line in lines]


def _integer_keys(fields: list[bytes], kind: str) -> list[bytes] | None:
    """Keys of one integer column at once; None when some field needs the careful way."""
    if not all(map(_NUMBER.fullmatch, fields)):
        return None
    try:
        numbers = np.array(list(map(int, fields)), dtype=np.int64)
    except OverflowError:
        return None
    bound = _SIGNED[kind]
    if bound < 2**63 and (numbers.min() < -bound or numbers.max() >= bound):
        return None
    # Flipping the sign bit adds 2^63 in two's complement.
    data = (numbers.view(np.uint64) ^ np.uint64(2**63)).astype(">u8").tobytes()
    return [data[i : i + 8] for i in range(0, len(data), 8)]


class GroupedTree:
    """Builds a table's row tree from its leaves in order; holds at most one open group.

    `emit` takes the groups' bytes as they arise; without it `finish` returns them all, 36 bytes
    for about a thousand rows.
    """

    __slots__ = ("_emit", "_groups", "_open", "_root", "_rows", "_waiting")

    def __init__(self, emit: Callable[[bytes], None] | None = None) -> None:
        self._groups = bytearray()
        self._emit: Callable[[bytes], object] = self._groups.extend if emit is None else emit
        self._open: list[bytes] = []
        self._root = RootBuilder()
        self._rows = 0
        self._waiting: list[bytes] = []

    @property
    def rows(self) -> int:
        """Leaves so far."""
        return self._rows + len(self._waiting)

    def add(self, leaf: bytes) -> None:
        """Append one leaf."""
        self._waiting.append(leaf)
        if len(self._waiting) == _BATCH:
            self._flush()

    def add_many(self, leaves: list[bytes]) -> None:
        """Append leaves in tree order; cheapest for a thousand and more at once."""
        self._flush()
        self._append(leaves)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._append(waiting)

    def _append(self, leaves: list[bytes]) -> None:
        if not leaves:
            return
        self._rows += len(leaves)
        tails = np.frombuffer(b"".join(leaves), dtype=">u2").reshape(-1, 16)[:, 15]
        start = 0
        for last in np.flatnonzero((tails & _GROUP_MASK) == 0).tolist():
            self._extend(leaves[start : last + 1])
            if self._open:
                self._close()
            start = last + 1
        self._extend(leaves[start:] if start else leaves)

    def _extend(self, leaves: list[bytes]) -> None:
        """Add leaves of which none ends a group except, perhaps, the last."""
        start = 0
        while len(self._open) + len(leaves) - start >= GROUP_LIMIT:
            end = start + GROUP_LIMIT - len(self._open)
            self._open += leaves[start:end]
            self._close()
            start = end
        self._open += leaves[start:] if start else leaves

    def _close(self) -> None:
        entry = len(self._open).to_bytes(4, "big") + tree_root(self._open)
        self._root.add(leaf_hash(entry))
        self._emit(entry)
        self._open.clear()

    def finish(self) -> RowTree:
        """The tree; nothing may be added afterwards."""
        self._flush()
        if self._open:
            self._close()
        return RowTree(root=self._root.root(), rows=self._rows, groups=bytes(self._groups))


def decode_groups(groups: bytes) -> list[tuple[int, bytes]]:
    """The groups as (number of leaves, root); raises `GroupsInvalid`."""
    if len(groups) % GROUP_ENTRY:
        raise GroupsInvalid(f"groups: expected {GROUP_ENTRY} bytes each, got {len(groups)}")
    found = [
        (int.from_bytes(groups[i : i + 4], "big"), groups[i + 4 : i + GROUP_ENTRY])
        for i in range(0, len(groups), GROUP_ENTRY)
    ]
    for rows, _ in found:
        if not 1 <= rows <= GROUP_LIMIT:
            raise GroupsInvalid(f"groups: expected 1 to {GROUP_LIMIT} rows, got {rows}")
    return found


def compare_groups(expected: bytes, got: bytes) -> tuple[GroupDifference, ...]:
    """Where two tables differ, as few runs of rows as their groups can tell; empty when equal.

    After a difference the runs join again at the next group that both have.
    """
    ours, theirs = decode_groups(expected), decode_groups(got)
    if ours == theirs:
        return ()
    ahead: dict[tuple[int, bytes], list[int]] = {}
    for index in range(len(theirs) - 1, -1, -1):
        ahead.setdefault(theirs[index], []).append(index)
    found: list[GroupDifference] = []
    i = j = row_i = row_j = 0
    while i < len(ours) or j < len(theirs):
        if i < len(ours) and j < len(theirs) and ours[i] == theirs[j]:
            row_i, row_j = row_i + ours[i][0], row_j + theirs[j][0]
            i, j = i + 1, j + 1
            continue
        next_i, next_j = _join(ours, i, j, len(theirs), ahead)
        count_i = sum(rows for rows, _ in ours[i:next_i])
        count_j = sum(rows for rows, _ in theirs[j:next_j])
        found.append(
            GroupDifference(
                expected_first=row_i, expected_rows=count_i, got_first=row_j, got_rows=count_j
            )
        )
        i, j, row_i, row_j = next_i, next_j, row_i + count_i, row_j + count_j
    return tuple(found)


def _join(
    ours: list[tuple[int, bytes]],
    i: int,
    j: int,
    end: int,
    ahead: dict[tuple[int, bytes], list[int]],
) -> tuple[int, int]:
    """The next pair of equal groups at or after (i, j), or both ends."""
    for candidate in range(i, len(ours)):
        places = ahead.get(ours[candidate], [])
        while places and places[-1] < j:
            places.pop()
        if places:
            return candidate, places[-1]
    return len(ours), end
