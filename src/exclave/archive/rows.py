"""Rows of tables: the tree over groups of rows (spec/archive.md 6).

Works on COPY text as it streams by, a block of whole lines at a time, without a call per row:
groups are runs of lines, whatever the order of the rows is.

Rules
- The tree depends on the rows in their order alone, not on how the text came in blocks.
- Every byte of every row goes into a group's hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from exclave.errors import MalformedData
from exclave.merkle import RootBuilder, leaf_hash
from exclave.values import dataclass

__all__ = [
    "GROUP_ENTRY",
    "GROUP_SIZE",
    "LEAF",
    "GroupsInvalid",
    "LineTree",
    "LinesIncomplete",
    "RowTree",
    "decode_groups",
    "hash_lines",
    "line_ends",
    "repeats_key",
]

GROUP_SIZE = 64 * 1024
"""A group of rows ends with the first row that reaches this many bytes."""

GROUP_ENTRY = 36
"""Bytes of a group in `groups`: u32 number of rows, hash."""

LEAF = 32
"""Bytes of the hash of a single row."""

_GROUP = hashlib.sha256(b"\x02")
_WORD = 8
_ROUNDS = 16  # words of two rows compared at once before looking at them one by one
_FEW = 16


class LinesIncomplete(MalformedData):
    """COPY text does not end with a line's LF."""


class GroupsInvalid(MalformedData):
    """Bytes that are not a sequence of row groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTree:
    """The tree over a table's rows; `groups` is what the manifest's stream holds."""

    root: bytes
    rows: int
    groups: bytes


def line_ends(block: bytes) -> npt.NDArray[np.intp]:
    """Where the LFs of a block of whole lines stand; raises `LinesIncomplete`."""
    _require_whole(block)
    return np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 0x0A)


def hash_lines(block: bytes) -> list[bytes]:
    """Hashes of the rows of a block of whole COPY lines; raises `LinesIncomplete`.

    No format holds them: rows that may stand in another order are compared by them.
    """
    _require_whole(block)
    if not block:
        return []
    # One replacement puts the leaf's prefix before every line, cheaper than one concatenation each.
    lines = (b"\x00" + block[:-1].replace(b"\n", b"\n\x00")).split(b"\n")
    sha256 = hashlib.sha256
    return [sha256(line).digest() for line in lines]


def _require_whole(block: bytes) -> None:
    if block and not block.endswith(b"\n"):
        raise LinesIncomplete("copy text: expected whole lines, got a part of one at the end")


class _Groups:
    """Collects groups: entries to `emit`, or kept when there is none, and their root."""

    __slots__ = ("_emit", "_kept", "_root", "rows")

    def __init__(self, emit: Callable[[bytes], None] | None) -> None:
        self._kept = bytearray()
        self._emit: Callable[[bytes], object] = self._kept.extend if emit is None else emit
        self._root = RootBuilder()
        self.rows = 0

    def add(self, rows: int, digest: bytes) -> None:
        entry = rows.to_bytes(4, "big") + digest
        self._root.add(leaf_hash(entry))
        self._emit(entry)
        self.rows += rows

    def finish(self) -> RowTree:
        return RowTree(root=self._root.root(), rows=self.rows, groups=bytes(self._kept))


class LineTree:
    """The tree over rows in their order. Holds a hash, never the rows.

    `emit` takes the groups' bytes as they arise; without it `finish` returns them all.
    """

    __slots__ = ("_groups", "_hash", "_rows", "_size")

    def __init__(self, emit: Callable[[bytes], None] | None = None) -> None:
        self._groups = _Groups(emit)
        self._hash = _GROUP.copy()
        self._rows = 0  # of the open group
        self._size = 0

    def add(self, block: bytes, ends: npt.NDArray[np.intp]) -> None:
        """Append a block of whole lines; `ends` are its `line_ends`."""
        start = first = 0
        with memoryview(block) as view:
            while start < len(block):
                # The first line whose end reaches the size ends the group; perhaps none here.
                last = int(ends.searchsorted(start + GROUP_SIZE - self._size - 1))
                closes = last < len(ends)
                end, following = (int(ends[last]) + 1, last + 1) if closes else (len(block), last)
                self._hash.update(view[start:end])
                self._size += end - start
                self._rows += following - first
                if closes:
                    self._close()
                start, first = end, following

    def _close(self) -> None:
        self._groups.add(self._rows, self._hash.digest())
        self._hash = _GROUP.copy()
        self._rows = self._size = 0

    def finish(self) -> RowTree:
        """The tree; nothing may be added afterwards."""
        if self._rows:
            self._close()
        return self._groups.finish()


def repeats_key(block: bytes, ends: npt.NDArray[np.intp], n_key: int) -> bool:
    """Whether two rows that follow each other have the same first `n_key` fields.

    Rows are compared eight bytes at a time, all of them at once, as long as they are equal: almost
    all pairs differ in the first words, so hardly a row is looked at by itself.
    """
    if len(ends) < 2:
        return False
    padded = block + bytes(_WORD * _ROUNDS)
    words = np.ndarray((len(block) + _WORD * (_ROUNDS - 1),), "<u8", padded, 0, (1,))
    starts = np.concatenate((np.zeros(1, dtype=np.intp), ends[:-1] + 1))
    alike = np.arange(len(starts) - 1)
    for word in range(_ROUNDS):
        if len(alike) <= _FEW:
            break
        offset = word * _WORD
        before, after = words[starts[alike] + offset], words[starts[alike + 1] + offset]
        alike = alike[before == after]
    for index in alike.tolist():
        first = block[starts[index] : ends[index]].split(b"\t", n_key)[:n_key]
        second = block[starts[index + 1] : ends[index + 1]].split(b"\t", n_key)[:n_key]
        if first == second:
            return True
    return False


def decode_groups(groups: bytes) -> list[tuple[int, bytes]]:
    """The groups as (number of rows, hash); raises `GroupsInvalid`."""
    if len(groups) % GROUP_ENTRY:
        raise GroupsInvalid(f"groups: expected {GROUP_ENTRY} bytes each, got {len(groups)}")
    found = [
        (int.from_bytes(groups[i : i + 4], "big"), groups[i + 4 : i + GROUP_ENTRY])
        for i in range(0, len(groups), GROUP_ENTRY)
    ]
    for rows, _ in found:
        if not 1 <= rows <= GROUP_SIZE:
            raise GroupsInvalid(f"groups: expected 1 to {GROUP_SIZE} rows, got {rows}")
    return found
