"""Runs the assertions of a plan on registers that were restored into quarantine.

An assertion is SQL, of which one value comes back, or a command. Rules
- Whatever goes wrong is an outcome that did not hold, never an error; the next one runs as well.
- Nothing is changed: SQL runs in a read-only transaction, SQLite files are opened as immutable.
- What hangs is ended after its time: the server ends a statement, SQLite's interpreter its own, and
  a command's whole process group is killed, also what it left running behind it.
- A command gets its arguments as they are, no shell, no input, and of the environment only what is
  named here: nothing of ours leaks into a program of the plan.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, TypeAlias

from exclave.archive.objects import PgDatabase, SqliteDatabase
from exclave.certificate.results import AssertionOutcome, one_line
from exclave.errors import ExclaveError
from exclave.quarantine.processes import VARIABLE
from exclave.values import dataclass

if TYPE_CHECKING:
    from exclave.archive.register import RegisterSource
    from exclave.source.postgresql.config import PostgresConfig

__all__ = [
    "Asserted",
    "RestoredFolder",
    "RestoredPlace",
    "RestoredServer",
    "RestoredSqlite",
    "databases_of",
    "restored_in",
    "restored_on",
    "run_assertions",
]

_STEPS: Final = 1000
"""SQLite instructions between two looks at the clock."""
_READ: Final = 65_536
_POSTGRESQL_TRUE: Final = "t"
_SQLITE_TRUE: Final = "1"


class Asserted(Protocol):
    """An assertion as a plan states it: exactly one of `sql` and `command`."""

    @property
    def name(self) -> str:
        """A slug."""

    @property
    def source(self) -> str | None:
        """Which source of the register; the first when None."""

    @property
    def database(self) -> str | None:
        """Which database of it; the first when None."""

    @property
    def sql(self) -> str | None:
        """A query that gives one value."""

    @property
    def command(self) -> tuple[str, ...] | None:
        """Program and arguments."""

    @property
    def expect(self) -> str | None:
        """The value, or what the command prints."""

    @property
    def timeout(self) -> int:
        """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredServer:
    """Databases on a server; `databases` as they are called there, by their names in the plan."""

    config: PostgresConfig
    databases: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredSqlite:
    """A database file."""

    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredFolder:
    """A file tree, or what a command wrote."""

    folder: Path


RestoredPlace: TypeAlias = RestoredServer | RestoredSqlite | RestoredFolder


def restored_in(folder: Path, source: RegisterSource) -> RestoredPlace:
    """Where a source of any kind but `postgresql` is, after it was restored into a folder."""
    for item in source.objects:
        if isinstance(item, SqliteDatabase):
            return RestoredSqlite(file=folder / item.file)
    return RestoredFolder(folder=folder)


def restored_on(config: PostgresConfig, source: RegisterSource) -> RestoredServer:
    """Where a `postgresql` source is, restored under the names of its databases."""
    return RestoredServer(config=config, databases={name: name for name in databases_of(source)})


def databases_of(source: RegisterSource) -> list[str]:
    """Names of the databases of a source."""
    return [item.database for item in source.objects if isinstance(item, PgDatabase)]


class _Unheld(Exception):
    """Why an assertion did not hold."""


def run_assertions(
    assertions: Iterable[Asserted], places: Mapping[str, RestoredPlace], *, quarantine: Path
) -> tuple[AssertionOutcome, ...]:
    """Run them in order; `places` are the register's sources by name, the first one first.

    `quarantine` is a folder in which commands of a server's register run.
    """
    return tuple(_run(assertion, places, quarantine) for assertion in assertions)


def _run(
    assertion: Asserted, places: Mapping[str, RestoredPlace], quarantine: Path
) -> AssertionOutcome:
    begun = time.monotonic()
    try:
        held, said = _outcome(assertion, _place(assertion, places), quarantine)
    except _Unheld as why:
        held, said = False, str(why)
    except ExclaveError as error:
        held, said = False, error.message
    except OSError as error:
        held, said = False, f"could not run: {error.strerror or error}"
    seconds = time.monotonic() - begun
    return AssertionOutcome(
        name=assertion.name, held=held, said=one_line(said), seconds=round(seconds, 3)
    )


def _place(assertion: Asserted, places: Mapping[str, RestoredPlace]) -> RestoredPlace:
    name = next(iter(places), None) if assertion.source is None else assertion.source
    if name is None or name not in places:
        known = ", ".join(places) or "none"
        raise _Unheld(f"expected a source that was restored, got {name!r}; restored: {known}")
    return places[name]


