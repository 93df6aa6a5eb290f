"""What a capture would meet: sizes asked of each source, and locks that it would wait for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exclave.postgres_server.server import PostgresServer
from exclave.source.command import CommandConfig, CommandSource
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.interface import SourceSize
from exclave.source.postgresql import PostgresSource
from exclave.source.sqlite import SqliteConfig, SqliteSource
from tests.pgfixtures import FreshDatabase
from tests.unit.source.conftest import ConfigFor


def test_a_tree_without_its_holes_and_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a").write_bytes(b"x" * 5000)
    os.link(tmp_path / "below" / "a", tmp_path / "again")
    (tmp_path / "link").symlink_to("below/a")
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2**30)
    source = FilesSource(FilesConfig(folder=tmp_path))
    assert source.size() == SourceSize(bytes=5000, files=2)
    assert source.obstacles() == ()


def test_a_database_file(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(bytes(4096))
    source = SqliteSource(SqliteConfig(file=tmp_path / "db"))
    assert (source.size(), source.obstacles()) == (SourceSize(bytes=4096), ())


def test_a_program_tells_nothing_before_it_runs(tmp_path: Path) -> None:
    source = CommandSource(CommandConfig(command=("false",), folder=tmp_path))
    source.size()
    assert source.obstacles() == ()


@pytest.mark.postgres
def test_tables_with_what_is_stored_beside_them_and_without_indexes(
    pg18: PostgresServer, config_for: ConfigFor, fresh_database: FreshDatabase
) -> None:
    name = fresh_database(pg18)
    with pg18.connect(name) as connection:
        connection.execute("CREATE TABLE public.a (id int PRIMARY KEY, v text)")
        connection.execute(
            "INSERT INTO public.a SELECT g, repeat(md5(g::text), 10)"
            " FROM generate_series(1, 3000) g"
        )
        connection.execute("VACUUM ANALYZE public.a")
        connection.execute("CREATE TABLE public.lying (v text)")
        row = connection.execute("SELECT pg_table_size('public.a')").fetchone()
    assert row is not None
    found = PostgresSource(config_for(pg18, name)).size()
    assert row[0] <= found.bytes <= row[0] + 100_000
    assert found.rows == 3000


@pytest.mark.postgres
def test_a_lock_that_a_capture_would_wait_for_is_named(
    pg18: PostgresServer, config_for: ConfigFor, fresh_database: FreshDatabase
) -> None:
    name = fresh_database(pg18)
    source = PostgresSource(config_for(pg18, name))
    with pg18.connect(name) as connection:
        connection.execute("CREATE TABLE public.a (id int)")
        assert source.obstacles() == []
        with connection.transaction():
            connection.execute("LOCK TABLE public.a IN ACCESS EXCLUSIVE MODE")
            (said,) = source.obstacles()
            assert "holds an ACCESS EXCLUSIVE lock on public.a" in said
            # What cannot be measured now is taken from the catalogue instead of waited for.
            assert source.size().rows == 0
        with connection.transaction():
            connection.execute("LOCK TABLE public.a IN SHARE MODE")
            assert source.obstacles() == []
