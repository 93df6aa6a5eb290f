"""Which rows of a table differ, found only when its root does.

Both sides are sorted as (canonical key, leaf), the stored rows and the restored ones, and walked
side by side in bounded memory. The stored rows are also held against the manifest's root, so
that damage to the archive is not mistaken for damage to the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exclave.archive.objects import PgTable
from exclave.archive.rows import GroupedTree, hash_lines
from exclave.source.interface import Difference
from exclave.source.postgresql.sort import ExternalSorter

__all__ = ["MAX_KEYS", "differing_rows"]

MAX_KEYS: Final = 20
_LEAF: Final = 32
_NUMBERS: Final = {"int2": 2**63, "int4": 2**63, "int8": 2**63, "oid": 0}


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
    *,
    stored: Iterable[bytes],
    restored: Iterable[bytes],
    scratch: Path,
    memory: int,
) -> list[Difference]:
    """What differs, from both sides' COPY text (`restored` in blocks of whole lines)."""
    types = _key_types(table)
    with ExternalSorter(scratch, memory) as ours, ExternalSorter(scratch, memory) as theirs:
        for block in whole_lines(stored):
            ours.add_many(_records(block, types))
        for block in restored:
            theirs.add_many(_records(block, types))
        tree = GroupedTree(lambda _: None)
        expected = _through(ours.sorted_records(), tree)
        missing, changed, added = _walk(expected, theirs.sorted_records(), types)
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


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any size as blocks that end with a line's LF."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        if end:
            yield data[:end]
    if rest:
        yield rest + b"\n"


def _key_types(table: PgTable) -> tuple[str, ...]:
    if table.order == "multiset":
        return ()
    return tuple(kind for _, kind in table.columns[: len(table.key)])


def _records(block: bytes, types: tuple[str, ...]) -> list[bytes]:
    keys, leaves = hash_lines(block, len(types), types)
    return [key + leaf for key, leaf in zip(keys, leaves, strict=True)] if types else leaves


def _through(records: Iterator[bytes], tree: GroupedTree) -> Iterator[bytes]:
    for record in records:
        tree.add(record[-_LEAF:])
        yield record


def _walk(
    expected: Iterator[bytes], got: Iterator[bytes], types: tuple[str, ...]
) -> tuple[_Found, _Found, _Found]:
    missing, changed, added = _Found(), _Found(), _Found()
    ours, theirs = next(expected, None), next(got, None)
    while ours is not None or theirs is not None:
        if ours == theirs:
            ours, theirs = next(expected, None), next(got, None)
        elif ours is not None and theirs is not None and types and ours[:-32] == theirs[:-32]:
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
    if not types:
        return f"leaf {record[:8].hex()}"
    parts: list[str] = []
    rest = record[:-_LEAF]
    for kind in types:
        if kind in _NUMBERS:
            parts.append(str(int.from_bytes(rest[:8], "big") - _NUMBERS[kind]))
            rest = rest[8:]
        else:
            text, _, rest = rest.partition(b"\x00")
            parts.append(text.decode("utf-8", errors="backslashreplace"))
    return ", ".join(parts)
