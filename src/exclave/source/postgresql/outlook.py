"""What a capture would meet now: how much there is, and who holds locks that it would wait for.

Sizes are the server's own: a table with its TOAST part, without indexes, which are not captured.
They are larger than what is read where tables hold dead rows, smaller where TOAST is compressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import psycopg

from exclave.source.interface import SourceSize
from exclave.source.postgresql.connect import Connection

__all__ = ["database_size", "holders"]

_WAIT: Final = b"SET lock_timeout = '2s'"
_NO_WAIT: Final = b"SET lock_timeout = 0"
_OURS: Final = b"""
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
AND n.nspname <> 'information_schema') OR c.oid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass
"""
_SIZE: Final = b"""
SELECT coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0),
  coalesce(sum(greatest(c.reltuples, 0)), 0)
"""
# The catalogue's own count of pages needs no lock; it is as old as the last vacuum or analyze.
_PAGES: Final = b"""
SELECT coalesce(sum(c.relpages::bigint), 0) * pg_catalog.current_setting('block_size')::bigint,
  coalesce(sum(greatest(c.reltuples, 0)), 0)
"""
# ACCESS SHARE waits for ACCESS EXCLUSIVE alone, and also behind one that waits itself.
_HOLDERS: Final = b"""
SELECT n.nspname, c.relname, l.pid, l.granted,
  coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start), 0)
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_database d ON d.oid = l.database
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE d.datname = pg_catalog.current_database() AND l.mode = 'AccessExclusiveLock'
AND l.pid <> pg_catalog.pg_backend_pid() AND c.relkind IN ('r', 'p', 'm')
AND c.relpersistence <> 't'
ORDER BY 5 DESC, 1, 2 LIMIT 20
"""


def database_size(session: Connection) -> SourceSize:
    """What of the database would be read."""
    session.execute(_WAIT)
    try:
        row = session.execute(_SIZE + _OURS).fetchone()
    except psycopg.errors.LockNotAvailable:
        row = session.execute(_PAGES + _OURS).fetchone()
    finally:
        session.execute(_NO_WAIT)
    assert row is not None
    return SourceSize(bytes=int(row[0]), rows=int(row[1]))


def holders(session: Connection, database: str) -> Iterator[str]:
    """One line for each lock of others that a capture would wait for."""
    for schema, name, pid, granted, seconds in session.execute(_HOLDERS).fetchall():
        does = "holds" if granted else "waits for"
        yield (
            f"database {database}: process {pid} {does} an ACCESS EXCLUSIVE lock on "
            f"{schema}.{name}, in a transaction of {int(seconds)} s: a capture would wait"
        )
