"""Servers for the adapters' tests; one source database with everything nasty in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exclave.archive.manifest import Register
from exclave.postgres_server.server import PostgresServer
from exclave.source.postgresql import PostgresConfig, PostgresSource
from tests.pgfixtures import fresh_database, pg16, pg18
from tests.support.memory_archive import MemoryArchive
from tests.support.nasty import DROP_ROLES, ROLES, SCHEMA
from tests.support.registers import register_of, silent

__all__ = ["fresh_database", "pg16", "pg18"]

ConfigFor = Callable[..., PostgresConfig]


@dataclass(frozen=True)
class Deposited:
    """A captured register and where its streams are."""

    register: Register
    archive: MemoryArchive


@pytest.fixture(scope="session")
def config_for() -> ConfigFor:
    """Factory: server, databases, changes -> configuration."""

    def make(server: PostgresServer, *databases: str, **changes: Any) -> PostgresConfig:
        settings: dict[str, Any] = {
            "databases": databases,
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password_file": server.passfile,
            "lock_timeout": 5.0,
        }
        return PostgresConfig(**{**settings, **changes})

    return make


@pytest.fixture(scope="session")
def nasty(
    pg16: PostgresServer, config_for: ConfigFor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deposited]:
    """The nasty database on PostgreSQL 16, captured once with a sorter that has to spill."""
    with pg16.connect() as connection:
        for statement in ROLES:
            connection.execute(statement.encode())
        connection.execute("CREATE DATABASE nasty")
        connection.execute("COMMENT ON DATABASE nasty IS 'it''s nasty'")
        connection.execute('ALTER DATABASE nasty SET search_path TO public, "Sch""ema"')
        connection.execute("ALTER ROLE clerk IN DATABASE nasty SET work_mem TO '9MB'")
        connection.execute("REVOKE TEMPORARY ON DATABASE nasty FROM PUBLIC")
    with pg16.connect("nasty") as connection:
        connection.execute(SCHEMA.encode())
    archive = MemoryArchive(tmp_path_factory.mktemp("scratch"))
    config = config_for(pg16, "nasty", sort_memory=50_000)
    captured = PostgresSource(config).capture(archive, silent)
    yield Deposited(register=register_of(captured, "postgresql"), archive=archive)
    with pg16.connect() as connection:
        connection.execute("DROP DATABASE nasty WITH (FORCE)")
        for statement in DROP_ROLES:
            connection.execute(statement.encode())


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir(mode=0o700)
    return folder
