"""From a table's COPY text to its row tree (spec/archive.md 6).

`plan_copy` decides the order and writes the COPY command; a `RowTreeBuilder` takes the text in
blocks of whole lines and refuses two rows with one key where they stand in its order. Capture and
comparison share both, so that they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from exclave.archive.objects import RowOrder
from exclave.archive.rows import LineTree, RowTree, line_ends, repeats_key
from exclave.source.postgresql.catalog import Column
from exclave.source.postgresql.connect import identifier, qualified
from exclave.source.postgresql.errors import KeyNotUnique
from exclave.values import dataclass

__all__ = ["CopyPlan", "RowTreeBuilder", "plan_copy"]

_MODIFIER: Final = re.compile(r"\([0-9]+(,-?[0-9]+)?\)")
# Their order is that of their values, in every server and whatever its collations (spec 6).
_BY_VALUE: Final = frozenset(
    {
        "boolean",
        "bytea",
        "date",
        "int2",
        "int4",
        "int8",
        "numeric",
        "oid",
        "timestamp with time zone",
        "timestamp without time zone",
        "uuid",
    }
)
_TEXTS: Final = frozenset({"character", "character varying", "text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """How one table is copied and proven."""

    label: str
    command: str
    as_stored: str  # the same rows as they lie in the table; the command itself in that order
    order: RowOrder
    n_key: int


def plan_copy(
    *,
    schema: str,
    name: str,
    columns: tuple[Column, ...],
    n_key: int,
    by_key: bool,
    encoding: str,
) -> CopyPlan:
    """Plan the copy of one table, in the order of its key if it has one and `by_key` says so.

    `encoding` is the database's, in which it sorts.
    """
    ordered = by_key and n_key > 0
    listed = ", ".join(identifier(column.name) for column in columns)
    table = qualified(schema, name)
    # Without columns the list must be left out: "()" is no column list.
    command = as_stored = f"COPY {table}{f' ({listed})' if listed else ''} TO STDOUT"
    if ordered:
        terms = ", ".join(_sort_term(column, encoding) for column in columns[:n_key])
        query = f"SELECT {listed} FROM ONLY {table} ORDER BY {terms}"  # noqa: S608 (quoted)
        command = f"COPY ({query}) TO STDOUT"
    return CopyPlan(
        label=f"{schema}.{name}",
        command=command,
        as_stored=as_stored,
        order="key" if ordered else "stored",
        n_key=n_key,
    )


def _sort_term(column: Column, encoding: str) -> str:
    kind = _MODIFIER.sub("", column.type)
    name = identifier(column.name)
    if kind in _BY_VALUE:
        return name
    if encoding != "UTF8":
        # Collation "C" compares bytes of the database's encoding; the restored one's may differ.
        return f"pg_catalog.convert_to({name}::pg_catalog.text, 'UTF8')"
    # Text is not cast, so that an index in collation "C" serves.
    return f'{name if kind in _TEXTS else f"{name}::pg_catalog.text"} COLLATE "C"'


class RowTreeBuilder:
    """Takes a table's COPY text and gives its row tree."""

    __slots__ = ("_last", "_plan", "_tree")

    def __init__(self, plan: CopyPlan, emit: Callable[[bytes], None]) -> None:
        self._plan = plan
        self._tree = LineTree(emit)
        self._last: list[bytes] = []  # the key of the row before

    def take(self, block: bytes) -> int:
        """Take a block of whole lines; returns the number of rows in it.

        Raises `KeyNotUnique` for two rows with one key, where rows come in its order.
        """
        ends = line_ends(block)
        if self._plan.order == "key" and len(ends):
            self._refuse_repeated(block, ends)
        self._tree.add(block, ends)
        return len(ends)

    def finish(self) -> RowTree:
        """The tree over all rows."""
        return self._tree.finish()

    def _refuse_repeated(self, block: bytes, ends: npt.NDArray[np.intp]) -> None:
        n_key = self._plan.n_key
        first = block[: ends[0]].split(b"\t", n_key)[:n_key]
        if first == self._last or repeats_key(block, ends, n_key):
            raise _not_unique(self._plan.label)
        start = ends[-2] + 1 if len(ends) > 1 else 0
        self._last = block[start : ends[-1]].split(b"\t", n_key)[:n_key]


def _not_unique(label: str) -> KeyNotUnique:
    return KeyNotUnique(
        f"table {label}: expected distinct primary keys, got two rows with one",
        hint="its index is corrupt: repair it, or list the table under heap_order until then",
    )
