"""Restores PostgreSQL databases into an empty place of a server, and goes on after interruption.

Order: roles, databases, pre-data, rows, sequences, large objects, post-data, refreshed
materialised views; rows and indexes of several tables at a time. Constraints, indexes and triggers
come after the rows (post-data), so no trigger fires and no order of tables matters. Statistics are
made while the same target compares, which leaves a core to them.

With `only`, each named table's database gets all definitions (pre-data), the rows of the named
tables, and of the post-data what belongs to these tables alone: keys, unique constraints and
indexes. Foreign keys, triggers, rules, policies, sequences and large objects are left out.

Rules
- A database that exists and holds anything is refused, unless its comment says that this same
  restore began it (`marker.py`).
- Definitions are one transaction, as are each table's COPY, each table's indexes (`indexes.py`)
  and the rest of post-data: a table is either empty or complete, and a later call loads the
  empty ones.
- Roles that exist stay as they are (`roles.py`); any other refused statement is an error.
- Sessions that fill a database do not wait for the disk at each commit: the last statement of all
  does, and whatever a crash of the server takes before it is an end of what was done, not a gap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

import psycopg

from exclave.archive.manifest import Register
from exclave.archive.objects import PgDatabase, PgGlobals, PgTable
from exclave.archive.reference import StreamRef
from exclave.errors import ExclaveError
from exclave.source.interface import ArchiveSupply, Compared, Progress
from exclave.source.postgresql.compare import compare_register
from exclave.source.postgresql.config import PostgresConfig
from exclave.source.postgresql.connect import Connection, connect, identifier, qualified
from exclave.source.postgresql.errors import (
    ServerUnreachable,
    StatementRefused,
    TargetNotEmpty,
    TargetTooOld,
    TargetUnreachable,
    reason,
)
from exclave.source.postgresql.indexes import has_index, printed_names, split_post_data
from exclave.source.postgresql.loading import load_large_objects, load_sequences, load_table
from exclave.source.postgresql.marker import Marker, Step, read_marker, token_of
from exclave.source.postgresql.parts import DatabaseParts, parts_of, refuse_unknown
from exclave.source.postgresql.roles import create_roles
from exclave.source.postgresql.script import plain_sql, statements
from exclave.source.postgresql.settings import literal
from exclave.values import replace

__all__ = ["PostgresTarget"]

_Item = TypeVar("_Item")


class PostgresTarget:
    """A server into which registers are restored; `databases` of the configuration is not used."""

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config
        self._kept_roles: set[str] = set()
        self._bare: list[str] = []  # databases that were filled and have no statistics yet

    def check_empty(self, register: Register) -> None:
        """Raise `TargetNotEmpty`, `TargetTooOld` or `TargetUnreachable`."""
        with self._maintenance() as session:
            _refuse_old(register, session)
            for parts in parts_of(register):
                self._check_database(session, register, parts, ())

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Restore all, or the named "database.schema.table"; see the module's rules."""
        refuse_unknown(register, only)
        named = tuple(only)
        wanted = [parts for parts in parts_of(register) if parts.concerned(named)]
        marker = Marker(token=token_of(register, named), step=Step.COMPLETE)
        with self._maintenance() as session:
            _refuse_old(register, session)
            finished = {
                parts.name for parts in wanted if read_marker(session, parts.name) == marker
            }
            todo = [
                parts
                for parts in wanted
                if parts.name not in finished
                # Comments come back when every database is complete, so while one still says
                # so, a filled database without marker is one that has its comment back.
                and not (finished and not self._is_open(session, parts.name, marker))
            ]
            for parts in todo:
                self._check_database(session, register, parts, named)
            self._globals(register, supply, session, bare=bool(named))
            for parts in todo:
                _DatabaseRestore(
                    config=self._config,
                    parts=parts,
                    supply=supply,
                    progress=progress,
                    only=named,
                    marker=marker,
                ).run(session)
                self._bare.append(parts.name)
            for parts in wanted:
                _execute(session, _comment(parts.database), f"database {parts.name}: comment")

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """Read the restored databases through new sessions and compare (`compare.py`).

        Statistics of what `restore` has filled are made meanwhile. After an interruption between
        the two, they are left to the server's autovacuum.
        """
        refuse_unknown(register, only)
        with ThreadPoolExecutor(1, thread_name_prefix="exclave-statistics") as beside:
            made = beside.submit(self._make_statistics)
            result = compare_register(self._config, register, supply, progress, tuple(only))
            made.result()
        kept = tuple(
            f"role {name}: it was there before and stays as it was"
            for name in sorted(self._kept_roles)
        )
        return replace(result, not_compared=(*result.not_compared, *kept))

    def _make_statistics(self) -> None:
        while self._bare:
            with _filling(self._config, self._bare.pop()) as session:
                for name in _analyzable(session):
                    _execute(session, f"ANALYZE {name}", f"{name}: statistics")

    def _maintenance(self) -> Connection:
        return _connect(self._config, self._config.maintenance_database)

    def _is_open(self, session: Connection, database: str, marker: Marker) -> bool:
        """Whether work is left on a database: it is missing, or has our marker or is empty."""
        if not _exists(session, database):
            return True
        found = read_marker(session, database)
        return (found is not None and found.token == marker.token) or self._is_empty(database)

    def _is_empty(self, database: str) -> bool:
        with _connect(self._config, database) as inside:
            return not _holds_anything(inside)

    def _check_database(
        self, session: Connection, register: Register, parts: DatabaseParts, only: tuple[str, ...]
    ) -> None:
        if not _exists(session, parts.name):
            return
        marker = read_marker(session, parts.name)
        if marker is not None and marker.token == token_of(register, only):
            return
        if not self._is_empty(parts.name):
            raise TargetNotEmpty(
                f"database {parts.name}: expected none or an empty one, got one with objects",
                hint="restore to another server, or drop or rename the database by hand",
            )

    def _globals(
        self, register: Register, supply: ArchiveSupply, session: Connection, *, bare: bool
    ) -> None:
        for item in register.objects:
            if isinstance(item, PgGlobals):
                script = statements(plain_sql(_read(supply, item.sql)))
                self._kept_roles |= set(create_roles(session, script, bare=bare))


