"""From a table's COPY text to its row tree (spec/archive.md 6), whatever order the text has.

`plan_copy` decides the order and writes the COPY command; `RowTreeBuilder` takes the text in
blocks of whole lines. Capture and comparison share both, so that they cannot disagree.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exclave.archive.objects import RowOrder
from exclave.archive.rows import (
    KEY_TYPES_IN_STREAM_ORDER,
    GroupedTree,
    RowTree,
    hash_lines,
)
from exclave.source.postgresql.catalog import Column
from exclave.source.postgresql.connect import identifier, qualified
from exclave.source.postgresql.errors import KeyNotUnique, StreamOutOfOrder
from exclave.source.postgresql.sort import ExternalSorter

__all__ = ["CopyPlan", "RowTreeBuilder", "plan_copy", "sortable_on_server"]

_LEAF: Final = 32
_BATCH: Final = 4096
_VARCHAR: Final = re.compile(r"character varying(\([0-9]+\))?")
_COLLATED: Final = frozenset({"text", "varchar"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """How one table is copied and proven."""

    label: str
    command: str
    tree_order: RowOrder
    key_types: tuple[str, ...]  # empty for a multiset
    stream_in_order: bool  # the server sorts by canonical key


def stream_type(name: str) -> str:
    """A column type's name as `KEY_TYPES_IN_STREAM_ORDER` has it."""
    return "varchar" if _VARCHAR.fullmatch(name) else name


def sortable_on_server(types: tuple[str, ...], encoding: str) -> bool:
    """Whether ORDER BY gives ascending canonical keys.

    Collation "C" compares bytes of the database's encoding, canonical keys bytes of UTF-8.
    """
    kinds = {stream_type(name) for name in types}
    if not types or not kinds <= KEY_TYPES_IN_STREAM_ORDER:
        return False
    return encoding == "UTF8" or not kinds & _COLLATED


def plan_copy(
    *,
    schema: str,
    name: str,
    columns: tuple[Column, ...],
    n_key: int,
    by_key: bool,
    encoding: str,
) -> CopyPlan:
    """Plan the copy of one table; `by_key`: let the server sort if it sorts like the bytes.

    `n_key` 0 plans a multiset.
    """
    key = columns[:n_key]
    types = tuple(column.type for column in key)
    in_order = by_key and sortable_on_server(types, encoding)
    select = ", ".join(identifier(column.name) for column in columns)
    query = f"SELECT {select} FROM ONLY {qualified(schema, name)}"  # noqa: S608 (quoted)
    if in_order:
        query += f" ORDER BY {', '.join(map(_sort_term, key))}"
    return CopyPlan(
        label=f"{schema}.{name}",
        command=f"COPY ({query}) TO STDOUT",
        tree_order="key" if n_key else "multiset",
        key_types=types,
        stream_in_order=in_order,
    )


def _sort_term(column: Column) -> str:
    collate = ' COLLATE "C"' if stream_type(column.type) in _COLLATED else ""
    return identifier(column.name) + collate


class RowTreeBuilder:
    """Takes COPY text and gives the row tree; sorts on the side where it must."""

    __slots__ = ("_emit", "_last", "_plan", "_rows", "_sorter", "_tree")

    def __init__(
        self,
        plan: CopyPlan,
        *,
        scratch: Path,
        memory: int,
        emit: Callable[[bytes], None],
    ) -> None:
        self._plan = plan
        self._tree = GroupedTree(emit)
        self._last = b""
        self._rows = 0
        self._sorter = None if plan.stream_in_order else ExternalSorter(scratch, memory)

    def take(self, block: bytes) -> int:
        """Take a block of whole lines; returns the number of rows in it."""
        types = self._plan.key_types
        keys, leaves = hash_lines(block, len(types), types)
        self._rows += len(leaves)
        if self._sorter is None:
            self._check_order(keys)
            self._tree.add_many(leaves)
        elif keys:
            # Canonical keys of one table are prefix-free: the bytes of key || leaf sort by key.
            self._sorter.add_many(list(map(operator.add, keys, leaves)))
        else:
            self._sorter.add_many(leaves)
        return len(leaves)

    def finish(self) -> RowTree:
        """The tree over all rows."""
        try:
            if self._sorter is not None:
                self._add_sorted(self._sorter.sorted_records())
            return self._tree.finish()
        finally:
            self.close()

    def close(self) -> None:
        """Give back what the sort holds; harmless after `finish`."""
        if self._sorter is not None:
            self._sorter.close()

    def _check_order(self, keys: list[bytes]) -> None:
        if not keys:
            return
        if self._last < keys[0] and all(map(operator.lt, keys, keys[1:])):
            self._last = keys[-1]
            return
        every = [self._last, *keys]
        if any(map(operator.eq, every, keys)):
            raise _not_unique(self._plan.label)
        raise StreamOutOfOrder(f"table {self._plan.label}: expected rows in ascending key order")

    def _add_sorted(self, records: Iterator[bytes]) -> None:
        batch: list[bytes] = []
        last = b""
        for record in records:
            if self._plan.key_types:
                key = record[:-_LEAF]
                if key == last:
                    raise _not_unique(self._plan.label)
                last = key
            batch.append(record[-_LEAF:])
            if len(batch) == _BATCH:
                self._tree.add_many(batch)
                batch = []
        self._tree.add_many(batch)


def _not_unique(label: str) -> KeyNotUnique:
    return KeyNotUnique(
        f"table {label}: expected distinct primary keys, got two rows with one",
        hint='its index is corrupt: repair it, or capture with order "multiset" until then',
    )
