"""A register's objects by database."""

from __future__ import annotations

from collections.abc import Sequence

from exclave.archive.manifest import Register
from exclave.archive.objects import PgDatabase, PgLargeObjects, PgSchema, PgSequence, PgTable
from exclave.errors import UsageError
from exclave.values import dataclass

__all__ = ["DatabaseParts", "ObjectUnknown", "parts_of", "refuse_unknown"]


class ObjectUnknown(UsageError):
    """A named object is not in the register."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseParts:
    """Everything of one database."""

    database: PgDatabase
    schemas: tuple[PgSchema, ...]
    tables: tuple[PgTable, ...]
    sequences: tuple[PgSequence, ...]
    large_objects: PgLargeObjects | None

    @property
    def name(self) -> str:
        """The database's name."""
        return self.database.database

    def concerned(self, only: tuple[str, ...]) -> bool:
        """Whether one of the named tables lies here; no names mean all."""
        if not only:
            return True
        return any(f"{self.name}.{each.schema}.{each.name}" in only for each in self.tables)


def parts_of(register: Register) -> list[DatabaseParts]:
    """The databases of a register, in the manifest's order."""
    return [
        DatabaseParts(
            database=database,
            schemas=tuple(
                each
                for each in register.objects
                if isinstance(each, PgSchema) and each.database == database.database
            ),
            tables=tuple(
                each
                for each in register.objects
                if isinstance(each, PgTable) and each.database == database.database
            ),
            sequences=tuple(
                each
                for each in register.objects
                if isinstance(each, PgSequence) and each.database == database.database
            ),
            large_objects=next(
                (
                    each
                    for each in register.objects
                    if isinstance(each, PgLargeObjects) and each.database == database.database
                ),
                None,
            ),
        )
        for database in register.objects
        if isinstance(database, PgDatabase)
    ]


def refuse_unknown(register: Register, only: Sequence[str]) -> None:
    """Raise `ObjectUnknown` unless every name is a table of the register."""
    tables = {
        f"{each.database}.{each.schema}.{each.name}"
        for each in register.objects
        if isinstance(each, PgTable)
    }
    for name in only:
        if name not in tables:
            raise ObjectUnknown(
                f"register {register.id}: expected the name of a table, got {name!r}",
                hint="names are database.schema.table",
            )
