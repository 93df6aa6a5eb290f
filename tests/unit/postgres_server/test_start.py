"""Servers start, are ours alone, and end; passwords stay out of argument lists."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest

from exclave.postgres_server.server import (
    PostgresServer,
    PostgresStartFailed,
    PostgresUnavailable,
    available_majors,
    pg_tool,
    start_server,
    write_passfile,
)
from tests.pgfixtures import FreshDatabase

pytestmark = pytest.mark.postgres


def test_the_wheel_brings_two_majors() -> None:
    assert {16, 18} <= set(available_majors())


def test_missing_major_names_what_is_there() -> None:
    with pytest.raises(PostgresUnavailable, match=r"expected major 7, found .*16"):
        pg_tool(7, "pg_dump")


def test_both_majors_answer(pg16: PostgresServer, pg18: PostgresServer) -> None:
    for server, major in ((pg16, 16), (pg18, 18)):
        with server.connect() as connection:
            row = connection.execute(
                "SELECT current_setting('server_version_num')::int / 10000,"
                " current_setting('server_encoding'), datcollate, current_setting('TimeZone')"
                " FROM pg_database WHERE datname = 'postgres'"
            ).fetchone()
        assert row == (major, "UTF8", "C.UTF-8", "UTC")
        assert server.version.startswith(f"{major}.")


def test_tool_of_the_same_version_dumps(
    pg18: PostgresServer, fresh_database: FreshDatabase
) -> None:
    name = fresh_database(pg18)
    done = subprocess.run(
        [pg_tool(18, "pg_dump"), "--schema-only", name],
        env=pg18.environment(),
        capture_output=True,
        check=True,
    )
    assert f"by pg_dump version {pg18.version}".encode() in done.stdout


def test_wrong_password_is_refused(pg16: PostgresServer, tmp_path: Path) -> None:
    wrong = write_passfile(tmp_path / "pgpass", pg16.port, pg16.user, "not:it\\")
    assert stat.S_IMODE(wrong.stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pg16.conninfo(passfile=wrong))


def test_no_tcp_unless_asked(pg16: PostgresServer) -> None:
    with pg16.connect() as connection:
        row = connection.execute("SHOW listen_addresses").fetchone()
    assert row == ("",)
    assert not pg16.loopback


def test_data_survives_a_kill_and_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    secret = "pass:word\\ with 'odd' signs"
    with start_server(16, folder, password=secret, port=0) as server:
        arguments = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        assert b"odd" not in arguments
        with server.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        server.kill()
        assert not server.running
    with start_server(16, folder, password=secret) as again:
        with again.connect() as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
        again.remove()
    assert not folder.exists()
    assert not again.socket_dir.exists()


def test_cluster_of_another_major_is_refused(tmp_path: Path) -> None:
    server = start_server(16, tmp_path / "data")
    server.stop()
    try:
        with pytest.raises(PostgresStartFailed, match="expected a cluster of 18, got 16"):
            start_server(18, tmp_path / "data")
    finally:
        server.remove()


def test_bad_setting_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PostgresStartFailed, match="shared_buffers"):
        start_server(16, tmp_path / "data", settings={"shared_buffers": "much"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")
def test_root_serves_from_closed_folders(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = start_server(16, closed / "data")
    try:
        assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0
        assert (closed / "data").is_symlink()
    finally:
        server.remove()
    assert list(closed.iterdir()) == []
    assert not server.data_dir.parent.exists()
