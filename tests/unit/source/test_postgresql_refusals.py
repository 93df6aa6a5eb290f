"""Every way in which a PostgreSQL capture must fail: named, without secrets, with nothing left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exclave.errors import ConfigurationError
from exclave.postgres_server.server import PostgresServer, write_passfile
from exclave.source.interface import Source, StreamPurpose, StreamSink
from exclave.source.postgresql import PostgresConfig, PostgresSource, capture
from exclave.source.postgresql.errors import (
    CopyFailed,
    KeyNotUnique,
    MissingPrivilege,
    ServerUnreachable,
    ServerUnsupported,
    SnapshotTooOld,
    ToolMissing,
)
from exclave.source.postgresql.rowtree import CopyPlan, RowTreeBuilder
from tests.pgfixtures import FreshDatabase
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import silent
from tests.unit.source.conftest import ConfigFor

pytestmark = pytest.mark.postgres

PASSWORD = "very-secret-password-7731"


@pytest.fixture
def database(pg18: PostgresServer, fresh_database: FreshDatabase) -> Iterator[str]:
    """A database with three tables; afterwards no session of ours may be left in it."""
    name = fresh_database(pg18)
    with pg18.connect(name) as connection:
        for table in ("a", "b", "c"):
            connection.execute(
                f"CREATE TABLE public.{table} (id int PRIMARY KEY, v text);"
                f"INSERT INTO public.{table} SELECT g, md5(g::text)"
                " FROM generate_series(1, 20000) g".encode()
            )
    yield name
    assert not [each for each in threading.enumerate() if each.name.startswith("exclave-")]
    with pg18.connect() as connection:
        left = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE datname = %s"
            " AND application_name = 'exclave' AND state <> 'idle'",
            (name,),
        ).fetchall()
    assert left == []


@pytest.fixture
def weak(pg18: PostgresServer, database: str, tmp_path: Path) -> Iterator[Path]:
    """The password file of a role without any privileges."""
    with pg18.connect(database) as connection:
        connection.execute(f"CREATE ROLE weak LOGIN PASSWORD '{PASSWORD}'".encode())
    yield write_passfile(tmp_path / "pgpass", pg18.port, "weak", PASSWORD)
    with pg18.connect(database) as connection:
        connection.execute("DROP OWNED BY weak; DROP ROLE weak")


def test_unreachable_and_wrong_password(
    pg18: PostgresServer, config_for: ConfigFor, tmp_path: Path, database: str
) -> None:
    wrong = write_passfile(tmp_path / "wrong", pg18.port, pg18.user, PASSWORD)
    for changes in (
        {"password_file": wrong},
        {"host": str(tmp_path)},
        {"password_file": tmp_path / "none"},
    ):
        source = PostgresSource(config_for(pg18, database, **changes))
        assert isinstance(source, Source)
        with pytest.raises(ServerUnreachable, match=f"database {database}: expected") as caught:
            source.check()
        assert PASSWORD not in caught.value.message
        assert caught.value.__cause__ is None
    with pytest.raises(ServerUnreachable, match=r"database none: .*does not exist"):
        PostgresSource(config_for(pg18, "none")).check()


def test_missing_privileges_are_named_at_once(
    pg18: PostgresServer, config_for: ConfigFor, weak: Path, database: str, tmp_path: Path
) -> None:
    source = PostgresSource(config_for(pg18, database, user="weak", password_file=weak))
    with pytest.raises(MissingPrivilege, match=r"public\.a, public\.b, public\.c"):
        source.capture(MemoryArchive(tmp_path), silent)
    with pg18.connect(database) as connection:
        connection.execute(
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO weak;"
            "ALTER TABLE public.b ENABLE ROW LEVEL SECURITY; CREATE SEQUENCE public.q"
        )
        with pytest.raises(MissingPrivilege, match=r"hide rows of public\.b"):
            source.check()
        connection.execute("ALTER ROLE weak BYPASSRLS")
        with pytest.raises(MissingPrivilege, match=r"every sequence, missing for public\.q"):
            source.check()
        connection.execute("GRANT SELECT ON SEQUENCE public.q TO weak")
        assert source.check() == ()
        connection.execute("SELECT lo_from_bytea(4711, 'x')")
        with pytest.raises(MissingPrivilege, match="SELECT on large object 4711"):
            source.capture(MemoryArchive(tmp_path), silent)
        connection.execute("SELECT lo_unlink(4711)")
    assert source.capture(MemoryArchive(tmp_path), silent).rows == 60_000


def test_versions_are_refused(
    pg18: PostgresServer,
    config_for: ConfigFor,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.2'\n")
    old.chmod(0o755)
    with pytest.raises(ToolMissing, match=r"expected version 18 or newer, got 15\.2"):
        PostgresSource(config_for(pg18, database, bin_dir=tmp_path)).check()
    monkeypatch.setattr(capture, "OLDEST_SERVER", 19)
    with pytest.raises(ServerUnsupported, match="expected PostgreSQL 19 or newer, got 18"):
        PostgresSource(config_for(pg18, database)).check()


def test_a_program_that_is_missing_beside_pg_dump(
    pg18: PostgresServer, config_for: ConfigFor, database: str, tmp_path: Path
) -> None:
    for name in ("pg_dump", "pg_dumpall"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nexec {pg18.bin_dir / name} "$@"\n')
        program.chmod(0o755)
    source = PostgresSource(config_for(pg18, database, bin_dir=tmp_path))
    with pytest.raises(ToolMissing, match=r"pg_restore: expected beside pg_dump 18\..*, got: No "):
        source.capture(MemoryArchive(tmp_path), silent)


class FailingSink(MemoryArchive):
    """The deposit fails while the first large table streams."""

    def open_stream(
        self, purpose: StreamPurpose, *, expected_size: int | None = None
    ) -> StreamSink:
        stream = super().open_stream(purpose, expected_size=expected_size)
        if purpose is StreamPurpose.TABLE_ORDERED:
            raise KeyError("the deposit failed")
        return stream


def test_a_failing_sink_ends_everything(
    pg18: PostgresServer, config_for: ConfigFor, database: str, tmp_path: Path
) -> None:
    with pytest.raises(KeyError, match="the deposit failed"):
        PostgresSource(config_for(pg18, database)).capture(FailingSink(tmp_path), silent)


def test_a_killed_session_ends_everything(
    pg18: PostgresServer, config_for: ConfigFor, database: str, tmp_path: Path
) -> None:
    def watch(step: str) -> None:
        if step.endswith(".public.c"):
            with pg18.connect() as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'exclave' AND datname = %s",
                    (database,),
                )

    with pytest.raises(CopyFailed):
        PostgresSource(config_for(pg18, database), watch=watch).capture(
            MemoryArchive(tmp_path), silent
        )


def test_an_old_snapshot_is_given_up(
    pg18: PostgresServer,
    config_for: ConfigFor,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter([0.0, *[1e9] * 1000])
    monkeypatch.setattr("exclave.source.postgresql.snapshot.time.monotonic", lambda: next(moments))
    with pytest.raises(SnapshotTooOld, match="within max_snapshot_age"):
        PostgresSource(config_for(pg18, database)).capture(MemoryArchive(tmp_path), silent)


def test_configurations_that_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match="jobs: expected at least 1, got 0"):
        PostgresConfig(databases=("a",), jobs=0)
    with pytest.raises(ConfigurationError, match="a name stands twice"):
        PostgresConfig(databases=("a", "a"))
    with pytest.raises(ConfigurationError, match="at least one database"):
        PostgresSource(PostgresConfig())


def test_two_rows_with_one_key_are_never_taken(tmp_path: Path) -> None:
    plan = CopyPlan(label="public.t", command="", as_stored="", order="key", n_key=2)
    for blocks in (
        [b"a\t1\tx\na\t2\tx\na\t2\ty\n"],
        [b"a\t1\tx\n", b"a\t1\ty\n"],
        [b"a\t1\n", b"", b"a\t1\n"],
    ):
        builder = RowTreeBuilder(plan, lambda _: None)
        with pytest.raises(KeyNotUnique, match=r"table public\.t: expected distinct primary keys"):
            list(map(builder.take, blocks))
    builder = RowTreeBuilder(plan, lambda _: None)
    assert [builder.take(b"a\t1\tx\n"), builder.take(b"a\t12\tx\na\t13\tx\n")] == [1, 2]


def test_psycopg_is_the_binary_one() -> None:
    assert psycopg.pq.__impl__ in ("binary", "c")
