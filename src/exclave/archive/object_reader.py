"""Reads the manifest's objects from JSON (spec/archive.md 5); the types are in `objects`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from exclave.archive._fields import FieldMissing, Fields, FieldTypeWrong
from exclave.archive.objects import (
    CommandOutput,
    FilesTree,
    ManifestObject,
    PgDatabase,
    PgGlobals,
    PgLargeObjects,
    PgSchema,
    PgSequence,
    PgTable,
    RowOrder,
    SchemaSection,
    SqliteDatabase,
)
from exclave.archive.reference import StreamRef
from exclave.encoding import JsonValue
from exclave.errors import MalformedData

__all__ = ["ObjectTypeUnknown", "object_from_json"]


class ObjectTypeUnknown(MalformedData):
    """An object has a `type` that format 1 does not have."""


def _stream(fields: Fields, name: str) -> StreamRef:
    return StreamRef.from_json(fields.value[name], subject=f"{fields.subject}: {name}")


def _pg_globals(fields: Fields) -> PgGlobals:
    return PgGlobals(sql=_stream(fields, "sql"))


def _pg_database(fields: Fields) -> PgDatabase:
    return PgDatabase(
        database=fields.text("database"),
        encoding=fields.text("encoding"),
        collate=fields.text("collate"),
        ctype=fields.text("ctype"),
        owner=fields.text("owner"),
        comment=fields.optional_text("comment"),
        settings=_stream(fields, "settings"),
        extensions=fields.text_pairs("extensions"),
    )


def _pg_schema(fields: Fields) -> PgSchema:
    return PgSchema(
        database=fields.text("database"),
        section=cast(SchemaSection, fields.choice("section", ("pre-data", "post-data"))),
        sql=_stream(fields, "sql"),
    )


def _pg_table(fields: Fields) -> PgTable:
    return PgTable(
        database=fields.text("database"),
        schema=fields.text("schema"),
        name=fields.text("name"),
        columns=fields.text_pairs("columns"),
        key=fields.texts("key"),
        order=cast(RowOrder, fields.choice("order", ("key", "stored"))),
        rows=fields.integer("rows"),
        row_root=fields.hex("row_root", 32),
        groups=_stream(fields, "groups"),
        data=_stream(fields, "data"),
    )


def _pg_sequence(fields: Fields) -> PgSequence:
    return PgSequence(
        database=fields.text("database"),
        schema=fields.text("schema"),
        name=fields.text("name"),
        last_value=fields.text("last_value"),
        is_called=fields.boolean("is_called"),
    )


def _pg_largeobjects(fields: Fields) -> PgLargeObjects:
    return PgLargeObjects(
        database=fields.text("database"),
        count=fields.integer("count"),
        root=fields.hex("root", 32),
        entries=_stream(fields, "entries"),
        content=_stream(fields, "content"),
    )


def _sqlite_database(fields: Fields) -> SqliteDatabase:
    tables: list[tuple[str, int]] = []
    for item in fields.items("tables"):
        match item:
            case [str(name), int(rows)] if not isinstance(rows, bool):
                tables.append((name, rows))
            case _:
                raise FieldTypeWrong(f"{fields.subject}: expected tables as [name, rows]")
    return SqliteDatabase(
        file=fields.text("file"),
        blake3=fields.hex("blake3", 32),
        size=fields.integer("size"),
        tables=tuple(tables),
        data=_stream(fields, "data"),
    )


def _files_tree(fields: Fields) -> FilesTree:
    return FilesTree(
        name=fields.text("name"),
        count=fields.integer("count"),
        tree_root=fields.hex("tree_root", 32),
        entries=_stream(fields, "entries"),
        content=_stream(fields, "content"),
    )


def _command_output(fields: Fields) -> CommandOutput:
    return CommandOutput(
        file=fields.text("file"),
        blake3=fields.hex("blake3", 32),
        size=fields.integer("size"),
        data=_stream(fields, "data"),
    )


_READERS: dict[str, tuple[tuple[str, ...], Callable[[Fields], ManifestObject]]] = {
    "pg.globals": (("sql",), _pg_globals),
    "pg.database": (
        ("database", "encoding", "collate", "ctype", "owner", "comment", "settings", "extensions"),
        _pg_database,
    ),
    "pg.schema": (("database", "section", "sql"), _pg_schema),
    "pg.table": (
        (
            "database",
            "schema",
            "name",
            "columns",
            "key",
            "order",
            "rows",
            "row_root",
            "groups",
            "data",
        ),
        _pg_table,
    ),
    "pg.sequence": (("database", "schema", "name", "last_value", "is_called"), _pg_sequence),
    "pg.largeobjects": (("database", "count", "root", "entries", "content"), _pg_largeobjects),
    "sqlite.database": (("file", "blake3", "size", "tables", "data"), _sqlite_database),
    "files.tree": (("name", "count", "tree_root", "entries", "content"), _files_tree),
    "command.output": (("file", "blake3", "size", "data"), _command_output),
}


def object_from_json(value: JsonValue, subject: str) -> ManifestObject:
    """Read one object by its `type`; strict."""
    if not isinstance(value, dict):
        raise FieldTypeWrong(f"{subject}: expected an object, got {type(value).__name__}")
    if "type" not in value:
        raise FieldMissing(f"{subject}: expected field 'type', got none")
    kind = value["type"]
    if not isinstance(kind, str) or kind not in _READERS:
        raise ObjectTypeUnknown(
            f"{subject}: expected a type of format 1, got {str(kind)[:40]!r}",
            hint="made by a newer version; the reader stored beside the packs knows it",
        )
    names, read = _READERS[kind]
    return read(Fields.of(value, f"{subject}: {kind}", ("type", *names)))
