"""Writes rows, sequences and large objects into a target database; each step can be repeated.

Rules
- A table's COPY is one transaction. A table that holds rows is complete: within a restore that
  is marked as ours nobody else writes, and the comparison reads every row anyway.
- A table is emptied in the transaction that fills it. PostgreSQL then appends rows and fills no gap
  with a later, shorter one: they lie in the order of their data, as the comparison wants them.
- A large object is created and filled in one transaction; one that exists is complete.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

import psycopg

from exclave.archive.largeobjects import LargeObjectEntry, decode_large_objects
from exclave.archive.objects import PgLargeObjects, PgSequence, PgTable
from exclave.source.interface import ArchiveSupply, Progress
from exclave.source.postgresql.connect import Connection, identifier, qualified
from exclave.source.postgresql.errors import LoadFailed, reason

__all__ = ["load_large_objects", "load_sequences", "load_table"]

_PIECE: Final = 1024 * 1024
_PRIVILEGES: Final = frozenset({"SELECT", "UPDATE"})


def load_table(
    session: Connection,
    table: PgTable,
    supply: ArchiveSupply,
    progress: Progress,
    stopped: threading.Event,
) -> None:
    """COPY a table's rows into its empty place, or leave it when it is already filled."""
    label = f"{table.database}.{table.schema}.{table.name}"
    if not table.rows:
        return
    name = qualified(table.schema, table.name)
    # Without columns the list must be left out: "()" is no column list.
    columns = ", ".join(identifier(column) for column, _ in table.columns)
    command = f"COPY {name}{f' ({columns})' if columns else ''} FROM STDIN"
    try:
        if _has_rows(session, name):
            progress(label, table.rows, 0)
            return
        with session.transaction(), session.cursor() as cursor:
            cursor.execute(f"TRUNCATE ONLY {name}".encode())
            with cursor.copy(command.encode()) as copy:
                for piece in supply.read_stream(table.data):
                    if stopped.is_set():
                        raise LoadFailed(f"table {label}: stopped, since another table failed")
                    copy.write(bytes(piece))
                    progress(label, 0, len(piece))
            # A stream cut at a row's end would load without complaint.
            if cursor.rowcount != table.rows:
                raise LoadFailed(
                    f"table {label}: expected {table.rows} rows, loaded {cursor.rowcount}"
                )
    except psycopg.Error as error:
        raise LoadFailed(f"table {label}: expected to load, got: {reason(error)}") from error
    progress(label, table.rows, 0)


def _has_rows(session: Connection, name: str) -> bool:
    row = session.execute(f"SELECT EXISTS (SELECT FROM ONLY {name})".encode()).fetchone()  # noqa: S608
    return row is not None and bool(row[0])


def load_sequences(session: Connection, sequences: Sequence[PgSequence]) -> None:
    """Set every sequence to its captured state."""
    for each in sequences:
        try:
            session.execute(
                "SELECT pg_catalog.setval(%s::pg_catalog.text::pg_catalog.regclass, %s, %s)",
                (qualified(each.schema, each.name), int(each.last_value), each.is_called),
            )
        except psycopg.Error as error:
            raise LoadFailed(
                f"sequence {each.database}.{each.schema}.{each.name}: "
                f"expected to be set, got: {reason(error)}"
            ) from error


def load_large_objects(
    session: Connection,
    objects: PgLargeObjects | None,
    supply: ArchiveSupply,
    progress: Progress,
) -> None:
    """Create every large object under its old number, with content, owner and rights."""
    if objects is None:
        return
    label = f"{objects.database} large objects"
    content = _Pieces(map(bytes, supply.read_stream(objects.content)))
    for entry in decode_large_objects(supply.read_stream(objects.entries)):
        try:
            _load_one(session, entry, content)
        except psycopg.Error as error:
            raise LoadFailed(
                f"database {objects.database}: large object {entry.oid}: "
                f"expected to load, got: {reason(error)}"
            ) from error
        progress(label, 1, entry.size)


def _load_one(session: Connection, entry: LargeObjectEntry, content: _Pieces) -> None:
    row = session.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata WHERE oid = %s)",
        (entry.oid,),
    ).fetchone()
    if row is not None and row[0]:
        for _ in content.take(entry.size):
            pass
        return
    with session.transaction():
        session.execute("SELECT pg_catalog.lo_create(%s)", (entry.oid,))
        offset = 0
        for piece in content.take(entry.size):
            session.execute("SELECT pg_catalog.lo_put(%s, %s, %b)", (entry.oid, offset, piece))
            offset += len(piece)
        session.execute(
            f"ALTER LARGE OBJECT {entry.oid} OWNER TO {identifier(entry.owner)}".encode()
        )
        if entry.acl:
            _grant(session, entry)


def _grant(session: Connection, entry: LargeObjectEntry) -> None:
    target = f"LARGE OBJECT {entry.oid}"
    session.execute(f"REVOKE ALL ON {target} FROM {identifier(entry.owner)}".encode())
    rights = session.execute(
        "SELECT CASE WHEN grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(grantee) END,"
        " privilege_type, is_grantable"
        " FROM pg_catalog.aclexplode(%s::pg_catalog.text::pg_catalog.aclitem[])",
        (entry.acl,),
    ).fetchall()
    for grantee, privilege, grantable in rights:
        if privilege not in _PRIVILEGES:
            continue  # not a privilege of large objects: nothing that capture could have seen
        to = identifier(str(grantee)) if grantee else "PUBLIC"
        option = " WITH GRANT OPTION" if grantable else ""
        session.execute(f"GRANT {privilege} ON {target} TO {to}{option}".encode())


class _Pieces:
    """A stream from which exact numbers of bytes are taken."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def take(self, count: int) -> Iterator[bytes]:
        """The next `count` bytes in pieces of at most 1 MiB; raises `LoadFailed` when fewer."""
        while count:
            if not self._held:
                self._held = next(self._pieces, b"")
                if not self._held:
                    raise LoadFailed(f"large objects: the content ends {count} bytes early")
            size = min(count, _PIECE)
            piece, self._held = self._held[:size], self._held[size:]
            count -= len(piece)
            yield piece
