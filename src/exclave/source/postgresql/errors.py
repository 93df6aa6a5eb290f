"""Why a PostgreSQL register could not be captured or restored, one class per cause.

    SourceError
    +-- ServerUnreachable    no connection; also a wrong password or a missing database
    +-- ServerUnsupported    older than what pg_dump still reads reliably
    +-- ToolMissing          no pg_dump at least as new as the server, with its companions
    +-- ToolFailed           pg_dump, pg_dumpall or pg_restore ended with an error
    +-- MissingPrivilege     all objects concerned, at once
    +-- LockNotGranted       lock_timeout on a named table
    +-- DefinitionsChanging  no quiet moment in the allowed number of attempts
    +-- SnapshotTooOld       max_snapshot_age
    +-- CopyFailed           a table, sequence or large object could not be read
    +-- KeyNotUnique         the index that guards a key is corrupt

    TargetError
    +-- TargetUnreachable
    +-- TargetTooOld
    +-- TargetNotEmpty
    +-- StatementRefused     SQL of the archive that the target does not take
    +-- LoadFailed           a table, sequence or large object could not be written

Texts hold names and the server's primary message; never connection strings or passwords.
"""

from __future__ import annotations

import psycopg

from exclave.errors import SourceError, TargetError
from exclave.source.interface import TargetOccupied

__all__ = [
    "CopyFailed",
    "DefinitionsChanging",
    "KeyNotUnique",
    "LoadFailed",
    "LockNotGranted",
    "MissingPrivilege",
    "ServerUnreachable",
    "ServerUnsupported",
    "SnapshotTooOld",
    "StatementRefused",
    "TargetNotEmpty",
    "TargetTooOld",
    "TargetUnreachable",
    "ToolFailed",
    "ToolMissing",
    "reason",
]


class ServerUnreachable(SourceError):
    """No connection to the database."""


class ServerUnsupported(SourceError):
    """The server's major version is too old."""


class ToolMissing(SourceError):
    """No pg_dump of a fitting version was found, or not the programs that come with it."""


class ToolFailed(SourceError):
    """pg_dump, pg_dumpall or pg_restore ended with an error."""


class MissingPrivilege(SourceError):
    """The capturing role may not read everything."""


class LockNotGranted(SourceError):
    """A table stayed locked by somebody else for longer than the lock timeout."""


class DefinitionsChanging(SourceError):
    """Tables were created, dropped or altered in each attempt."""


class SnapshotTooOld(SourceError):
    """The capture held its snapshot for longer than allowed."""


class CopyFailed(SourceError):
    """Reading one object failed half-way; nothing of the register is used."""


class KeyNotUnique(SourceError):
    """Two rows have the same primary key."""


class TargetUnreachable(TargetError):
    """No connection to the target server."""


class TargetTooOld(TargetError):
    """The target's major version is older than the captured server's."""


class TargetNotEmpty(TargetOccupied):
    """A database of that name exists and holds something."""


class StatementRefused(TargetError):
    """The target server refused a statement of the archive."""


class LoadFailed(TargetError):
    """Writing one object failed; a later call continues with it."""


def reason(error: BaseException) -> str:
    """One line of what the server or libpq said, without detail, context or statement."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
