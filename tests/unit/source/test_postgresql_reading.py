"""Rows through psql: the same rows, the same errors, nobody waited for, nothing left running."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from exclave.archive.objects import PgTable
from exclave.postgres_server.server import PostgresServer
from exclave.source.postgresql import PostgresSource, PostgresTarget, TableOrder, reading
from exclave.source.postgresql.connect import Connection, connect
from exclave.source.postgresql.reading import RowReader, copy_blocks, whole_lines
from tests.pgfixtures import FreshDatabase
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent
from tests.unit.source.conftest import ConfigFor, Deposited

pytestmark = pytest.mark.postgres

NUMBERS = "COPY (SELECT generate_series(1, 3000000)) TO STDOUT"
LONG = "COPY (SELECT pg_catalog.pg_sleep(60)) TO STDOUT"
TABLE = "pg_catalog.pg_class"


@pytest.fixture
def session(pg16: PostgresServer, config_for: ConfigFor) -> Iterator[Connection]:
    with connect(config_for(pg16), "postgres") as connection:
        yield connection


@pytest.fixture
def reader(pg16: PostgresServer, config_for: ConfigFor) -> RowReader:
    config = config_for(pg16, psql_from=0)
    return RowReader(config, "postgres", psql=pg16.bin_dir / "psql")


def others(session: Connection) -> int:
    """How many sessions of ours the server still has besides this one."""
    row = session.execute(
        "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE application_name = 'exclave'"
        " AND pid <> pg_catalog.pg_backend_pid() AND query LIKE '%COPY (%'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_same_capture(
    pg16: PostgresServer, nasty: Deposited, config_for: ConfigFor, scratch: Path
) -> None:
    archive = MemoryArchive(scratch)
    config = config_for(pg16, "nasty", psql_from=0)
    again = register_of(PostgresSource(config).capture(archive, silent), "postgresql")
    for one, two in zip(again.objects, nasty.register.objects, strict=True):
        if isinstance(one, PgTable) and isinstance(two, PgTable):
            assert (one.rows, one.row_root, one.order) == (two.rows, two.row_root, two.order)
            assert archive.bytes_of(one.data) == nasty.archive.bytes_of(two.data)


def test_the_same_bytes(session: Connection, reader: RowReader) -> None:
    numbers = NUMBERS.replace("3000000", "200000")
    blocks = list(reader.read(session, TABLE, numbers, size=1))
    assert len(blocks) > 3
    assert all(block.endswith(b"\n") for block in blocks)
    assert b"".join(blocks) == b"".join(copy_blocks(session, numbers))


def test_a_loaded_table_lies_in_the_order_of_its_data(
    pg16: PostgresServer,
    pg18: PostgresServer,
    fresh_database: FreshDatabase,
    config_for: ConfigFor,
    scratch: Path,
) -> None:
    """Long rows leave gaps that later, short ones would fit into; the comparison needs no sort."""
    name = fresh_database(pg16)
    with pg16.connect(name) as owner:
        owner.execute(
            "CREATE TABLE one (id text PRIMARY KEY, filling text STORAGE PLAIN);"
            "INSERT INTO one SELECT md5(g::text), repeat('x', 1 + g * 7919 % 5000)"
            " FROM generate_series(1, 3000) g"
        )
    archive = MemoryArchive(scratch)
    captured = PostgresSource(config_for(pg16, name)).capture(archive, silent)
    PostgresTarget(config_for(pg18)).restore(register_of(captured, "postgresql"), archive, silent)
    [table] = [item for item in captured.objects if isinstance(item, PgTable)]
    with connect(config_for(pg18), name) as session:
        lying = b"".join(copy_blocks(session, "COPY public.one TO STDOUT"))
    with pg18.connect() as session:
        session.execute(f"DROP DATABASE {name}".encode())
    assert lying == archive.bytes_of(table.data)


def test_a_table_is_read_by_its_key_where_it_is_small_or_listed(
    pg16: PostgresServer, fresh_database: FreshDatabase, config_for: ConfigFor, scratch: Path
) -> None:
    name = fresh_database(pg16)
    with pg16.connect(name) as owner:
        owner.execute("CREATE TABLE drawn (id uuid PRIMARY KEY, n int)")
        owner.execute(
            "INSERT INTO drawn SELECT md5(g::text)::uuid, g FROM generate_series(1, 500) g"
        )
        owner.execute("CREATE TABLE counted (id int PRIMARY KEY, n int)")
        owner.execute("INSERT INTO counted SELECT g, g FROM generate_series(1, 500) g")

    def orders(limit: int, listed: Mapping[str, TableOrder]) -> dict[str, str]:
        config = config_for(pg16, name, key_order_limit=limit, orders=listed)
        source = PostgresSource(config)
        objects = source.capture(MemoryArchive(scratch), silent).objects
        return {item.name: item.order for item in objects if isinstance(item, PgTable)}

    stored = {"counted": "stored", "drawn": "stored"}
    assert orders(0, {}) == stored
    assert orders(10_000_000, {}) == {"counted": "key", "drawn": "key"}
    assert orders(10_000_000, {"public.counted": TableOrder.HEAP}) == {**stored, "drawn": "key"}
    assert orders(0, {"public.drawn": TableOrder.KEY}) == {**stored, "drawn": "key"}


def test_who_waits_for_a_table_is_not_waited_for(
    pg16: PostgresServer, fresh_database: FreshDatabase, config_for: ConfigFor, scratch: Path
) -> None:
    """psql would wait behind the change, the change for our session, and that for psql."""
    name = fresh_database(pg16)
    with pg16.connect(name) as owner:
        owner.execute("CREATE TABLE one AS SELECT 1 AS id")
    changed = threading.Thread(target=change_table, args=(pg16, name))

    def watch(step: str) -> None:
        if step.startswith("copying"):
            changed.start()
            wait_for_a_waiter(pg16, name)

    config = config_for(pg16, name, psql_from=0)
    captured = PostgresSource(config, watch=watch).capture(MemoryArchive(scratch), silent)
    changed.join()
    assert captured.rows == 1


def change_table(server: PostgresServer, database: str) -> None:
    with server.connect(database) as other:
        other.execute("ALTER TABLE one ADD more int")


def wait_for_a_waiter(server: PostgresServer, database: str) -> None:
    with server.connect(database) as other:
        while not other.execute("SELECT FROM pg_catalog.pg_locks WHERE NOT granted").fetchall():
            pass


def test_a_statement_that_takes_too_long(session: Connection, reader: RowReader) -> None:
    settings = "SET LOCAL statement_timeout = 100"
    with pytest.raises(psycopg.errors.QueryCanceled, match="due to statement timeout"):
        list(reader.read(session, TABLE, LONG, size=1, settings=settings))


def test_a_refused_statement(session: Connection, reader: RowReader) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero, match=r"^division by zero$"):
        list(reader.read(session, TABLE, "COPY (SELECT 1 / (i - 9) FROM generate_series(1, 9) i)"
                                         " TO STDOUT", size=1))  # fmt: skip


def test_cancelled_by_another_thread(session: Connection, reader: RowReader) -> None:
    reading = reader.read(session, TABLE, LONG, size=1)
    timer = threading.Timer(0.5, reader.cancel)
    timer.start()
    with pytest.raises(psycopg.Error):
        list(reading)
    timer.join()
    with pytest.raises(psycopg.Error):
        list(reader.read(session, TABLE, LONG, size=1))
    assert others(session) == 0


def test_a_server_that_ends_the_session(session: Connection, reader: RowReader) -> None:
    with closing(reader.read(session, TABLE, NUMBERS, size=1)) as blocks:
        next(blocks)
        session.execute(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
            " WHERE query LIKE '%COPY (%' AND pid <> pg_catalog.pg_backend_pid()"
        )
        with pytest.raises(psycopg.Error):
            list(blocks)


def test_who_stops_reading_leaves_nothing_running(session: Connection, reader: RowReader) -> None:
    with closing(reader.read(session, TABLE, NUMBERS, size=1)) as blocks:
        next(blocks)
    while others(session):  # the server needs a moment to see that its client is gone
        pass
    assert not reader._running


def stand_in(folder: Path, text: str) -> Path:
    program = folder / "psql"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: stand_in(folder, "echo 'psql: error: no way' >&2; exit 2"),
        lambda folder: folder / "none",
        lambda folder: None,
    ],
    ids=["no connection", "no program", "none found"],
)
def test_without_psql_the_session_reads(
    pg16: PostgresServer,
    session: Connection,
    config_for: ConfigFor,
    tmp_path: Path,
    make: Callable[[Path], Path | None],
) -> None:
    reader = RowReader(config_for(pg16, psql_from=0), "postgres", psql=make(tmp_path))
    assert list(reader.read(session, TABLE, "COPY (SELECT 1) TO STDOUT", size=1)) == [b"1\n"]


def test_without_stdbuf_psql_reads_all_the_same(
    session: Connection, reader: RowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "COPY (SELECT generate_series(1, 200000)) TO STDOUT"
    usual = b"".join(reader.read(session, TABLE, command, size=1))
    monkeypatch.setattr(reading, "_in_blocks", tuple)
    assert b"".join(reader.read(session, TABLE, command, size=1)) == usual
    assert usual.count(b"\n") == 200_000


def test_rows_that_break_off_are_never_the_whole_table(
    pg16: PostgresServer, session: Connection, config_for: ConfigFor, tmp_path: Path
) -> None:
    for status in (1, 2, 3):
        program = stand_in(tmp_path, f"echo 1; echo broken >&2; exit {status}")
        reader = RowReader(config_for(pg16, psql_from=0), "postgres", psql=program)
        with pytest.raises(psycopg.OperationalError, match="broken"):
            list(reader.read(session, TABLE, "COPY (SELECT 1) TO STDOUT", size=1))


def test_no_password_and_no_statement_in_the_arguments(
    session: Connection, reader: RowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = subprocess.Popen

    def spy(arguments: list[str], **others: object) -> subprocess.Popen[bytes]:
        seen.extend(arguments)
        return real(arguments, **others)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(subprocess, "Popen", spy)
    list(reader.read(session, TABLE, "COPY (SELECT 1) TO STDOUT", size=1))
    assert seen
    assert not any("password=" in word or "COPY" in word for word in seen)


def test_blocks_end_with_lines() -> None:
    pieces = [b"a\nb", b"c", b"", b"d\ne\n", b"f\n", b"g"]
    assert list(whole_lines(pieces)) == [b"a\n", b"bcd\ne\n", b"f\n", b"g"]
    assert list(whole_lines([])) == []
