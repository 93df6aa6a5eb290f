"""What an estate is: ten registers of a fictitious state, and all that a plan must say of them.

Values only: nothing here opens a database or a file.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from exclave.postgres_server.server import PostgresServer
from exclave.values import dataclass, field

STATE_NAME = "Republic of Vanemar"
CAPTURE_ROLE = "exclave_capture"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSource:
    """A database to capture whole, read as `user`; the password stands in `passfile` (0600)."""

    host: str
    port: int
    dbname: str
    user: str
    passfile: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteSource:
    """A SQLite database file that its application may hold open."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSource:
    """A folder to capture with everything below it."""

    path: Path


Source: TypeAlias = PostgresSource | SqliteSource | FilesSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One entry of a plan. `runbook` is a text file, `application` a folder of artefacts."""

    id: str
    title: str
    owner: str
    classification: str
    rpo: timedelta
    rto: timedelta
    depends_on: tuple[str, ...]
    source: Source
    runbook: Path
    application: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """A loaded sending state. `rows` counts database rows as first loaded, by register id."""

    state: str
    folder: Path
    server: PostgresServer = field(repr=False)
    registers: tuple[Register, ...]
    rows: tuple[tuple[str, int], ...]
    size: float
    seed: int

    @property
    def total_rows(self) -> int:
        return sum(count for _, count in self.rows)

    def register(self, wanted: str) -> Register:
        """The register with this id; KeyError if the estate has none such."""
        for entry in self.registers:
            if entry.id == wanted:
                return entry
        raise KeyError(wanted)
