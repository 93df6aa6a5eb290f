"""Databases on a server that was given: made for a quarantine, dropped with it.

Rules
- A database is noted durably before it is made, and only what was noted is ever dropped.
- One that exists already is not ours, whatever is in it: the register is refused.
- Of roles, those go that were noted as made by a restore. Others that a register brings stay: they
  belong to no database, and who made them cannot be told afterwards. They have no passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import psycopg

from exclave.errors import ExclaveError, TargetError
from exclave.quarantine.folder import QuarantineLeft
from exclave.quarantine.note import QuarantineServer, keep_note, read_note
from exclave.source.postgresql import PostgresConfig
from exclave.source.postgresql.connect import Connection, connect, identifier
from exclave.source.postgresql.errors import reason
from exclave.values import replace

__all__ = [
    "QuarantineOccupied",
    "claim_databases",
    "databases_on",
    "drop_databases",
    "note_roles",
    "open_session",
    "roles_on",
    "server_config",
]


class QuarantineOccupied(TargetError):
    """A quarantine server has a database of the name that a register needs."""


def claim_databases(folder: Path, server: QuarantineServer, names: Sequence[str]) -> None:
    """Note durably which databases will be made.

    Raises `QuarantineOccupied` if one exists that is not of this quarantine, or if one is named
    twice: two sources of a register need it.
    """
    note = read_note(folder)
    with open_session(server) as session:
        there = databases_on(session) - set(note.databases)
    twice = {name for name in names if names.count(name) > 1}
    existing = sorted(there & set(names) | twice)
    if existing:
        raise QuarantineOccupied(
            f"quarantine server {server.host}: expected no database {', '.join(existing)}, got one",
            hint="a quarantine server is for proofs and drills alone",
        )
    claimed = tuple(dict.fromkeys([*note.databases, *names]))
    keep_note(folder, replace(note, server=server, databases=claimed))


def note_roles(folder: Path, names: Iterable[str]) -> None:
    """Note roles that a restore made on the server of which databases were claimed."""
    note = read_note(folder)
    keep_note(folder, replace(note, roles=tuple(dict.fromkeys([*note.roles, *names]))))


def drop_databases(folder: Path) -> None:
    """Drop what was noted, databases and roles, and forget it; raises `QuarantineLeft`."""
    note = read_note(folder)
    if note.server is None:
        return
    try:
        with open_session(note.server) as session:
            for name in note.databases:
                session.execute(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)".encode())
            for name in note.roles:
                session.execute(f"DROP ROLE IF EXISTS {identifier(name)}".encode())
    except (ExclaveError, psycopg.Error) as error:
        said = error.message if isinstance(error, ExclaveError) else reason(error)
        raise QuarantineLeft(
            f"quarantine server {note.server.host}: expected to drop {', '.join(note.databases)}, "
            f"got: {said}",
            hint="they hold registers in the clear; the next run in the same place tries again",
        ) from error
    keep_note(folder, replace(note, server=None, databases=(), roles=()))


def databases_on(session: Connection) -> set[str]:
    """All databases of a server."""
    return _names(session.execute(b"SELECT datname FROM pg_catalog.pg_database").fetchall())


def roles_on(session: Connection) -> set[str]:
    """All roles of a server."""
    return _names(session.execute(b"SELECT rolname FROM pg_catalog.pg_roles").fetchall())


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


def open_session(server: QuarantineServer) -> Connection:
    """A session on a server, in no database of a register; raises `ServerUnreachable`."""
    config = server_config(server)
    return connect(config, config.maintenance_database)


def _names(rows: Iterable[Sequence[object]]) -> set[str]:
    return {str(row[0]) for row in rows}
