"""How far a restore has come, kept in the target database itself: in its comment.

A comment is written in the same transaction as the step it speaks of, so the two agree after
any interruption, and nothing is added to the schema. When all databases of a register are
restored, each gets its own comment back.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Final

from exclave.archive.manifest import Register
from exclave.archive.objects import PgTable
from exclave.source.postgresql.connect import Connection, identifier
from exclave.source.postgresql.settings import literal
from exclave.values import dataclass

__all__ = ["Marker", "Step", "read_marker", "token_of"]

_PREFIX: Final = "exclave restore"


class Step(enum.Enum):
    """The last step that is complete."""

    CREATED = "created"
    DEFINED = "pre-data"  # tables exist; each holds all its rows or none
    COMPLETE = "post-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Which register, and how far."""

    token: str
    step: Step

    def statement(self, database: str) -> str:
        """SQL that writes the marker."""
        text = f"{_PREFIX} {self.token} {self.step.value}"
        return f"COMMENT ON DATABASE {identifier(database)} IS {literal(text)}"


def token_of(register: Register, only: tuple[str, ...]) -> str:
    """Tells restores of different deposits, or of different parts, from each other."""
    digest = hashlib.sha256(register.id.encode())
    for name in sorted(only):
        digest.update(b"\x00" + name.encode())
    for item in register.objects:
        if isinstance(item, PgTable):
            digest.update(item.row_root)
    return digest.hexdigest()[:32]


def read_marker(session: Connection, database: str) -> Marker | None:
    """The marker of a database, or None when it has none or does not exist."""
    row = session.execute(
        "SELECT pg_catalog.shobj_description(oid, 'pg_database')"
        " FROM pg_catalog.pg_database WHERE datname = %s",
        (database,),
    ).fetchone()
    comment = "" if row is None or row[0] is None else str(row[0])
    if not comment.startswith(_PREFIX + " "):
        return None
    words = comment.removeprefix(_PREFIX + " ").split(" ")
    if len(words) != 2 or words[1] not in {step.value for step in Step}:
        return None
    return Marker(token=words[0], step=Step(words[1]))