class _DatabaseRestore:
    """One database, from where its marker says on."""

    def __init__(
        self,
        *,
        config: PostgresConfig,
        parts: DatabaseParts,
        supply: ArchiveSupply,
        progress: Progress,
        only: tuple[str, ...],
        marker: Marker,
    ) -> None:
        self._config = config
        self._parts = parts
        self._supply = supply
        self._progress = progress
        self._only = only
        self._token = marker.token

    def run(self, maintenance: Connection) -> None:
        name = self._parts.name
        if not _exists(maintenance, name):
            _execute(maintenance, _creation(self._parts.database), f"database {name}")
        marker = read_marker(maintenance, name)
        step = None if marker is None else marker.step
        if step is None:
            self._settings(maintenance)
            _execute(maintenance, self._mark(Step.CREATED), f"database {name}: comment")
        if step in (None, Step.CREATED):
            with self._session() as session:
                self._section(session, "pre-data", self._script("pre-data"), Step.DEFINED)
        self._rows()
        with self._session() as session:
            if not self._only:
                load_sequences(session, self._parts.sequences)
                load_large_objects(session, self._parts.large_objects, self._supply, self._progress)
                self._post_data(session)
                _refresh(session, name)
            else:
                self._partial_post_data(session)

    def _session(self) -> Connection:
        return _filling(self._config, self._parts.name)

    def _mark(self, step: Step) -> str:
        return Marker(token=self._token, step=step).statement(self._parts.name)

    def _settings(self, maintenance: Connection) -> None:
        sql = plain_sql(_read(self._supply, self._parts.database.settings))
        for statement in statements(sql):
            _execute(maintenance, statement, f"database {self._parts.name}: settings")

    def _script(self, section: str) -> str:
        return "\n".join(
            plain_sql(_read(self._supply, schema.sql))
            for schema in self._parts.schemas
            if schema.section == section
        )

    def _section(self, session: Connection, section: str, script: str, step: Step) -> None:
        """All statements of a section and the marker, in one transaction."""
        subject = f"database {self._parts.name}: {section}"
        # libpq runs several statements of one string as one transaction.
        _execute(session, f"{script}\n;{self._mark(step)};", subject)

    def _post_data(self, session: Connection) -> None:
        """Indexes and keys of several tables at a time; then the rest with the marker."""
        tables = sorted(self._parts.tables, key=lambda table: -table.data.length)
        names = printed_names(session, tables)
        parts = split_post_data(statements(self._script("post-data")), names)

        def build(inside: Connection, name: str) -> None:
            if not has_index(inside, name):
                subject = f"database {self._parts.name}: indexes of {name}"
                _execute(inside, ";\n".join(parts.by_table[name]), subject)

        self._each_in_parallel(list(parts.by_table), build)
        self._section(session, "post-data", ";\n".join(parts.rest), Step.COMPLETE)

    def _rows(self) -> None:
        tables = [table for table in self._parts.tables if _selected(table, self._only)]
        stopped = threading.Event()

        def load(session: Connection, table: PgTable) -> None:
            load_table(session, table, self._supply, self._progress, stopped)

        self._each_in_parallel(sorted(tables, key=lambda table: -table.data.length), load, stopped)

    def _each_in_parallel(
        self,
        items: Sequence[_Item],
        act: Callable[[Connection, _Item], None],
        stopped: threading.Event | None = None,
    ) -> None:
        """Act on each item with one of a few sessions, in order of the list as they get free."""
        waiting: SimpleQueue[_Item] = SimpleQueue()
        for item in items:
            waiting.put(item)
        ended = stopped or threading.Event()

        def work() -> None:
            try:
                with self._session() as session:
                    while not ended.is_set():
                        act(session, waiting.get_nowait())
            except Empty:
                return
            except BaseException:
                ended.set()
                raise

        _in_parallel(work, min(self._config.jobs, len(items)), ended)

    def _partial_post_data(self, session: Connection) -> None:
        tables = [table for table in self._parts.tables if _selected(table, self._only)]
        names = printed_names(session, tables)
        script = statements(self._script("post-data"))
        chosen = [each for each in script if _belongs(each, names)]
        chosen.append(self._mark(Step.COMPLETE))
        _execute(session, ";\n".join(chosen), f"database {self._parts.name}: post-data")


