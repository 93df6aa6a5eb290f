"""PostgreSQL registers: captured under one locked snapshot, restored, compared row by row."""

from exclave.source.postgresql.capture import PostgresSource
from exclave.source.postgresql.config import PostgresConfig, TableOrder

__all__ = ["PostgresConfig", "PostgresSource", "TableOrder"]
