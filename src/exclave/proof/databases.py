"""Databases on the quarantine server: made for one register, dropped after it.

Rules
- A database is noted durably before it is made, and only what was noted is ever dropped.
- One that exists already is not ours, whatever is in it: the register is refused.
- Roles that a register brings stay: they belong to no database, and who made them cannot be told
  afterwards. They have no passwords.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import psycopg

from exclave.durable import replace_file
from exclave.errors import TargetError
from exclave.proof.quarantine import DATABASES
from exclave.proof.task import QuarantineServer
from exclave.source.postgresql import PostgresConfig
from exclave.source.postgresql.connect import connect, identifier
from exclave.source.postgresql.errors import reason

__all__ = ["QuarantineOccupied", "drop_databases", "note_databases", "server_config"]


class QuarantineOccupied(TargetError):
    """A quarantine server has a database of the name that a register needs."""


def note_databases(folder: Path, server: QuarantineServer, names: Sequence[str]) -> None:
    """Note durably which databases will be made.

    Raises `QuarantineOccupied` if one exists, or if two sources of a register need the same name.
    """
    with connect(server_config(server), "postgres") as session:
        rows = session.execute(b"SELECT datname FROM pg_catalog.pg_database").fetchall()
    twice = {name for name in names if names.count(name) > 1}
    existing = sorted({str(row[0]) for row in rows} & set(names) | twice)
    if existing:
        raise QuarantineOccupied(
            f"quarantine server {server.host}: expected no database {', '.join(existing)}, got one",
            hint="a quarantine server is for proofs and drills alone",
        )
    data = json.dumps(sorted(names)).encode()
    replace_file(folder / DATABASES, [data], mode=0o600)


def drop_databases(folder: Path, server: QuarantineServer) -> None:
    """Drop what was noted, and forget the note."""
    note = folder / DATABASES
    if not note.exists():
        return
    names: list[str] = json.loads(note.read_bytes())
    try:
        with connect(server_config(server), "postgres") as session:
            for name in names:
                statement = f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)"
                session.execute(statement.encode())
    except psycopg.Error as error:
        raise TargetError(
            f"quarantine server {server.host}: expected to drop databases {', '.join(names)}, "
            f"got: {reason(error)}",
            hint="drop them by hand: they hold registers in the clear",
        ) from error
    note.unlink()


def server_config(server: QuarantineServer) -> PostgresConfig:
    """As the adapters want it."""
    return PostgresConfig(
        host=server.host,
        port=server.port,
        user=server.user,
        password_file=None if server.password_file is None else Path(server.password_file),
        bin_dir=None if server.bin_dir is None else Path(server.bin_dir),
        jobs=server.jobs,
    )
