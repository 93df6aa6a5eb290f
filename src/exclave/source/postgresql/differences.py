"""Which rows of a table differ, found only when its root does.

Both sides are sorted as (key, leaf), the stored rows and the restored ones, and walked
side by side in bounded memory. The stored rows are also held against the manifest's root, so
that damage to the archive is not mistaken for damage to the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from exclave.archive.objects import PgTable
from exclave.archive.rows import LEAF, hash_lines
from exclave.source.interface import Difference
from exclave.source.postgresql.reading import whole_lines
from exclave.source.postgresql.rowkeys import readable_key, sortable_key
from exclave.source.postgresql.rowtree import CopyPlan, RowTreeBuilder
from exclave.source.postgresql.sort import ExternalSorter
from exclave.values import dataclass, field

__all__ = ["MAX_KEYS", "differing_rows"]

MAX_KEYS: Final = 20


@dataclass(slots=True)
class _Found:
    """Rows of one kind: how many, and the first of them."""

    count: int = 0
    keys: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.count += 1
        if len(self.keys) < MAX_KEYS:
            self.keys.append(key)


def differing_rows(
    register: str,
    table: PgTable,
    plan: CopyPlan,
    *,
    stored: Iterable[bytes],
    restored: Iterable[bytes],
    scratch: Path,
    memory: int,
) -> list[Difference]:
    """What differs, from both sides' COPY text (`restored` in blocks of whole lines).

    Nothing differs where the same rows stand in another order.
    """
    types = tuple(kind for _, kind in table.columns[: len(table.key)])
    tree = RowTreeBuilder(plan, lambda _: None)
    with (
        ExternalSorter(scratch, memory) as ours,
        ExternalSorter(scratch, memory) as theirs,
    ):
        for block in whole_lines(stored):
            tree.take(block)
            ours.add_many(_records(block, types))
        for block in restored:
            theirs.add_many(_records(block, types))
        missing, changed, added = _walk(ours.sorted_records(), theirs.sorted_records(), types)
        tree_root = tree.finish().root
    subject = f"{table.database}.{table.schema}.{table.name}"
    kinds = (("row missing", missing), ("row changed", changed), ("row added", added))
    found = [
        Difference(
            register=register,
            subject=subject,
            what=what,
            keys=tuple(rows.keys),
            got=f"{rows.count} rows",
        )
        for what, rows in kinds
        if rows.count
    ]
    if tree_root != table.row_root:
        found.append(
            Difference(
                register=register,
                subject=subject,
                what="stored rows are not those that were fingerprinted",
                expected=table.row_root.hex(),
                got=tree_root.hex(),
            )
        )
    return found


def _records(block: bytes, types: tuple[str, ...]) -> list[bytes]:
    """Each row as its key and its leaf: as bytes they sort by key."""
    leaves = hash_lines(block)
    if not types:
        return leaves
    lines = block.split(b"\n")
    return [sortable_key(lines[i], types) + leaf for i, leaf in enumerate(leaves)]


def _walk(
    expected: Iterator[bytes], got: Iterator[bytes], types: tuple[str, ...]
) -> tuple[_Found, _Found, _Found]:
    missing, changed, added = _Found(), _Found(), _Found()
    ours, theirs = next(expected, None), next(got, None)
    while ours is not None or theirs is not None:
        if ours == theirs:
            ours, theirs = next(expected, None), next(got, None)
        elif ours is not None and theirs is not None and types and ours[:-LEAF] == theirs[:-LEAF]:
            changed.add(_readable(ours, types))
            ours, theirs = next(expected, None), next(got, None)
        elif theirs is None or (ours is not None and ours < theirs):
            assert ours is not None
            missing.add(_readable(ours, types))
            ours = next(expected, None)
        else:
            added.add(_readable(theirs, types))
            theirs = next(got, None)
    return missing, changed, added


def _readable(record: bytes, types: tuple[str, ...]) -> str:
    """The key of a record as text, or the leaf's beginning for a table without key."""
    return readable_key(record[:-LEAF], types) if types else f"leaf {record[:8].hex()}"
