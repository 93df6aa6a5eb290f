"""Sessions with pinned settings, so that every server prints the same value as the same text.

The settings are those of spec/archive.md 6, and a few that keep a long reading transaction
alive and its row order stable. Foreign errors become ours here.
"""

from __future__ import annotations

import os
from typing import Final, TypeAlias

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from exclave.source.postgresql.config import PostgresConfig
from exclave.source.postgresql.errors import ServerUnreachable, reason

__all__ = [
    "Connection",
    "connect",
    "conninfo",
    "identifier",
    "pinned_sql",
    "qualified",
    "tool_environment",
]

Connection: TypeAlias = psycopg.Connection[TupleRow]

_PINNED: Final = (
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "iso_8601"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmlbinary", "base64"),
    ("row_security", "off"),
    ("search_path", ""),
    ("client_encoding", "UTF8"),
    # Not about values: XML fragments load; identifiers print alike; scans start at the first
    # page and run in one process, so that the physical order repeats from day to day.
    ("xmloption", "content"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("synchronize_seqscans", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("default_transaction_deferrable", "off"),
    # What a database's own settings might say, and would end or refuse our work.
    ("default_transaction_read_only", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    # Of newer servers; unknown names are left out below.
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
)


def conninfo(config: PostgresConfig, database: str) -> str:
    """A libpq connection string; never holds a password."""
    return make_conninfo(
        "",
        host=config.host,
        port=config.port,
        user=config.user,
        service=config.service,
        dbname=database,
        passfile=None if config.password_file is None else str(config.password_file),
        connect_timeout=config.connect_timeout,
        application_name="exclave",
    )


def connect(config: PostgresConfig, database: str) -> Connection:
    """A new autocommit session; raises `ServerUnreachable`."""
    try:
        connection = psycopg.connect(conninfo(config, database), autocommit=True)
    except (psycopg.Error, OSError) as error:
        raise ServerUnreachable(
            f"database {database}: expected a connection, got: {reason(error)}",
            hint="host, port, user and the password file (.pgpass format, mode 0600) must fit",
        ) from None  # the chained error would print the connection string
    try:
        # Automatic preparation would plan a catalogue query once and keep the plan.
        connection.prepare_threshold = None
        # A database or role may carry a search path of its own; nothing is looked up by it.
        connection.execute(pinned_sql().encode())
    except psycopg.Error as error:
        connection.close()
        raise ServerUnreachable(
            f"database {database}: expected to pin session settings, got: {reason(error)}"
        ) from error
    return connection


def pinned_sql() -> str:
    """The statement that pins a session's settings, as many as the server knows."""
    values = ", ".join(f"('{name}', '{value}')" for name, value in _PINNED)
    return (
        "SELECT pg_catalog.set_config(s.name, v.value, false)"  # noqa: S608 (constants)
        f" FROM (VALUES {values}) AS v (name, value) JOIN pg_catalog.pg_settings AS s"
        " ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(v.name)"
    )


def identifier(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """A quoted, schema-qualified name."""
    return f"{identifier(schema)}.{identifier(name)}"


def tool_environment() -> dict[str, str]:
    """For pg_dump: what libpq reads and nothing else of ours; messages in plain English."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    kept.pop("PGPASSWORD", None)
    kept.pop("PGOPTIONS", None)
    return {
        **kept,
        "HOME": os.environ.get("HOME", "/"),
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LC_ALL": "C.UTF-8",
        "PGTZ": "UTC",
    }