def _in_parallel(run: Callable[[], None], count: int, stopped: threading.Event) -> None:
    """Run in a few threads and wait for all; raises the failure that caused the others."""
    if not count:
        return
    with ThreadPoolExecutor(count, thread_name_prefix="exclave-load") as pool:
        futures = [pool.submit(run) for _ in range(count)]
        try:
            failures = [error for future in futures if (error := future.exception())]
        except BaseException:
            stopped.set()
            raise
    for error in sorted(failures, key=lambda each: "stopped, since" in str(each)):
        raise error


def _selected(table: PgTable, only: tuple[str, ...]) -> bool:
    return not only or f"{table.database}.{table.schema}.{table.name}" in only


def _connect(config: PostgresConfig, database: str) -> Connection:
    try:
        return connect(config, database)
    except ServerUnreachable as error:
        raise TargetUnreachable(error.message, hint=error.hint) from None


def _filling(config: PostgresConfig, database: str) -> Connection:
    """A session whose commits do not wait for the disk."""
    session = _connect(config, database)
    session.execute(b"SET synchronous_commit = off")
    return session


def _read(supply: ArchiveSupply, stream: StreamRef) -> bytes:
    return b"".join(supply.read_stream(stream))


def _refuse_old(register: Register, session: Connection) -> None:
    source = dict(register.facts).get("server_version_num", "0")
    major = session.info.server_version // 10000
    if source.isdigit() and int(source) // 10000 > major:
        raise TargetTooOld(
            f"target: expected PostgreSQL {int(source) // 10000} or newer, got {major}",
            hint="definitions of a newer server do not load into an older one",
        )


def _exists(session: Connection, database: str) -> bool:
    row = session.execute(
        "SELECT FROM pg_catalog.pg_database WHERE datname = %s", (database,)
    ).fetchone()
    return row is not None


def _holds_anything(session: Connection) -> bool:
    row = session.execute(
        b"SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        b" WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"
        b" OR EXISTS (SELECT FROM pg_namespace WHERE nspname !~ '^pg_'"
        b" AND nspname NOT IN ('information_schema', 'public'))"
        b" OR EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        b" WHERE n.nspname = 'public')"
        b" OR EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
        b" WHERE n.nspname = 'public')"
        b" OR EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql')"
        b" OR EXISTS (SELECT FROM pg_largeobject_metadata)"
    ).fetchone()
    assert row is not None
    return bool(row[0])


def _creation(database: PgDatabase) -> str:
    return (
        f"CREATE DATABASE {identifier(database.database)} TEMPLATE template0"
        f" ENCODING {literal(database.encoding)} LC_COLLATE {literal(database.collate)}"
        f" LC_CTYPE {literal(database.ctype)} OWNER {identifier(database.owner)}"
    )


def _comment(database: PgDatabase) -> str:
    text = "NULL" if database.comment is None else literal(database.comment)
    return f"COMMENT ON DATABASE {identifier(database.database)} IS {text}"


def _execute(session: Connection, sql: str, subject: str) -> None:
    """Run one or several statements; definitions use settings that end with their script."""
    try:
        session.execute(sql.encode())
    except psycopg.Error as error:
        raise StatementRefused(
            f"{subject}: expected the server to take it, got: {reason(error)}",
            hint="extensions, languages and collations of the source must be installed here",
        ) from error


def _refresh(session: Connection, database: str) -> None:
    """Fill materialised views that post-data left empty; several rounds, since they may nest."""
    query = (
        b"SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
        b" ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND NOT c.relispopulated ORDER BY c.oid"
    )
    while names := session.execute(query).fetchall():
        failures: list[ExclaveError] = []
        for schema, name in names:
            statement = f"REFRESH MATERIALIZED VIEW {qualified(str(schema), str(name))}"
            try:
                _execute(session, statement, f"database {database}: view {schema}.{name}")
            except StatementRefused as error:
                failures.append(error)
        if len(failures) == len(names):
            raise failures[0]


def _analyzable(session: Connection) -> list[str]:
    """Tables and views with rows, the largest first; partitions come with their parents."""
    rows = session.execute(
        b"SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_class c"
        b" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm')"
        b" AND NOT c.relispartition AND c.relpersistence <> 't'"
        b" AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        b" ORDER BY c.relpages DESC, c.oid"
    ).fetchall()
    return [str(row[0]) for row in rows]


def _belongs(statement: str, names: list[str]) -> bool:
    """Whether a post-data statement is a key, unique constraint or index of one of the tables."""
    flat = " ".join(statement.split())
    for name in names:
        if flat.startswith((f"ALTER TABLE ONLY {name} ADD CONSTRAINT", f"ALTER TABLE {name} ADD")):
            return "FOREIGN KEY" not in flat
        if flat.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")) and (
            f" ON {name} USING " in flat or f" ON ONLY {name} USING " in flat
        ):
            return True
    return False
