"""Real PostgreSQL servers for tests of every part; `tests/conftest.py` loads it as a plugin.

`pg16` and `pg18` start once a session, on a Unix socket only. `fresh_database` makes an empty
database on a server and drops it after the test. Durability is off here: a test's cluster never
has to survive anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from psycopg import sql

from exclave.postgres_server.server import PostgresServer, available_majors, start_server

FreshDatabase: TypeAlias = Callable[[PostgresServer], str]

_TEST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_numbers = itertools.count(1)


def _server(major: int, factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    if major not in available_majors():
        pytest.skip(f"postgresql {major} is not installed")
    folder = factory.mktemp(f"pg{major}") / "data"
    server = start_server(major, folder, settings=_TEST_SETTINGS)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def pg16(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A running PostgreSQL 16."""
    yield from _server(16, tmp_path_factory)


@pytest.fixture(scope="session")
def pg18(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A running PostgreSQL 18."""
    yield from _server(18, tmp_path_factory)


@pytest.fixture
def fresh_database() -> Iterator[FreshDatabase]:
    """Factory: server -> name of a new empty database, dropped after the test."""
    made: list[tuple[PostgresServer, str]] = []

    def make(server: PostgresServer) -> str:
        name = f"fresh_{next(_numbers)}"
        with server.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append((server, name))
        return name

    yield make
    for server, name in made:
        if not server.running:
            continue
        with server.connect() as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))
