"""The manifest's objects: what a register consists of (spec/archive.md 5).

Values only, each with `to_json`; `exclave.archive.object_reader` is the strict way back. Every
check is made on construction, so that what a depositor writes is what a reader accepts.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from exclave.archive._fields import require, require_integer
from exclave.archive.reference import MANIFEST_PACK_BIT, StreamRef
from exclave.encoding import JsonObject, JsonValue
from exclave.errors import MalformedData
from exclave.values import dataclass

__all__ = [
    "CommandOutput",
    "FilesTree",
    "ManifestObject",
    "PgDatabase",
    "PgGlobals",
    "PgLargeObjects",
    "PgSchema",
    "PgSequence",
    "PgTable",
    "RowOrder",
    "SchemaSection",
    "SqliteDatabase",
    "StreamMisplaced",
    "data_stream",
    "manifest_stream",
]

SchemaSection: TypeAlias = Literal["pre-data", "post-data"]
RowOrder: TypeAlias = Literal["key", "stored"]

_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,18}")


class StreamMisplaced(MalformedData):
    """A stream lies in the wrong kind of pack."""


def data_stream(stream: StreamRef, name: str) -> None:
    """Raise `StreamMisplaced` unless the listed chunks lie in data packs."""
    if any(r.pack & MANIFEST_PACK_BIT for r in stream.refs):
        raise StreamMisplaced(f"{name}: expected data packs, got a manifest pack")


def manifest_stream(stream: StreamRef, name: str) -> None:
    """Raise `StreamMisplaced` unless the listed chunks lie in manifest packs."""
    if not all(r.pack & MANIFEST_PACK_BIT for r in stream.refs):
        raise StreamMisplaced(f"{name}: expected manifest packs, got a data pack")


def _root(value: bytes, name: str) -> None:
    require(len(value) == 32, f"{name}: expected 32 bytes, got {len(value)}")


def _unique(values: tuple[str, ...], name: str) -> None:
    require(len(set(values)) == len(values), f"{name}: expected distinct names")


def _pairs(pairs: tuple[tuple[str, str], ...]) -> list[JsonValue]:
    return [[first, second] for first, second in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class PgGlobals:
    """Roles and grants of a server, without passwords."""

    sql: StreamRef

    def __post_init__(self) -> None:
        manifest_stream(self.sql, "pg.globals")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {"type": "pg.globals", "sql": self.sql.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PgDatabase:
    """One database: how to create it, its settings (SQL) and extensions (name, version)."""

    database: str
    encoding: str
    collate: str
    ctype: str
    owner: str
    comment: str | None
    settings: StreamRef
    extensions: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        manifest_stream(self.settings, "pg.database")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "pg.database",
            "database": self.database,
            "encoding": self.encoding,
            "collate": self.collate,
            "ctype": self.ctype,
            "owner": self.owner,
            "comment": self.comment,
            "settings": self.settings.to_json(),
            "extensions": _pairs(self.extensions),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PgSchema:
    """One section of a database's schema as `pg_dump` writes it."""

    database: str
    section: SchemaSection
    sql: StreamRef

    def __post_init__(self) -> None:
        require(
            self.section in ("pre-data", "post-data"),
            f"pg.schema: expected section pre-data or post-data, got {self.section[:40]!r}",
        )
        manifest_stream(self.sql, "pg.schema")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "pg.schema",
            "database": self.database,
            "section": self.section,
            "sql": self.sql.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PgTable:
    """One table: columns as (name, type), its rows as COPY text, and their tree."""

    database: str
    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    order: RowOrder
    rows: int
    row_root: bytes
    groups: StreamRef
    data: StreamRef

    def __post_init__(self) -> None:
        names = tuple(name for name, _ in self.columns)
        _unique(names, "pg.table: columns")
        require(
            names[: len(self.key)] == self.key, "pg.table: expected the key's columns to come first"
        )
        require(self.order in ("key", "stored"), f"pg.table: order {self.order[:40]!r}")
        require(self.order != "key" or bool(self.key), "pg.table: ordered by key, but has none")
        require_integer(self.rows, "pg.table: rows")
        _root(self.row_root, "pg.table: row_root")
        require(self.groups.length % 36 == 0, "pg.table: expected groups of 36 bytes each")
        require(
            (self.rows == 0) == (self.groups.length == 0) == (self.data.length == 0),
            "pg.table: rows, groups and data disagree on whether the table is empty",
        )
        manifest_stream(self.groups, "pg.table: groups")
        data_stream(self.data, "pg.table: data")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "pg.table",
            "database": self.database,
            "schema": self.schema,
            "name": self.name,
            "columns": _pairs(self.columns),
            "key": list(self.key),
            "order": self.order,
            "rows": self.rows,
            "row_root": self.row_root.hex(),
            "groups": self.groups.to_json(),
            "data": self.data.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PgSequence:
    """A sequence's state; `last_value` is decimal text, since it may exceed 2^53."""

    database: str
    schema: str
    name: str
    last_value: str
    is_called: bool

    def __post_init__(self) -> None:
        require(
            _DECIMAL.fullmatch(self.last_value) is not None
            and -(2**63) <= int(self.last_value) < 2**63,
            f"pg.sequence: expected a 64-bit integer, got {self.last_value[:40]!r}",
        )

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "pg.sequence",
            "database": self.database,
            "schema": self.schema,
            "name": self.name,
            "last_value": self.last_value,
            "is_called": self.is_called,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PgLargeObjects:
    """A database's large objects (spec/archive.md 7)."""

    database: str
    count: int
    root: bytes
    entries: StreamRef
    content: StreamRef

    def __post_init__(self) -> None:
        require_integer(self.count, "pg.largeobjects: count")
        _root(self.root, "pg.largeobjects: root")
        manifest_stream(self.entries, "pg.largeobjects: entries")
        data_stream(self.content, "pg.largeobjects: content")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "pg.largeobjects",
            "database": self.database,
            "count": self.count,
            "root": self.root.hex(),
            "entries": self.entries.to_json(),
            "content": self.content.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteDatabase:
    """One SQLite file; `tables` are (name, rows)."""

    file: str
    blake3: bytes
    size: int
    tables: tuple[tuple[str, int], ...]
    data: StreamRef

    def __post_init__(self) -> None:
        _root(self.blake3, "sqlite.database: blake3")
        require_integer(self.size, "sqlite.database: size")
        require(
            self.size == self.data.length,
            f"sqlite.database: expected {self.size} bytes of data, got {self.data.length}",
        )
        _unique(tuple(name for name, _ in self.tables), "sqlite.database: tables")
        for name, rows in self.tables:
            require_integer(rows, f"sqlite.database: rows of {name[:40]!r}")
        data_stream(self.data, "sqlite.database: data")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "sqlite.database",
            "file": self.file,
            "blake3": self.blake3.hex(),
            "size": self.size,
            "tables": [[name, rows] for name, rows in self.tables],
            "data": self.data.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput:
    """What a program wrote to its standard output, restored as a file of that name."""

    file: str
    blake3: bytes
    size: int
    data: StreamRef

    def __post_init__(self) -> None:
        _root(self.blake3, "command.output: blake3")
        require_integer(self.size, "command.output: size")
        require(
            self.size == self.data.length,
            f"command.output: expected {self.size} bytes of data, got {self.data.length}",
        )
        data_stream(self.data, "command.output: data")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "command.output",
            "file": self.file,
            "blake3": self.blake3.hex(),
            "size": self.size,
            "data": self.data.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesTree:
    """One folder with everything in it (spec/archive.md 8)."""

    name: str
    count: int
    tree_root: bytes
    entries: StreamRef
    content: StreamRef

    def __post_init__(self) -> None:
        require_integer(self.count, "files.tree: count", minimum=1)
        _root(self.tree_root, "files.tree: tree_root")
        manifest_stream(self.entries, "files.tree: entries")
        data_stream(self.content, "files.tree: content")

    def to_json(self) -> JsonObject:
        """The object as it stands in the manifest."""
        return {
            "type": "files.tree",
            "name": self.name,
            "count": self.count,
            "tree_root": self.tree_root.hex(),
            "entries": self.entries.to_json(),
            "content": self.content.to_json(),
        }


ManifestObject: TypeAlias = (
    PgGlobals
    | PgDatabase
    | PgSchema
    | PgTable
    | PgSequence
    | PgLargeObjects
    | SqliteDatabase
    | FilesTree
    | CommandOutput
)
