"""What the capturing role must be allowed to read; everything missing is named at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from exclave.source.postgresql.catalog import ListedTable, SequenceShape
from exclave.source.postgresql.errors import MissingPrivilege

__all__ = ["refuse_unreadable", "refuse_unreadable_sequences"]

_NAMED: Final = 20


def refuse_unreadable(database: str, tables: Iterable[ListedTable]) -> None:
    """Raise `MissingPrivilege` for tables that cannot be read, or not wholly."""
    needed = [table for table in tables if table.shape.locked]
    hidden = [table.shape.label for table in needed if not table.readable]
    if hidden:
        raise MissingPrivilege(
            f"database {database}: expected SELECT on every table and USAGE on its schema, "
            f"missing for {_some(hidden)}",
            hint="GRANT pg_read_all_data TO the capturing role",
        )
    filtered = [table.shape.label for table in needed if table.filtered]
    if filtered:
        raise MissingPrivilege(
            f"database {database}: row-level security would hide rows of {_some(filtered)}",
            hint="ALTER ROLE ... BYPASSRLS for the capturing role",
        )


def refuse_unreadable_sequences(database: str, sequences: Iterable[SequenceShape]) -> None:
    """Raise `MissingPrivilege` for sequences whose state cannot be read."""
    hidden = [f"{each.schema}.{each.name}" for each in sequences if not each.readable]
    if hidden:
        raise MissingPrivilege(
            f"database {database}: expected SELECT on every sequence, missing for {_some(hidden)}",
            hint="GRANT pg_read_all_data TO the capturing role",
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
