"""What a database holds, as its system catalogue says: tables, keys, sequences, facts.

Everything is read with the caller's session, so inside a repeatable-read transaction the
answers belong to that transaction's snapshot. Nothing here reads rows of user tables.
"""

from __future__ import annotations

from typing import Final

from exclave.source.postgresql.connect import Connection
from exclave.values import dataclass

__all__ = [
    "Column",
    "DatabaseFacts",
    "ListedTable",
    "SequenceShape",
    "TableShape",
    "list_sequences",
    "list_tables",
    "read_facts",
]

# Short names, since spec/archive.md 6 encodes keys by them; other types as format_type prints.
_SHORT: Final = {"smallint": "int2", "integer": "int4", "bigint": "int8"}

_TABLES: Final = r"""
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.deptype = 'e'),
  ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
    AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum),
  ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0
    AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum),
  ARRAY(SELECT a.attname::text FROM
    (SELECT i.indkey, i.indnkeyatts FROM pg_index i WHERE i.indrelid = c.oid
     AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate
     AND i.indpred IS NULL AND i.indexprs IS NULL
     AND NOT EXISTS (SELECT FROM pg_attribute a
       WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
       AND (NOT a.attnotnull OR a.attgenerated <> ''))
     AND NOT EXISTS (SELECT FROM pg_constraint n  -- NOT NULL not validated (18)
       WHERE n.conrelid = c.oid AND n.contype = 'n' AND NOT n.convalidated)
     ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) k
    CROSS JOIN LATERAL generate_series(0, k.indnkeyatts - 1) p
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.indkey[p] ORDER BY p),
  -- Null of what is dropped meanwhile: then locking it says so.
  coalesce(has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), true),
  c.relkind = 'r' AND row_security_active(c.oid),
  CASE WHEN c.relkind = 'r' AND %s THEN coalesce(pg_table_size(c.oid), 0) ELSE 0 END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

_SEQUENCES: Final = r"""
SELECT n.nspname, c.relname,
  has_sequence_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

_FACTS: Final = r"""
SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba),
  shobj_description(oid, 'pg_database'), datlocprovider::text,
  ARRAY(SELECT extname::text FROM pg_extension ORDER BY extname COLLATE "C"),
  ARRAY(SELECT extversion FROM pg_extension ORDER BY extname COLLATE "C"),
  EXISTS (SELECT FROM pg_tablespace WHERE spcname !~ '^pg_')
FROM pg_database WHERE datname = current_database()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A stored column and its type's name."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """What must not change between locking and copying; sizes and rights are apart."""

    oid: int
    schema: str
    name: str
    kind: str  # pg_class.relkind
    persistence: str
    of_extension: bool
    columns: tuple[Column, ...]  # key columns first
    key: tuple[str, ...]

    @property
    def label(self) -> str:
        """For messages and for `orders` in the configuration."""
        return f"{self.schema}.{self.name}"

    @property
    def captured(self) -> bool:
        """Whether rows are copied from it: leaves only, parents hold none."""
        return self.kind == "r" and not self.of_extension

    @property
    def locked(self) -> bool:
        """Whether it is locked: captured tables and partitioned parents."""
        return self.captured or (self.kind == "p" and not self.of_extension)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTable:
    """A table with what may differ from moment to moment."""

    shape: TableShape
    readable: bool
    filtered: bool  # row-level security would hide rows from this role
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceShape:
    """A sequence's name."""

    schema: str
    name: str
    readable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What `pg.database` (spec/archive.md 5) says, and what becomes a note."""

    encoding: str
    collate: str
    ctype: str
    owner: str
    comment: str | None
    provider: str
    extensions: tuple[tuple[str, str], ...]
    tablespaces: bool


def list_tables(connection: Connection, *, sized: bool = False) -> tuple[ListedTable, ...]:
    """All tables, also those that are only noted, by name.

    `sized` asks for sizes (else 0): only where the tables are locked already, since the server
    locks a table to measure it and would wait for whoever is rewriting it.
    """
    query = _TABLES.replace("AND %s", "AND true" if sized else "AND false")
    return tuple(_table(row) for row in _rows(connection, query))


def list_sequences(connection: Connection) -> tuple[SequenceShape, ...]:
    """All sequences, by name."""
    return tuple(
        SequenceShape(schema=str(row[0]), name=str(row[1]), readable=bool(row[2]))
        for row in _rows(connection, _SEQUENCES)
    )


def read_facts(connection: Connection) -> DatabaseFacts:
    """Facts of the session's database."""
    query = _FACTS
    if connection.info.server_version < 150000:
        query = query.replace("datlocprovider::text", "'c'")
    row = _rows(connection, query)[0]
    return DatabaseFacts(
        encoding=str(row[0]),
        collate=str(row[1] or ""),
        ctype=str(row[2] or ""),
        owner=str(row[3]),
        comment=None if row[4] is None else str(row[4]),
        provider=str(row[5]),
        extensions=tuple(zip(_texts(row[6]), _texts(row[7]), strict=True)),
        tablespaces=bool(row[8]),
    )


def _rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    # search_path is empty: pg_catalog is still searched first, and nothing else is.
    return list(connection.execute(query.encode()).fetchall())


def _table(row: tuple[object, ...]) -> ListedTable:
    types = dict(zip(_texts(row[6]), _texts(row[7]), strict=True))
    key = _texts(row[8])
    # spec/archive.md 6: the key columns are the first of a stream's columns.
    names = (*key, *(name for name in types if name not in key))
    shape = TableShape(
        oid=int(str(row[0])),
        schema=str(row[1]),
        name=str(row[2]),
        kind=str(row[3]),
        persistence=str(row[4]),
        of_extension=bool(row[5]),
        columns=tuple(
            Column(name=name, type=_SHORT.get(types[name], types[name])) for name in names
        ),
        key=key,
    )
    return ListedTable(
        shape=shape, readable=bool(row[9]), filtered=bool(row[10]), size=int(str(row[11]))
    )


def _texts(value: object) -> tuple[str, ...]:
    assert isinstance(value, list)
    return tuple(str(item) for item in value)
