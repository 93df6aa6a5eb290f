"""Brings roles back beside those that a server has already, which stay as they are.

A target may be shared: there a role of the same name is somebody else's. It keeps its attributes,
settings and memberships, and gets no member. All roles come in one transaction, so that after an
interruption a role that exists is either foreign or complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import psycopg
from psycopg.pq import TransactionStatus

from exclave.source.postgresql.connect import Connection
from exclave.source.postgresql.errors import StatementRefused, reason

__all__ = ["create_roles"]

_NAME = r'("(?:[^"]|"")+"|[^\s,;"]+)'
_OF_ROLES = (
    re.compile(rf"(?:CREATE|ALTER|COMMENT\s+ON)\s+ROLE\s+{_NAME}"),
    re.compile(rf"GRANT\s+{_NAME}\s+TO\s+{_NAME}"),
    re.compile(rf"GRANT\s.*\sTO\s+{_NAME}", re.DOTALL),
)
_OUTSIDE = ("CREATE TABLESPACE", "ALTER TABLESPACE")  # refused within a transaction


def create_roles(session: Connection, script: Iterable[str], *, bare: bool) -> tuple[str, ...]:
    """Run the statements of a globals script; returns the roles that stayed as they were.

    With `bare`, roles that are missing are made without attributes or memberships: what owns a
    table must exist, no more. Raises `StatementRefused`, and then no role was made.
    """
    rows = session.execute(b"SELECT rolname FROM pg_catalog.pg_roles").fetchall()
    existing = {str(row[0]) for row in rows}
    kept: set[str] = set()
    refused: list[str] = []
    listed = list(script)
    for statement in listed:
        if statement.startswith(_OUTSIDE) and not bare:
            refused += _try(session, statement)
    with session.transaction() as everything:
        for statement in listed:
            if statement.startswith(_OUTSIDE) or (bare and not statement.startswith("CREATE ROLE")):
                continue
            foreign = {name for name in _concerned(statement) if name in existing}
            if foreign:
                kept |= foreign
                continue
            refused += _try_within(session, statement)
        if refused:
            raise psycopg.Rollback(everything)
    if refused:
        raise StatementRefused(
            f"roles: expected every statement to be taken, refused: {'; '.join(refused[:20])}",
            hint="create these roles by hand and restore again; existing roles are kept",
        )
    return tuple(sorted(kept - {str(session.info.user)}))  # whoever restores is no surprise


def _concerned(statement: str) -> tuple[str, ...]:
    """Names of roles that a statement makes, changes or joins, but for the server's own."""
    for pattern in _OF_ROLES:
        if match := pattern.match(statement):
            names = tuple(map(_unquoted, match.groups()))
            return tuple(name for name in names if not name.startswith("pg_"))
    return ()


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _try_within(session: Connection, statement: str) -> list[str]:
    """Within a transaction, which goes on after a refusal."""
    refused: list[str] = []
    with session.transaction() as step:
        refused = _try(session, statement)
        if session.info.transaction_status is TransactionStatus.INERROR:
            raise psycopg.Rollback(step)
    return refused


def _try(session: Connection, statement: str) -> list[str]:
    try:
        session.execute(statement.encode())
    except psycopg.errors.DuplicateObject:
        return []
    except psycopg.Error as error:
        return [f"{' '.join(statement.split(None, 3)[:3])}: {reason(error)}"]
    return []
