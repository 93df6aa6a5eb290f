"""Indexes and keys of loaded tables, built table by table, so that several are built at a time.

Of a post-data script these are the statements that cost time: they read whole tables, while all
others (but foreign keys) only write definitions. Those that are not recognised here, of partitioned
parents and materialised views for instance, stay with the rest of the script.

Rules
- The statements of one table are one transaction, in the script's order: a table that has an
  index has all of its own, and a later call leaves it alone.
- Foreign keys are never among them: they need the keys of other tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from exclave.archive.objects import PgTable
from exclave.source.postgresql.connect import Connection
from exclave.values import dataclass

__all__ = ["PostData", "has_index", "printed_names", "split_post_data"]

# As pg_dump prints them, all white space made one space; names that do not fit stay with the rest.
_NAME: Final = r'(?:[a-z_][a-z0-9_]*|"(?:[^"]|"")+")'
_TABLE: Final = rf"(?P<table>{_NAME}\.{_NAME})"
_STATEMENT: Final = re.compile(
    rf"ALTER TABLE (?:ONLY )?{_TABLE} ADD CONSTRAINT {_NAME} (?:PRIMARY KEY|UNIQUE|EXCLUDE) .*"
    rf"|CREATE (?:UNIQUE )?INDEX {_NAME} ON (?:ONLY )?{_TABLE.replace('table', 'indexed')} USING .*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostData:
    """A post-data script in two parts."""

    by_table: dict[str, tuple[str, ...]]  # printed name -> statements that build its indexes
    rest: tuple[str, ...]


def split_post_data(script: Iterable[str], tables: Iterable[str]) -> PostData:
    """Set apart what builds indexes of the named tables; order is kept within each part."""
    by_table: dict[str, list[str]] = {name: [] for name in tables}
    rest: list[str] = []
    for statement in script:
        match = _STATEMENT.fullmatch(" ".join(statement.split()))
        name = "" if match is None else match["table"] or match["indexed"]
        by_table.get(name, rest).append(statement)
    return PostData(
        by_table={name: tuple(found) for name, found in by_table.items() if found},
        rest=tuple(rest),
    )


def printed_names(session: Connection, tables: Sequence[PgTable]) -> list[str]:
    """The tables' names as pg_dump prints them, in order."""
    rows = session.execute(
        "SELECT pg_catalog.format('%%I.%%I', t.schema, t.name)"
        " FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]),"
        " pg_catalog.unnest(%s::pg_catalog.text[])) WITH ORDINALITY AS t (schema, name, place)"
        " ORDER BY t.place",
        ([table.schema for table in tables], [table.name for table in tables]),
    ).fetchall()
    return [str(row[0]) for row in rows]


def has_index(session: Connection, printed: str) -> bool:
    """Whether a table has an index: whether its statements were run."""
    row = session.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid ="
        " pg_catalog.to_regclass(%s::pg_catalog.text)::pg_catalog.oid)",
        (printed,),
    ).fetchone()
    return row is not None and bool(row[0])
