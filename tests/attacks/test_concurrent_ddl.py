"""Attack: definitions change while a PostgreSQL database is captured.

The attacker's powers: any statement on the captured database, at any moment: TRUNCATE, ALTER TABLE
that rewrites, DROP with CREATE, renames, in one transaction over several tables. TRUNCATE and
rewrites are not MVCC-safe, so a capture that takes its snapshot before its locks reads empty
tables, and hashes and stores them without complaint.

He has won when a capture returns anything but one state that existed before or after his
transaction. An error is not a victory.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from exclave.archive.objects import PgTable
from exclave.errors import SourceError
from exclave.postgres_server.server import PostgresServer
from exclave.source.interface import Captured
from exclave.source.postgresql import PostgresConfig, PostgresSource
from exclave.source.postgresql.errors import DefinitionsChanging, LockNotGranted
from tests.pgfixtures import FreshDatabase, fresh_database, pg16
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import silent

__all__ = ["fresh_database", "pg16"]

pytestmark = pytest.mark.postgres

ROWS = 300
SET_UP = """
CREATE TABLE public.one (id int PRIMARY KEY, gen int, gone text);
CREATE TABLE public.two (id int, gen int);
INSERT INTO public.one SELECT g, 0, 'x' FROM generate_series(1, 300) g;
INSERT INTO public.two SELECT g, 0 FROM generate_series(1, 300) g;
"""
ATTACKS = {
    "truncate and fill": (
        "BEGIN; TRUNCATE public.one, public.two;"
        " INSERT INTO public.one SELECT g, 1, 'x' FROM generate_series(1, 300) g;"
        " INSERT INTO public.two SELECT g, 1 FROM generate_series(1, 300) g; COMMIT"
    ),
    "rewrite": (
        "BEGIN; ALTER TABLE public.one ALTER gen TYPE bigint USING gen + 1;"
        " ALTER TABLE public.two ALTER gen TYPE bigint USING gen + 1; COMMIT"
    ),
    "drop a column": (
        "BEGIN; ALTER TABLE public.one DROP gone; UPDATE public.one SET gen = 1;"
        " UPDATE public.two SET gen = 1; COMMIT"
    ),
    "drop and make again": (
        "BEGIN; DROP TABLE public.one; CREATE TABLE public.one (id int PRIMARY KEY, gen int);"
        " INSERT INTO public.one SELECT g, 1 FROM generate_series(1, 300) g;"
        " UPDATE public.two SET gen = 1; COMMIT"
    ),
    "change places": (
        "BEGIN; ALTER TABLE public.one RENAME TO old; CREATE TABLE public.one (id int, gen int);"
        " INSERT INTO public.one SELECT g, 1 FROM generate_series(1, 300) g; DROP TABLE public.old;"
        " UPDATE public.two SET gen = 1; COMMIT"
    ),
}
POINTS = ("listed", "locked", "snapshot", "schema", "copying")


def config_of(server: PostgresServer, database: str, **changes: float) -> PostgresConfig:
    return PostgresConfig(
        databases=(database,),
        host=server.host,
        port=server.port,
        user=server.user,
        password_file=server.passfile,
        lock_timeout=changes.get("lock_timeout", 1.0),
        attempts=int(changes.get("attempts", 4)),
    )


def generations(archive: MemoryArchive, captured: Captured) -> set[tuple[str, int, int]]:
    """Per table and generation, the number of rows that say so."""
    found: dict[tuple[str, int], int] = {}
    for table in captured.objects:
        if not isinstance(table, PgTable):
            continue
        place = [name for name, _ in table.columns].index("gen")
        lines = archive.bytes_of(table.data).splitlines()
        assert len(lines) == table.rows
        for line in lines:
            key = (table.name, int(line.split(b"\t")[place]))
            found[key] = found.get(key, 0) + 1
    return {(*key, count) for key, count in found.items()}


def one_state(generation: int) -> set[tuple[str, int, int]]:
    return {("one", generation, ROWS), ("two", generation, ROWS)}


class Attacker:
    """Runs one script in a session and thread of its own, and knows whether it waits for a lock."""

    def __init__(self, server: PostgresServer, database: str, script: str) -> None:
        self._session = server.connect(database)
        self._observer = server.connect(database)
        self._script = script
        self._thread = threading.Thread(target=self._run)
        self.failed: psycopg.Error | None = None

    def _run(self) -> None:
        try:
            self._session.execute(self._script.encode())
        except psycopg.Error as error:
            self.failed = error

    def strike(self) -> None:
        """Start, and return when the script has ended or waits for a lock."""
        self._thread.start()
        query = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s AND NOT granted)"
        while self._thread.is_alive():
            row = self._observer.execute(query, (self._session.info.backend_pid,)).fetchone()
            if row is not None and row[0]:
                return
            self._thread.join(0.01)

    def end(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(60)
        assert not self._thread.is_alive()
        self._session.close()
        self._observer.close()


@pytest.fixture
def database(pg16: PostgresServer, fresh_database: FreshDatabase) -> Iterator[str]:
    """A database with two tables whose rows all have generation 0."""
    name = fresh_database(pg16)
    with pg16.connect(name) as connection:
        connection.execute(SET_UP.encode())
    yield name
    assert not [each for each in threading.enumerate() if each.name.startswith("exclave-")]


def striking(point: str, attacker: Attacker) -> Callable[[str], None]:
    """A watch that strikes once, when the capture is at the point."""
    lock = threading.Lock()
    struck: list[str] = []

    def watch(step: str) -> None:
        with lock:
            if step.partition(" ")[0] == point and not struck:
                struck.append(step)
                attacker.strike()

    return watch


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_capture_is_one_state(
    attack: str, point: str, pg16: PostgresServer, database: str, tmp_path: Path
) -> None:
    attacker = Attacker(pg16, database, ATTACKS[attack])
    archive = MemoryArchive(tmp_path)
    source = PostgresSource(config_of(pg16, database), watch=striking(point, attacker))
    try:
        captured = source.capture(archive, silent)
    finally:
        attacker.end()
    assert attacker.failed is None
    # Here it must even succeed: struck before the locks it is the new state, struck after them
    # the old one, unless pg_dump met the waiting attacker and everything was begun anew.
    expected = {
        "listed": (one_state(1),),
        "locked": (one_state(0), one_state(1)),
        "snapshot": (one_state(0), one_state(1)),
        "schema": (one_state(0),),
        "copying": (one_state(0),),
    }[point]
    assert generations(archive, captured) in expected


def test_the_attack_is_real(pg16: PostgresServer, database: str) -> None:
    """Control: a snapshot taken before the locks reads empty tables."""
    with pg16.connect(database) as naive:
        naive.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        naive.execute("SELECT 1")
        with pg16.connect(database) as attacker:
            attacker.execute(ATTACKS["truncate and fill"].encode())
        row = naive.execute("SELECT count(*) FROM public.one").fetchone()
    assert row == (0,)


def test_without_a_quiet_moment_there_is_an_error(
    pg16: PostgresServer, database: str, tmp_path: Path
) -> None:
    made: list[int] = []

    def watch(step: str) -> None:
        if step == "listed":
            made.append(1)
            with pg16.connect(database) as attacker:
                attacker.execute(f"CREATE TABLE public.new_{len(made)} (gen int)".encode())

    archive = MemoryArchive(tmp_path)
    with pytest.raises(DefinitionsChanging, match=r"in 3 attempts; last: table public\.new_3"):
        PostgresSource(config_of(pg16, database, attempts=3), watch=watch).capture(archive, silent)
    assert len(made) == 3


def test_a_table_that_stays_locked_is_named(
    pg16: PostgresServer, database: str, tmp_path: Path
) -> None:
    with pg16.connect(database) as holder:
        holder.execute("BEGIN; LOCK TABLE public.two IN ACCESS EXCLUSIVE MODE")
        config = config_of(pg16, database, lock_timeout=0.05, attempts=2)
        with pytest.raises(LockNotGranted, match=rf"table {database}\.public\.two: expected"):
            PostgresSource(config).capture(MemoryArchive(tmp_path), silent)


def test_a_renamed_schema_is_noticed(pg16: PostgresServer, database: str, tmp_path: Path) -> None:
    """ALTER SCHEMA takes no lock on tables: another table may come to bear a captured name."""

    def watch(step: str) -> None:
        if step.startswith("copying") and step.endswith(".one"):
            with pg16.connect(database) as attacker:
                attacker.execute(
                    b"ALTER SCHEMA public RENAME TO old; CREATE SCHEMA public;"
                    b"CREATE TABLE public.one (id int PRIMARY KEY, gen int, gone text)"
                )

    with pytest.raises(SourceError):
        PostgresSource(config_of(pg16, database), watch=watch).capture(
            MemoryArchive(tmp_path), silent
        )


def test_a_storm_of_changes(pg16: PostgresServer, database: str, tmp_path: Path) -> None:
    """Random order, fixed seed: every capture that returns is of one generation."""
    stop = threading.Event()
    chance = random.Random(7)

    def rage() -> None:
        generation = 0
        with pg16.connect(database) as session:
            session.execute("SET lock_timeout = '200ms'")
            while not stop.is_set():
                generation += 1
                kind = chance.choice(("int", "bigint"))
                fill = f"SELECT g, {generation}::{kind} FROM generate_series(1, {ROWS}) g"
                script = chance.choice(
                    (
                        (
                            "TRUNCATE public.one, public.two;"
                            f"INSERT INTO public.one {fill}; INSERT INTO public.two {fill};"
                        ),
                        (
                            "DROP TABLE public.one, public.two;"
                            f"CREATE TABLE public.one (id int, gen {kind});"
                            f"CREATE TABLE public.two (id int PRIMARY KEY, gen {kind});"
                            f"INSERT INTO public.one {fill}; INSERT INTO public.two {fill};"
                        ),
                        (
                            f"ALTER TABLE public.one ALTER gen TYPE {kind} USING {generation};"
                            f"ALTER TABLE public.two ALTER gen TYPE {kind} USING {generation};"
                        ),
                    )
                )
                try:
                    session.execute(f"BEGIN; {script} COMMIT".encode())
                except psycopg.Error:
                    session.execute("ROLLBACK")

    def capture() -> None:
        archive = MemoryArchive(tmp_path)
        captured = PostgresSource(config_of(pg16, database)).capture(archive, silent)
        found = generations(archive, captured)
        [generation] = {each for _, each, _ in found}
        assert found == one_state(generation)

    raging = threading.Thread(target=rage)
    raging.start()
    try:
        for _ in range(12):
            # How many get through depends on the machine's load; a refusal is an answer too.
            with contextlib.suppress(SourceError):
                capture()
    finally:
        stop.set()
        raging.join(60)
    assert not raging.is_alive()
    capture()  # the storm over, nothing may refuse any more
