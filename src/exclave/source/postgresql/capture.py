"""Captures PostgreSQL databases: definitions by pg_dump, rows by parallel COPY, one snapshot.

What it does not capture, and says in the notes: temporary tables, rows of foreign tables and
materialised views (refreshed when restored), tables that belong to extensions, tablespaces,
passwords of roles. Sequences are not versioned by PostgreSQL: their state is read after the
snapshot was taken, so it is never behind the rows, and may be ahead.

Several databases of one register are captured one after the other, each under a snapshot of
its own: PostgreSQL has none across databases.

Rules
- The order of locks and snapshot is `snapshot.py`'s; it decides whether a capture is true.
- One failure ends all: sessions are closed, threads have ended, nothing is returned.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue
from typing import Final

import psycopg

from exclave.archive.objects import (
    ManifestObject,
    PgDatabase,
    PgGlobals,
    PgSchema,
    PgSequence,
    PgTable,
    SchemaSection,
)
from exclave.archive.reference import StreamRef
from exclave.errors import ConfigurationError
from exclave.source.interface import ArchiveSink, Captured, Progress, SourceSize, StreamPurpose
from exclave.source.postgresql.catalog import (
    DatabaseFacts,
    ListedTable,
    list_sequences,
    list_tables,
    read_facts,
)
from exclave.source.postgresql.config import PostgresConfig
from exclave.source.postgresql.connect import Connection, connect, qualified
from exclave.source.postgresql.copying import TableCopier
from exclave.source.postgresql.errors import CopyFailed, ServerUnsupported, reason
from exclave.source.postgresql.health import warnings_of
from exclave.source.postgresql.largeobjects import capture_large_objects
from exclave.source.postgresql.outlook import database_size, holders
from exclave.source.postgresql.privileges import refuse_unreadable, refuse_unreadable_sequences
from exclave.source.postgresql.reading import RowReader
from exclave.source.postgresql.settings import database_settings
from exclave.source.postgresql.snapshot import Snapshot, Watch, locked_snapshot
from exclave.source.postgresql.tools import SECTIONS, DumpTools, find_tools

__all__ = ["OLDEST_SERVER", "PostgresSource"]

OLDEST_SERVER: Final = 13


def _unwatched(step: str) -> None:
    del step


class PostgresSource:
    """One register: one or more databases of a server."""

    def __init__(self, config: PostgresConfig, *, watch: Watch = _unwatched) -> None:
        if not config.databases:
            raise ConfigurationError("postgresql: expected at least one database, got none")
        self._config = config
        self._watch = watch

    def check(self) -> Sequence[str]:
        """Try connection, version, tools and privileges of every database; returns warnings."""
        found: list[str] = []
        for database in self._config.databases:
            with connect(self._config, database) as session:
                try:
                    found += self._check(session, database)
                except psycopg.Error as error:
                    raise CopyFailed(
                        f"database {database}: expected an answer, got: {reason(error)}"
                    ) from error
        return tuple(dict.fromkeys(found))

    def _check(self, session: Connection, database: str) -> list[str]:
        find_tools(self._config, _major(session, database))
        refuse_unreadable(database, list_tables(session))
        refuse_unreadable_sequences(database, list_sequences(session))
        return list(warnings_of(session, database))

    def obstacles(self) -> Sequence[str]:
        """Locks of others that a capture would wait for."""
        return [
            said for database, session in self._sessions() for said in holders(session, database)
        ]

    def size(self) -> SourceSize:
        """What the databases' tables take."""
        return sum(
            (database_size(session) for _, session in self._sessions()), start=SourceSize(bytes=0)
        )

    def _sessions(self) -> Iterator[tuple[str, Connection]]:
        """One database after the other."""
        for database in self._config.databases:
            with connect(self._config, database) as session:
                try:
                    yield database, session
                except psycopg.Error as error:
                    raise CopyFailed(
                        f"database {database}: expected an answer, got: {reason(error)}"
                    ) from error

    def capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        """Capture every database; see the module's rules."""
        try:
            return self._capture(sink, progress)
        except psycopg.Error as error:
            raise CopyFailed(f"postgresql: expected an answer, got: {reason(error)}") from error

    def _capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        objects: list[ManifestObject] = []
        notes: list[str] = []
        first = self._config.databases[0]
        with connect(self._config, first) as session:
            tools = find_tools(self._config, _major(session, first))
            facts = _server_facts(session, tools)
        # Roles belong to no snapshot: they are read beside the rows.
        with ThreadPoolExecutor(1, thread_name_prefix="exclave-roles") as beside:
            roles = beside.submit(tools.dump_globals, self._config, first)
            for database in self._config.databases:
                objects += self._database(database, tools, sink, progress, notes)
            objects.insert(0, PgGlobals(sql=_store(sink, roles.result())))
        if len(self._config.databases) > 1:
            notes.append("each database was captured under a snapshot of its own, in turn")
        tables = [each for each in objects if isinstance(each, PgTable)]
        return Captured(
            objects=tuple(objects),
            facts=facts,
            notes=tuple(notes),
            rows=sum(table.rows for table in tables),
            files=0,
            bytes_read=sum(table.data.length for table in tables),
        )

    def _database(
        self,
        database: str,
        tools: DumpTools,
        sink: ArchiveSink,
        progress: Progress,
        notes: list[str],
    ) -> Iterator[ManifestObject]:
        schemas: dict[SchemaSection, bytes] = {}  # of the attempt that counts

        def dump(snapshot: Snapshot) -> None:
            schemas.update(tools.dump_sections(self._config, database, snapshot.name))

        with locked_snapshot(self._config, database, self._watch, dump) as snapshot:
            self._watch("schema")
            facts = read_facts(snapshot.coordinator)
            notes += _notes(database, facts, snapshot.tables)
            settings = _store(sink, database_settings(snapshot.coordinator, database))
            # Sequences before rows: they may run ahead of the rows, and least so right now.
            sequences = _sequences(snapshot)
            reader = RowReader(self._config, database, psql=tools.psql, snapshot=snapshot.name)
            tables = self._tables(snapshot, reader, sink, progress, facts.encoding)
            large = capture_large_objects(snapshot, sink, progress)
        yield _database_object(database, facts, settings)
        for section in SECTIONS:
            yield PgSchema(database=database, section=section, sql=_store(sink, schemas[section]))
        yield from tables
        yield from sequences
        if large is not None:
            yield large

    def _tables(
        self,
        snapshot: Snapshot,
        reader: RowReader,
        sink: ArchiveSink,
        progress: Progress,
        encoding: str,
    ) -> list[PgTable]:
        """Copy all tables with all sessions, the largest first; in order of their names."""
        wanted = [table for table in snapshot.tables if table.shape.captured]
        waiting: SimpleQueue[ListedTable] = SimpleQueue()
        for table in sorted(wanted, key=lambda table: -table.size):
            waiting.put(table)
        stopped = threading.Event()
        copier = TableCopier(
            self._config,
            snapshot,
            sink,
            progress,
            reader=reader,
            encoding=encoding,
            watch=self._watch,
            stopped=stopped,
        )
        copied = _run_workers(snapshot.sessions, copier, waiting, stopped)
        return sorted(copied, key=lambda table: (table.schema.encode(), table.name.encode()))


