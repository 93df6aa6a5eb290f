"""Servers and one small estate for the tests of the demo's data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exclave.demo.estate import Estate, build_estate
from exclave.postgres_server.server import PostgresServer, start_server


@pytest.fixture(scope="session")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The estate at a fiftieth of its size, on a server of its own: roles belong to a cluster."""
    folder = tmp_path_factory.mktemp("home land")
    server: PostgresServer = start_server(16, folder / "pg", settings={"fsync": "off"})
    try:
        yield build_estate(server, folder / "homeland", size=0.02, seed=3)
    finally:
        server.remove()
