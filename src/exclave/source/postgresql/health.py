"""What an administrator should know before a long reading transaction starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exclave.source.postgresql.connect import Connection

__all__ = ["warnings_of"]

# Autovacuum forces freezing at 200 million (autovacuum_freeze_max_age); more means that it lags.
_OLD_XID: Final = 500_000_000
_LONG: Final = 3600

_QUERY: Final = b"""
SELECT pg_catalog.age(d.datfrozenxid),
  (SELECT coalesce(max(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)), 0)
    FROM pg_catalog.pg_stat_activity a
    WHERE a.datname = d.datname AND a.pid <> pg_catalog.pg_backend_pid()
    AND a.xact_start IS NOT NULL),
  pg_catalog.pg_is_in_recovery(),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts p WHERE p.database = d.datname)
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""


def warnings_of(session: Connection, database: str) -> Iterator[str]:
    """Warnings; none of them stops a capture."""
    row = session.execute(_QUERY).fetchone()
    assert row is not None
    age, longest, standby, prepared = row
    if int(age) > _OLD_XID:
        yield (
            f"database {database}: oldest transaction id is {int(age)} old, "
            "a long capture delays vacuum further"
        )
    if float(longest) > _LONG:
        yield f"database {database}: a transaction has been open for {int(longest)} seconds"
    if standby:
        yield (
            f"database {database}: a hot standby, replay conflicts may end the capture "
            "(max_standby_streaming_delay)"
        )
    if int(prepared):
        yield f"database {database}: {int(prepared)} prepared transactions are waiting"