def _run_workers(
    sessions: Sequence[Connection],
    copier: TableCopier,
    waiting: SimpleQueue[ListedTable],
    stopped: threading.Event,
) -> list[PgTable]:
    with ThreadPoolExecutor(len(sessions), thread_name_prefix="exclave-copy") as pool:
        futures = [pool.submit(_work, session, copier, waiting, stopped) for session in sessions]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # Also when this thread is interrupted: a worker may sit in a long statement.
            _stop(futures, sessions, copier, stopped)
    failures = [error for future in futures if (error := future.exception()) is not None]
    if failures:
        raise _cause(failures)
    return [table for future in futures for table in future.result()]


def _work(
    session: Connection,
    copier: TableCopier,
    waiting: SimpleQueue[ListedTable],
    stopped: threading.Event,
) -> list[PgTable]:
    done: list[PgTable] = []
    try:
        while not stopped.is_set():
            try:
                table = waiting.get_nowait()
            except Empty:
                return done
            done.append(copier.copy(session, table))
    except BaseException:
        stopped.set()
        raise
    return done


def _stop(
    futures: Sequence[Future[list[PgTable]]],
    sessions: Sequence[Connection],
    copier: TableCopier,
    stopped: threading.Event,
) -> None:
    if all(future.done() and future.exception() is None for future in futures):
        return
    stopped.set()
    copier.cancel()
    for future, session in zip(futures, sessions, strict=True):
        if not future.done():
            try:
                session.cancel_safe(timeout=5)
            except psycopg.Error:
                continue  # the session is gone, and with it the statement


