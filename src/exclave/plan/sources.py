"""What a register is captured from: each source as it stands in the plan.

A register has one source or several, captured in the order in which they are written; each has a
name that is unique in its register and is its kind where none is given. Paths are as written until
`in_folder` makes them absolute: a plan that comes out of a deposit speaks of another machine.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from exclave.plan.durations import Duration, Size
from exclave.shapes import Between, Checked, Length, Matches
from exclave.values import dataclass, replace

__all__ = [
    "SLUG",
    "CommandSource",
    "FilesSource",
    "PlannedSource",
    "PostgresqlSource",
    "Slug",
    "SqliteSource",
]

SLUG = r"[a-z0-9][a-z0-9-]{0,62}"
Slug = Annotated[str, Matches(SLUG)]
_FILE = re.compile(r"(?!\.{1,2}$)[^/\x00-\x1f]{1,200}")


def _file_name(value: str) -> None:
    if not _FILE.fullmatch(value):
        raise ValueError("expected the name of a file")


FileName = Annotated[str, Checked(_file_name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What every source has."""

    name: Slug = ""

    def _default(self, kind: str) -> None:
        if not self.name:
            object.__setattr__(self, "name", kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlSource(_Named):
    """All named databases of one server."""

    kind: Literal["postgresql"]
    host: str  # name, address or folder of the Unix socket
    port: Annotated[int, Between(1, 65535)] = 5432
    user: str
    databases: Annotated[tuple[str, ...], Length(least=1)]
    password_file: str | None = None  # one line of libpq's .pgpass format or more
    bin_dir: str | None = None  # where the server's own pg_dump lies
    jobs: Annotated[int, Between(1, 32)] = 2
    lock_timeout: Duration = 30
    max_snapshot_age: Duration = 4 * 3600
    heap_order: tuple[str, ...] = ()  # "schema.table" copied as it lies
    key_order: tuple[str, ...] = ()  # sorted by key, however large

    def __post_init__(self) -> None:
        self._default(self.kind)

    def in_folder(self, folder: Path) -> Self:
        """With its paths taken from there."""
        if self.password_file is None:
            return self
        return replace(self, password_file=str(folder / self.password_file))


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteSource(_Named):
    """One database file."""

    kind: Literal["sqlite"]
    path: str

    def __post_init__(self) -> None:
        self._default(self.kind)

    def in_folder(self, folder: Path) -> Self:
        """With its path taken from there."""
        return replace(self, path=str(folder / self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSource(_Named):
    """One folder."""

    kind: Literal["files"]
    path: str

    def __post_init__(self) -> None:
        self._default(self.kind)

    def in_folder(self, folder: Path) -> Self:
        """With its path taken from there."""
        return replace(self, path=str(folder / self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSource(_Named):
    """What a program writes to its standard output: a dump of something no other source reads."""

    kind: Literal["command"]
    command: Annotated[tuple[str, ...], Length(least=1)]  # program and arguments, no shell
    file: FileName = "dump"  # under which its output is restored
    least: Size = 1  # less is an error, bytes
    timeout: Duration = 4 * 3600
    folder: str = "."  # in which it runs

    def __post_init__(self) -> None:
        self._default(self.kind)

    def in_folder(self, folder: Path) -> Self:
        """With its working folder taken from there."""
        return replace(self, folder=str(folder / self.folder))


PlannedSource: TypeAlias = PostgresqlSource | SqliteSource | FilesSource | CommandSource
