"""Assertions: what holds, what does not, and what hangs."""

from __future__ import annotations

import os
import select
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from exclave.certificate.results import AssertionOutcome
from exclave.postgres_server.server import PostgresServer
from exclave.reconstruct.assertions import (
    RestoredFolder,
    RestoredPlace,
    RestoredServer,
    RestoredSqlite,
    run_assertions,
)
from exclave.source.postgresql.config import PostgresConfig
from tests.pgfixtures import FreshDatabase

Expected = tuple[bool, str]


@dataclass(frozen=True, kw_only=True)
class Said:
    """An assertion of a plan."""

    name: str = "it"
    source: str | None = None
    database: str | None = None
    sql: str | None = None
    command: tuple[str, ...] | None = None
    expect: str | None = None
    timeout: int = 30


def run(assertion: Said, place: RestoredPlace, quarantine: Path) -> AssertionOutcome:
    (outcome,) = run_assertions([assertion], {"main": place}, quarantine=quarantine)
    return outcome


@pytest.fixture
def sqlite(tmp_path: Path) -> RestoredSqlite:
    file = tmp_path / "wills.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE wills (id INTEGER, text TEXT)")
        connection.execute("INSERT INTO wills VALUES (1, 'a'), (2, NULL)")
        connection.commit()
    return RestoredSqlite(file=file)


@pytest.mark.parametrize(
    ("sql", "expect", "expected"),
    [
        ("SELECT count(*) = 2 FROM wills", None, (True, "1")),
        ("SELECT count(*) FROM wills", "2", (True, "2")),
        ("SELECT count(*) FROM wills", None, (False, "2")),
        ("SELECT text FROM wills WHERE id = 2", "NULL", (True, "NULL")),
        (
            "SELECT id FROM wills",
            None,
            (False, "expected one value, got 2 rows, or several columns"),
        ),
        ("SELECT 1 WHERE 0", None, (False, "expected one value, got nothing")),
        ("SELECT 1, 1", None, (False, "expected one value, got 1 rows, or several columns")),
        ("SELECT x FROM wills", None, (False, "sqlite: no such column: x")),
        ("DELETE FROM wills", None, (False, "sqlite: attempt to write a readonly database")),
    ],
)
def test_sqlite(
    sqlite: RestoredSqlite, tmp_path: Path, sql: str, expect: str | None, expected: Expected
) -> None:
    outcome = run(Said(sql=sql, expect=expect), sqlite, tmp_path)
    assert (outcome.held, outcome.said) == expected


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


def test_a_query_that_hangs_is_ended(sqlite: RestoredSqlite, tmp_path: Path) -> None:
    outcome = run(Said(sql=ENDLESS, timeout=1), sqlite, tmp_path)
    assert not outcome.held
    assert outcome.said == "did not end within 1 s, and was ended"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_command_runs_in_the_quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_OURS", "planted")
    folder = tmp_path / "scans"
    folder.mkdir()
    code = (
        "import os; assert os.getcwd() == os.environ['EXCLAVE_QUARANTINE'];"
        "assert 'A_SECRET_OF_OURS' not in os.environ; print(os.path.basename(os.getcwd()))"
    )
    outcome = run(
        Said(command=python(code), expect="scans"), RestoredFolder(folder=folder), tmp_path
    )
    assert (outcome.held, outcome.said) == (True, "scans")


@pytest.mark.parametrize(
    ("command", "expect", "said"),
    [
        (python("print('three')"), "four", "three"),
        (python("import sys; print('torn'); sys.exit(3)"), None, "ended with 3: torn"),
        (("/no/such/program",), None, "could not run: No such file or directory"),
    ],
)
def test_a_command_that_does_not_hold(
    tmp_path: Path, command: tuple[str, ...], expect: str | None, said: str
) -> None:
    outcome = run(Said(command=command, expect=expect), RestoredFolder(folder=tmp_path), tmp_path)
    assert (outcome.held, outcome.said) == (False, said)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "open('pid', 'w').write(str(child.pid)); time.sleep(600)"
    )
    outcome = run(Said(command=python(code), timeout=2), RestoredFolder(folder=tmp_path), tmp_path)
    assert outcome.said == "did not end within 2 s, and was ended"
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_what_a_command_leaves_running_is_ended(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "open('pid', 'w').write(str(child.pid))"
    )
    outcome = run(Said(command=python(code)), RestoredFolder(folder=tmp_path), tmp_path)
    assert outcome.held
    assert is_gone(int((tmp_path / "pid").read_text()))


def is_gone(pid: int) -> bool:
    """Whether a process that was killed dies, and leaves nothing running."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        watch = select.poll()
        watch.register(descriptor, select.POLLIN)
        return bool(watch.poll(60_000))
    finally:
        os.close(descriptor)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    outcome = run(Said(sql="SELECT 1", source="other"), RestoredFolder(folder=tmp_path), tmp_path)
    assert outcome.said == "expected a source that was restored, got 'other'; restored: main"
    outcome = run(Said(sql="SELECT 1"), RestoredFolder(folder=tmp_path), tmp_path)
    assert outcome.said == "expected a database to ask, got a file tree"


def test_the_next_one_runs_all_the_same(sqlite: RestoredSqlite, tmp_path: Path) -> None:
    both = run_assertions(
        [Said(name="first", sql="SELECT nothing"), Said(name="second", sql="SELECT 1")],
        {"main": sqlite},
        quarantine=tmp_path,
    )
    assert [(item.name, item.held) for item in both] == [("first", False), ("second", True)]


@pytest.fixture
def server(pg16: PostgresServer, fresh_database: FreshDatabase) -> RestoredServer:
    name = fresh_database(pg16)
    config = PostgresConfig(
        host=pg16.host, port=pg16.port, user=pg16.user, password_file=pg16.passfile
    )
    return RestoredServer(config=config, databases={"land": name})


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("sql", "expect", "expected"),
    [
        ("SELECT 1 = 1", None, (True, "t")),
        ("SELECT count(*) FROM pg_class WHERE false", "0", (True, "0")),
        ("SELECT current_setting('search_path')", '"$user", public', (True, '"$user", public')),
        ("SELECT NULL", None, (False, "NULL")),
        ("SELECT 1 WHERE false", None, (False, "expected one value, got nothing")),
        ("SELECT pg_sleep(60)", None, (False, "did not end within 1 s, and was ended")),
        (
            "CREATE TABLE x ()",
            None,
            (False, "cannot execute CREATE TABLE in a read-only transaction"),
        ),
    ],
)
def test_postgresql(
    server: RestoredServer, tmp_path: Path, sql: str, expect: str | None, expected: Expected
) -> None:
    outcome = run(Said(sql=sql, expect=expect, timeout=1), server, tmp_path)
    held, said = expected
    assert outcome.held is held
    assert said in outcome.said


@pytest.mark.postgres
def test_a_command_finds_the_database(server: RestoredServer, tmp_path: Path) -> None:
    code = "import os; print(os.environ['PGDATABASE'], os.environ['PGHOST'], os.getcwd())"
    outcome = run(Said(command=python(code)), server, tmp_path)
    expected = f"{server.databases['land']} {server.config.host} {os.path.realpath(tmp_path)}"
    assert outcome.said == expected
    outcome = run(Said(sql="SELECT true", database="wills"), server, tmp_path)
    assert outcome.said == "expected a database that was restored, got 'wills'"
