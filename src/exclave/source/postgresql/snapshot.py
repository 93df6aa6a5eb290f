"""One locked, shared snapshot of a database: the ground of a consistent capture.

TRUNCATE and rewriting ALTER TABLE are not MVCC-safe: a transaction whose snapshot is older
finds the table empty or partly empty. So every captured table, and every partitioned parent,
is locked ACCESS SHARE in every session *before* the snapshot is taken:

1. list the tables (autocommit);
2. in each session BEGIN REPEATABLE READ and LOCK them all; LOCK takes no snapshot;
3. the first session takes and exports the snapshot, the others import it;
4. list again, now inside the snapshot: unless the list is the same, by object id and by every
   column, something changed between 1 and 2: let go of everything and begin anew.

Whoever changed a table committed either before our lock was granted, then the snapshot sees
the whole change; or waits for us. A lock that is not granted at once in a further session means
that somebody waits behind the first one: we let go and begin anew, which lets him through,
instead of waiting for each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from exclave.errors import SourceError
from exclave.source.postgresql.catalog import ListedTable, list_tables
from exclave.source.postgresql.config import PostgresConfig
from exclave.source.postgresql.connect import Connection, connect, qualified
from exclave.source.postgresql.errors import (
    CopyFailed,
    DefinitionsChanging,
    LockNotGranted,
    SnapshotTooOld,
    reason,
)
from exclave.source.postgresql.privileges import refuse_unreadable
from exclave.values import dataclass

__all__ = ["Snapshot", "Watch", "locked_snapshot"]

Watch = Callable[[str], None]
"""Told of each step ("listed", "locked", "snapshot", ...); tests act there."""


class _MovedMeanwhile(SourceError):
    """A table's definition changed between listing and locking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Open sessions that all see one state."""

    database: str
    name: str  # for pg_dump --snapshot
    sessions: tuple[Connection, ...]
    tables: tuple[ListedTable, ...]
    deadline: float  # monotonic

    @property
    def coordinator(self) -> Connection:
        """The session that exported the snapshot."""
        return self.sessions[0]

    def remaining(self) -> float:
        """Seconds left; raises `SnapshotTooOld` when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise SnapshotTooOld(
                f"database {self.database}: expected the capture to end within max_snapshot_age",
                hint="an old snapshot keeps dead rows; raise the limit or the number of jobs",
            )
        return left


@contextmanager
def locked_snapshot(
    config: PostgresConfig, database: str, watch: Watch, examine: Callable[[Snapshot], None]
) -> Iterator[Snapshot]:
    """Open, lock and check, as often as allowed; everything is closed when the block ends.

    `examine` runs inside each attempt, while it may still be repeated; pg_dump takes locks of
    its own there. Raises `LockNotGranted`, `DefinitionsChanging` or what `examine` raises.
    """
    with ExitStack() as kept:
        yield _settle(config, database, watch, examine, kept)


def _settle(
    config: PostgresConfig,
    database: str,
    watch: Watch,
    examine: Callable[[Snapshot], None],
    kept: ExitStack,
) -> Snapshot:
    failure: SourceError | None = None
    for _ in range(config.attempts):
        with ExitStack() as trial:
            try:
                snapshot = _attempt(config, database, watch, trial)
                examine(snapshot)
            except (_MovedMeanwhile, LockNotGranted) as error:
                failure = error
                continue
            kept.enter_context(trial.pop_all())
            return snapshot
    assert failure is not None
    if isinstance(failure, LockNotGranted):
        raise failure
    raise DefinitionsChanging(
        f"database {database}: expected a moment without changes of definitions, "
        f"got none in {config.attempts} attempts; last: {failure.message}",
        hint="capture when no migration runs",
    ) from failure


def _attempt(config: PostgresConfig, database: str, watch: Watch, trial: ExitStack) -> Snapshot:
    """Steps 1 to 4 of the module's docstring, once; sessions are closed by `trial`."""
    first = _open(config, database, trial)
    before = list_tables(first)  # 1
    refuse_unreadable(database, before)
    watch("listed")
    wanted = [table for table in before if table.shape.locked]
    captured = sum(table.shape.captured for table in before)
    others = max(0, min(config.jobs, captured) - 1)
    sessions = [first, *(_open(config, database, trial) for _ in range(others))]
    for index, session in enumerate(sessions):  # 2
        _begin(session, database)
        timeout = round(config.lock_timeout * 1000)
        session.execute(f"SET LOCAL lock_timeout = {timeout}".encode())
        for table in wanted:
            _lock(session, database, table, wait=index == 0)
    watch("locked")
    name = _export(first, database)  # 3
    deadline = time.monotonic() + config.max_snapshot_age
    for session in sessions[1:]:
        session.execute(f"SET TRANSACTION SNAPSHOT '{name}'".encode())
        session.execute("SELECT 1")  # takes it now
    watch("snapshot")
    after = list_tables(first, sized=True)  # 4
    if [table.shape for table in after] != [table.shape for table in before]:
        raise _MovedMeanwhile(_first_change(before, after))
    return Snapshot(
        database=database,
        name=name,
        sessions=tuple(sessions),
        tables=after,
        deadline=deadline,
    )


def _open(config: PostgresConfig, database: str, trial: ExitStack) -> Connection:
    connection = connect(config, database)
    trial.callback(connection.close)  # a transaction that is open ends with its session
    return connection


def _begin(session: Connection, database: str) -> None:
    try:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    except psycopg.Error as error:
        raise CopyFailed(
            f"database {database}: expected a transaction, got: {reason(error)}"
        ) from error


def _lock(session: Connection, database: str, table: ListedTable, *, wait: bool) -> None:
    shape = table.shape
    nowait = "" if wait else " NOWAIT"
    statement = f"LOCK TABLE ONLY {qualified(shape.schema, shape.name)} IN ACCESS SHARE MODE"
    label = f"{database}.{shape.label}"
    try:
        session.execute((statement + nowait).encode())
    except psycopg.errors.LockNotAvailable as error:
        raise LockNotGranted(
            f"table {label}: expected a shared lock within lock_timeout, somebody else holds it",
            hint="a migration or maintenance command runs on it; capture later",
        ) from error
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.WrongObjectType,
    ) as error:
        raise _MovedMeanwhile(f"table {label} is gone") from error
    except psycopg.Error as error:
        raise CopyFailed(f"table {label}: expected a lock, got: {reason(error)}") from error


def _export(session: Connection, database: str) -> str:
    try:
        row = session.execute("SELECT pg_export_snapshot()").fetchone()
    except psycopg.Error as error:
        raise CopyFailed(
            f"database {database}: expected to export a snapshot, got: {reason(error)}"
        ) from error
    assert row is not None
    return str(row[0])


def _first_change(before: tuple[ListedTable, ...], after: tuple[ListedTable, ...]) -> str:
    changed = {table.shape for table in before} ^ {table.shape for table in after}
    return f"table {min(shape.label for shape in changed)} changed"
