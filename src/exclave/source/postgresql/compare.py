"""Compares restored databases with the manifest, through new sessions.

Every row of every table is read and its tree built as at capture; sequences and large objects
are read as well. Definitions are not compared (pg_dump of another version writes them otherwise),
except that tables, their columns and types must be the same; the result says so.

Rules
- Expected values come from the manifest alone; stored rows are read only to name what differs.
- A difference never raises; only a target that cannot be read does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

import psycopg
from blake3 import blake3

from exclave.archive.largeobjects import (
    LargeObjectEntry,
    decode_large_objects,
    large_objects_root,
)
from exclave.archive.manifest import Register
from exclave.archive.objects import PgLargeObjects, PgSequence, PgTable
from exclave.archive.rows import RowTree
from exclave.errors import MalformedData
from exclave.source.interface import ArchiveSupply, Compared, Difference, Progress
from exclave.source.postgresql.catalog import (
    Column,
    TableShape,
    list_sequences,
    list_tables,
    read_facts,
)
from exclave.source.postgresql.config import PostgresConfig
from exclave.source.postgresql.connect import Connection, connect, qualified
from exclave.source.postgresql.differences import differing_rows
from exclave.source.postgresql.errors import (
    KeyNotUnique,
    LoadFailed,
    ServerUnreachable,
    TargetUnreachable,
    reason,
)
from exclave.source.postgresql.largeobjects import list_large_objects, read_pieces
from exclave.source.postgresql.parts import DatabaseParts, parts_of
from exclave.source.postgresql.reading import RowReader
from exclave.source.postgresql.rowtree import CopyPlan, RowTreeBuilder, plan_copy
from exclave.source.postgresql.tools import find_psql

__all__ = ["compare_register"]

_NEVER: Final = (
    "definitions of views, functions, constraints, indexes, triggers and policies",
    "roles, their memberships and rights; passwords were not captured",
    "values of generated columns, contents of materialised views: the target computed them",
)


def compare_register(
    config: PostgresConfig,
    register: Register,
    supply: ArchiveSupply,
    progress: Progress,
    only: tuple[str, ...],
) -> Compared:
    """Compare all databases, or the named tables."""
    differences: list[Difference] = []
    left_out: list[str] = list(_NEVER)
    rows = objects = 0
    for parts in parts_of(register):
        if not parts.concerned(only):
            continue
        comparison = _DatabaseComparison(
            config=config,
            register=register.id,
            parts=parts,
            supply=supply,
            progress=progress,
            only=only,
        )
        try:
            rows += comparison.run()
        except psycopg.Error as error:
            raise LoadFailed(
                f"database {parts.name}: expected to read it, got: {reason(error)}"
            ) from error
        differences += comparison.differences
        left_out += comparison.left_out
        objects += comparison.objects
    if only:
        left_out.append("everything but the named tables")
    return Compared(
        rows=rows,
        files=0,
        objects=objects,
        differences=tuple(differences),
        not_compared=tuple(left_out),
    )


class _DatabaseComparison:
    """One database's comparison; collects what it finds."""

    def __init__(
        self,
        *,
        config: PostgresConfig,
        register: str,
        parts: DatabaseParts,
        supply: ArchiveSupply,
        progress: Progress,
        only: tuple[str, ...],
    ) -> None:
        self._config = config
        self._register = register
        self._parts = parts
        self._supply = supply
        self._progress = progress
        self._only = only
        self._reader = RowReader(config, parts.name, psql=find_psql(config))
        self.differences: list[Difference] = []
        self.left_out: list[str] = []
        self.objects = 0

    def run(self) -> int:
        """Compare; returns the number of rows read."""
        with self._session() as session:
            encoding = read_facts(session).encoding
            found = {
                (shape.schema, shape.name): shape
                for shape in (table.shape for table in list_tables(session))
                if shape.captured
            }
            self._shapes(found)
            if not self._only:
                self._extensions(session)
                self._sequences(session)
                self._large_objects(session)
        todo = [table for table in self._wanted() if _same_columns(table, found)]
        self.objects += len(todo)
        with ThreadPoolExecutor(self._config.jobs, thread_name_prefix="exclave-compare") as pool:
            results = list(pool.map(lambda table: self._table(table, encoding), todo))
        for _, differences in results:
            self.differences += differences
        return sum(rows for rows, _ in results)

    def _session(self) -> Connection:
        try:
            return connect(self._config, self._parts.name)
        except ServerUnreachable as error:
            raise TargetUnreachable(error.message, hint=error.hint) from None

    def _differs(self, subject: str, what: str, expected: object = "", got: object = "") -> None:
        self.differences.append(
            Difference(
                register=self._register,
                subject=f"{self._parts.name}.{subject}",
                what=what,
                expected=str(expected),
                got=str(got),
            )
        )

    def _wanted(self) -> list[PgTable]:
        return [
            table
            for table in self._parts.tables
            if not self._only or f"{self._parts.name}.{table.schema}.{table.name}" in self._only
        ]

    def _shapes(self, found: dict[tuple[str, str], TableShape]) -> None:
        for table in self._wanted():
            shape = found.get((table.schema, table.name))
            label = f"{table.schema}.{table.name}"
            if shape is None:
                self._differs(label, "table missing")
            elif not _same_columns(table, found):
                got = sorted((column.name, column.type) for column in shape.columns)
                self._differs(label, "columns differ", sorted(table.columns), got)
        if not self._only:
            captured = {(table.schema, table.name) for table in self._parts.tables}
            for schema, name in sorted(found.keys() - captured):
                self._differs(f"{schema}.{name}", "table added")

    def _extensions(self, session: Connection) -> None:
        installed = dict(read_facts(session).extensions)
        for name, version in self._parts.database.extensions:
            if name not in installed:
                self._differs(f"extension {name}", "extension missing", version)
            elif installed[name] != version:
                self.left_out.append(
                    f"{self._parts.name}: extension {name} was {version}, is {installed[name]}"
                )

    def _sequences(self, session: Connection) -> None:
        for each in self._parts.sequences:
            self.objects += 1
            got = _sequence_state(session, each)
            expected = f"{each.last_value}, is_called {each.is_called}"
            if got is None:
                self._differs(f"{each.schema}.{each.name}", "sequence missing", expected)
            elif got != expected:
                self._differs(f"{each.schema}.{each.name}", "sequence differs", expected, got)

        captured = {(each.schema, each.name) for each in self._parts.sequences}
        for shape in list_sequences(session):
            if (shape.schema, shape.name) not in captured:
                self._differs(f"{shape.schema}.{shape.name}", "sequence added")

    def _large_objects(self, session: Connection) -> None:
        objects = self._parts.large_objects
        got = iter(_read_large_objects(session))
        expected = iter(()) if objects is None else self._expected_large_objects(objects)
        ours, theirs = next(expected, None), next(got, None)
        while ours is not None or theirs is not None:
            if ours is not None and theirs is not None and ours.oid == theirs.oid:
                self.objects += 1
                if ours != theirs:
                    what = "content" if ours.blake3 != theirs.blake3 else "owner or rights"
                    self._differs(f"large object {ours.oid}", f"{what} differs")
                ours, theirs = next(expected, None), next(got, None)
            elif theirs is None or (ours is not None and ours.oid < theirs.oid):
                assert ours is not None
                self._differs(f"large object {ours.oid}", "large object missing")
                ours = next(expected, None)
            else:
                self._differs(f"large object {theirs.oid}", "large object added")
                theirs = next(got, None)

    def _expected_large_objects(self, objects: PgLargeObjects) -> Iterator[LargeObjectEntry]:
        def entries() -> Iterator[LargeObjectEntry]:
            return decode_large_objects(self._supply.read_stream(objects.entries))

        if large_objects_root(entries()) != objects.root:
            self._differs("large objects", "stored entries are not those of the manifest")
        return entries()

    def _table(self, table: PgTable, encoding: str) -> tuple[int, list[Difference]]:
        label = f"{table.database}.{table.schema}.{table.name}"
        plan = plan_copy(
            schema=table.schema,
            name=table.name,
            columns=tuple(Column(name=name, type=kind) for name, kind in table.columns),
            n_key=len(table.key),
            by_key=table.order == "key",
            encoding=encoding,
        )
        rows = 0
        with self._session() as session:
            # A table that was just loaded lies in the order of its data, so that reading it as it
            # lies gives the same bytes, and no sort is needed; only where it does not, one is.
            for command in dict.fromkeys((plan.as_stored, plan.command)):
                try:
                    tree = self._read(session, table, plan, command)
                except (KeyNotUnique, MalformedData):
                    continue  # a key twice: certainly another table than was captured, or order
                if tree.root == table.row_root and tree.rows == table.rows:
                    return tree.rows, []
                rows = tree.rows
            return rows, self._explain(session, table, plan, label)

    def _read(self, session: Connection, table: PgTable, plan: CopyPlan, command: str) -> RowTree:
        label = f"{table.database}.{table.schema}.{table.name}"
        builder = RowTreeBuilder(plan, lambda _: None)
        with closing(self._blocks(session, table, command)) as blocks:
            for block in blocks:
                self._progress(label, builder.take(block), len(block))
            return builder.finish()

    def _blocks(self, session: Connection, table: PgTable, command: str) -> Generator[bytes]:
        name = qualified(table.schema, table.name)
        return self._reader.read(session, name, command, size=table.data.length)

    def _explain(
        self, session: Connection, table: PgTable, plan: CopyPlan, label: str
    ) -> list[Difference]:
        try:
            with closing(self._blocks(session, table, plan.command)) as restored:
                found = differing_rows(
                    self._register,
                    table,
                    plan,
                    stored=map(bytes, self._supply.read_stream(table.data)),
                    restored=restored,
                    scratch=self._supply.scratch,
                    memory=self._config.sort_memory,
                )
        except (KeyNotUnique, MalformedData) as error:
            found = [Difference(register=self._register, subject=label, what=error.message[:200])]
        if plan.order == "stored" and not found:
            return []  # the very rows that were captured, which lie in another order now
        # Roots differed, so something does; rows changed back meanwhile are still a difference.
        return found or [
            Difference(
                register=self._register,
                subject=label,
                what="rows differ",
                expected=table.row_root.hex(),
            )
        ]


def _same_columns(table: PgTable, found: dict[tuple[str, str], TableShape]) -> bool:
    shape = found.get((table.schema, table.name))
    if shape is None:
        return False
    return sorted((column.name, column.type) for column in shape.columns) == sorted(table.columns)


def _sequence_state(session: Connection, sequence: PgSequence) -> str | None:
    query = f"SELECT last_value, is_called FROM {qualified(sequence.schema, sequence.name)}"  # noqa: S608
    try:
        row = session.execute(query.encode()).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.errors.InvalidSchemaName:
        return None
    return None if row is None else f"{row[0]}, is_called {row[1]}"


def _read_large_objects(session: Connection) -> Iterator[LargeObjectEntry]:
    for oid, owner, acl in list_large_objects(session):
        digest = blake3()
        size = 0
        for piece in read_pieces(session, oid):
            digest.update(piece)
            size += len(piece)
        yield LargeObjectEntry(oid=oid, size=size, blake3=digest.digest(), owner=owner, acl=acl)
