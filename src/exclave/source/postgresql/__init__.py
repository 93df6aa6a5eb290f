"""PostgreSQL registers: captured under one locked snapshot, restored, compared row by row."""

from exclave.source.postgresql.capture import PostgresSource
from exclave.source.postgresql.config import PostgresConfig, TableOrder
from exclave.source.postgresql.restore import PostgresTarget

__all__ = ["PostgresConfig", "PostgresSource", "PostgresTarget", "TableOrder"]