def _outcome(assertion: Asserted, place: RestoredPlace, quarantine: Path) -> tuple[bool, str]:
    if assertion.command is not None:
        said = _command(assertion.command, assertion, place, quarantine)
        return assertion.expect is None or said == assertion.expect.strip(), said
    assert assertion.sql is not None  # a plan has one of the two
    if isinstance(place, RestoredServer):
        said = _query(assertion.sql, assertion, place)
        return said == (assertion.expect or _POSTGRESQL_TRUE), said
    if isinstance(place, RestoredSqlite):
        said = _query_sqlite(assertion.sql, assertion.timeout, place.file)
        return said == (assertion.expect or _SQLITE_TRUE), said
    raise _Unheld("expected a database to ask, got a file tree")


def _query(sql: str, assertion: Asserted, place: RestoredServer) -> str:
    import psycopg

    from exclave.source.postgresql.connect import connect
    from exclave.source.postgresql.errors import reason

    with connect(place.config, _database(assertion, place)) as session:
        try:
            # The search path that applications have: the session's is empty otherwise.
            session.execute("RESET search_path")
            session.execute(f"SET statement_timeout = {assertion.timeout * 1000}".encode())
            session.execute("SET default_transaction_read_only = on")
            with session.cursor() as cursor:
                cursor.execute(sql.encode())
                result = cursor.pgresult
                if result is None or (result.ntuples, result.nfields) != (1, 1):
                    raise _Unheld(f"expected one value, got {_shape(cursor.rowcount)}")
                value = result.get_value(0, 0)
        except psycopg.errors.QueryCanceled:
            raise _too_long(assertion.timeout) from None
        except psycopg.Error as error:
            raise _Unheld(reason(error)) from error
    return "NULL" if value is None else bytes(value).decode("utf-8", "replace")


def _shape(rows: int) -> str:
    return "nothing" if rows < 1 else f"{rows} rows, or several columns"


def _database(assertion: Asserted, place: RestoredServer) -> str:
    name = next(iter(place.databases), None) if assertion.database is None else assertion.database
    if name is None or name not in place.databases:
        raise _Unheld(f"expected a database that was restored, got {name!r}")
    return place.databases[name]


def _query_sqlite(sql: str, timeout: int, file: Path) -> str:
    import apsw

    ends = time.monotonic() + timeout
    uri = f"{file.absolute().as_uri()}?immutable=1"
    try:
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
            rows = list(zip(range(2), connection.execute(sql), strict=False))
        finally:
            connection.close()
    except apsw.InterruptError:
        raise _too_long(timeout) from None
    except apsw.Error as error:
        raise _Unheld(f"sqlite: {error}") from error
    if len(rows) != 1 or len(rows[0][1]) != 1:
        raise _Unheld(f"expected one value, got {_shape(len(rows))}")
    value = rows[0][1][0]
    if isinstance(value, bytes):
        return value.hex()
    return "NULL" if value is None else str(value)


def _command(
    command: tuple[str, ...], assertion: Asserted, place: RestoredPlace, quarantine: Path
) -> str:
    folder = _folder(place, quarantine)
    with tempfile.TemporaryFile(dir=quarantine) as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(assertion, place, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ended = _wait(process.pid, assertion.timeout)
        finally:
            _end_group(process)
        said, code = _printed(output), process.returncode
    if not ended:
        raise _too_long(assertion.timeout)
    if code != 0:
        raise _Unheld(f"ended with {code}: {said}" if said else f"ended with {code}")
    return said


def _wait(pid: int, seconds: int) -> bool:
    """Whether a process ended in time; it is not reaped, so that its number is still its own."""
    descriptor = os.pidfd_open(pid)
    try:
        watch = select.poll()
        watch.register(descriptor, select.POLLIN)
        return bool(watch.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of a command, then reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _printed(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read(_READ).decode("utf-8", "replace").strip()


def _folder(place: RestoredPlace, quarantine: Path) -> Path:
    match place:
        case RestoredFolder():
            return place.folder
        case RestoredSqlite():
            return place.file.parent
        case RestoredServer():
            return quarantine


def _environment(assertion: Asserted, place: RestoredPlace, folder: Path) -> dict[str, str]:
    found = {
        VARIABLE: str(folder),
        "HOME": str(folder),
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LC_ALL": "C.UTF-8",
    }
    if isinstance(place, RestoredServer):
        config = place.config
        for name, value in (
            ("PGHOST", config.host),
            ("PGPORT", config.port),
            ("PGUSER", config.user),
            ("PGDATABASE", _database(assertion, place)),
            ("PGPASSFILE", config.password_file),
        ):
            if value is not None:
                found[name] = str(value)
    return found


def _too_long(seconds: int) -> _Unheld:
    return _Unheld(f"did not end within {seconds} s, and was ended")
