"""Large objects: read inside the snapshot, written back under their old numbers.

Comments and security labels on large objects are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import psycopg
from blake3 import blake3

from exclave.archive.largeobjects import (
    LargeObjectEntry,
    encode_large_object,
)
from exclave.archive.objects import PgLargeObjects
from exclave.merkle import RootBuilder, leaf_hash
from exclave.source.interface import ArchiveSink, Progress, StreamPurpose
from exclave.source.postgresql.connect import Connection
from exclave.source.postgresql.errors import CopyFailed, MissingPrivilege, reason
from exclave.source.postgresql.snapshot import Snapshot

__all__ = ["capture_large_objects", "list_large_objects", "read_pieces"]

_PIECE: Final = 256 * 1024
_LIST: Final = (
    b"SELECT oid::pg_catalog.int8, pg_catalog.pg_get_userbyid(lomowner),"
    b" coalesce(lomacl::pg_catalog.text, '')"
    b" FROM pg_catalog.pg_largeobject_metadata ORDER BY oid"
)


def list_large_objects(session: Connection) -> list[tuple[int, str, str]]:
    """Number, owner and ACL of each large object, ascending."""
    return [(int(row[0]), str(row[1]), str(row[2])) for row in session.execute(_LIST).fetchall()]


def read_pieces(session: Connection, oid: int) -> Iterator[bytes]:
    """A large object's content; raises `psycopg.Error`."""
    offset = 0
    while True:
        with session.cursor(binary=True) as cursor:
            cursor.execute("SELECT pg_catalog.lo_get(%s, %s, %s)", (oid, offset, _PIECE))
            row = cursor.fetchone()
        piece = b"" if row is None else bytes(row[0])
        if piece:
            yield piece
        if len(piece) < _PIECE:
            return
        offset += len(piece)


def capture_large_objects(
    snapshot: Snapshot, sink: ArchiveSink, progress: Progress
) -> PgLargeObjects | None:
    """All large objects of the snapshot, or None when there are none."""
    session = snapshot.coordinator
    listed = list_large_objects(session)
    if not listed:
        return None
    label = f"{snapshot.database} large objects"
    entries = sink.open_stream(StreamPurpose.MANIFEST)
    content = sink.open_stream(StreamPurpose.CONTENT)
    builder = RootBuilder()
    for oid, owner, acl in listed:
        snapshot.remaining()
        size, digest = _copy_one(session, snapshot.database, oid, content.write)
        entry = LargeObjectEntry(oid=oid, size=size, blake3=digest, owner=owner, acl=acl)
        encoded = encode_large_object(entry)
        entries.write(encoded)
        builder.add(leaf_hash(encoded))
        progress(label, 1, size)
    return PgLargeObjects(
        database=snapshot.database,
        count=len(listed),
        root=builder.root(),
        entries=entries.finish(),
        content=content.finish(),
    )


def _copy_one(
    session: Connection, database: str, oid: int, write: Callable[[bytes], None]
) -> tuple[int, bytes]:
    digest = blake3()
    size = 0
    try:
        for piece in read_pieces(session, oid):
            digest.update(piece)
            write(piece)
            size += len(piece)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MissingPrivilege(
            f"database {database}: expected SELECT on large object {oid}, got none",
            hint="capture as superuser, or grant SELECT on every large object",
        ) from error
    except psycopg.Error as error:
        raise CopyFailed(
            f"database {database}: large object {oid}: expected its content, got: {reason(error)}"
        ) from error
    return size, digest.digest()
