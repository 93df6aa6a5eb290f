"""What an administrator decides about a PostgreSQL register or target.

A password is never part of it: libpq reads one from `password_file` (the .pgpass format),
from a service file or from PGPASSFILE.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from exclave.errors import ConfigurationError
from exclave.values import dataclass, field

__all__ = ["PostgresConfig", "TableOrder"]


class TableOrder(enum.Enum):
    """In which order a table's rows are copied."""

    AUTOMATIC = "auto"  # as stored, but for small tables with a key
    KEY = "key"  # by key where there is one
    HEAP = "heap"  # as stored


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresConfig:
    """Connection and limits; durations in seconds, sizes in bytes."""

    databases: tuple[str, ...] = ()  # to capture; a target takes the names from the manifest
    host: str | None = None  # a host, an address or a socket folder
    port: int | None = None
    user: str | None = None
    service: str | None = None
    password_file: Path | None = None
    bin_dir: Path | None = None  # of pg_dump; searched for when absent
    connect_timeout: int = 10
    maintenance_database: str = "postgres"
    lock_timeout: float = 30.0
    attempts: int = 4  # to find a moment without concurrent changes of definitions
    max_snapshot_age: float = 6 * 3600.0
    jobs: int = 2  # parallel COPY sessions
    bytes_per_second: int | None = None  # of COPY data, all sessions together
    sort_memory: int = 64 * 1024 * 1024  # of one external sort
    key_order_limit: int = 2 * 1024 * 1024  # automatic: up to this size sorting costs nothing
    psql_from: int = 2 * 1024 * 1024  # tables of this size on are read through psql
    orders: Mapping[str, TableOrder] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        for name, value, least in (
            ("jobs", self.jobs, 1),
            ("attempts", self.attempts, 1),
            ("sort_memory", self.sort_memory, 4096),
            ("lock_timeout", self.lock_timeout, 0.001),
            ("max_snapshot_age", self.max_snapshot_age, 1),
        ):
            if value < least:
                raise ConfigurationError(f"{name}: expected at least {least}, got {value}")
        if self.bytes_per_second is not None and self.bytes_per_second < 1:
            raise ConfigurationError("bytes_per_second: expected at least 1")
        if len(set(self.databases)) != len(self.databases):
            raise ConfigurationError("databases: a name stands twice")