def _cause(failures: list[BaseException]) -> BaseException:
    """The first failure that is not a consequence of another."""
    for error in failures:
        if not (isinstance(error, CopyFailed) and "stopped, since" in error.message):
            return error
    return failures[0]


def _major(session: Connection, database: str) -> int:
    major = session.info.server_version // 10000
    if major < OLDEST_SERVER:
        raise ServerUnsupported(
            f"database {database}: expected PostgreSQL {OLDEST_SERVER} or newer, got {major}"
        )
    return major


def _server_facts(session: Connection, tools: DumpTools) -> tuple[tuple[str, str], ...]:
    return (
        ("pg_dump", tools.version),
        ("server", f"PostgreSQL {session.info.parameter_status('server_version')}"),
        ("server_version_num", str(session.info.server_version)),
    )


def _store(sink: ArchiveSink, data: bytes) -> StreamRef:
    stream = sink.open_stream(StreamPurpose.MANIFEST, expected_size=len(data))
    if data:
        stream.write(data)
    return stream.finish()


def _database_object(database: str, facts: DatabaseFacts, settings: StreamRef) -> PgDatabase:
    return PgDatabase(
        database=database,
        encoding=facts.encoding,
        collate=facts.collate,
        ctype=facts.ctype,
        owner=facts.owner,
        comment=facts.comment,
        settings=settings,
        extensions=facts.extensions,
    )


def _sequences(snapshot: Snapshot) -> list[PgSequence]:
    listed = list_sequences(snapshot.coordinator)
    refuse_unreadable_sequences(snapshot.database, listed)
    found: list[PgSequence] = []
    for each in listed:
        label = f"{snapshot.database}.{each.schema}.{each.name}"
        query = f"SELECT last_value, is_called FROM {qualified(each.schema, each.name)}"  # noqa: S608
        try:
            row = snapshot.coordinator.execute(query.encode()).fetchone()
        except psycopg.Error as error:
            raise CopyFailed(
                f"sequence {label}: expected its state, got: {reason(error)}"
            ) from error
        if row is None:
            raise CopyFailed(f"sequence {label}: expected one row, got none")
        found.append(
            PgSequence(
                database=snapshot.database,
                schema=each.schema,
                name=each.name,
                last_value=str(row[0]),
                is_called=bool(row[1]),
            )
        )
    return found


def _notes(database: str, facts: DatabaseFacts, tables: Sequence[ListedTable]) -> Iterator[str]:
    what = {
        "f": "foreign table, its rows are not captured",
        "m": "materialised view, refreshed when restored",
    }
    for table in tables:
        shape = table.shape
        label = f"{database}.{shape.label}"
        if shape.of_extension:
            yield f"{label}: belongs to an extension, its rows are not captured"
        elif shape.kind in what:
            yield f"{label}: {what[shape.kind]}"
        elif shape.persistence == "u":
            yield f"{label}: unlogged, captured nevertheless"
    if facts.tablespaces:
        yield f"{database}: tablespaces are not kept, everything returns to the default one"
    if facts.provider != "c":
        yield f"{database}: its collation is not of libc, it returns with {facts.collate}"
