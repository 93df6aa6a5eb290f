"""The plan: which registers are captured, from where, for whom (`registers.toml`).

Parsed strictly: all errors at once, with file, line and key. Paths are relative to the plan's
folder. Secrets do not belong into a plan, since it goes into every deposit: passwords come
from a password file, a service file or the environment of the database's own tools.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from exclave.config import load_toml
from exclave.errors import ConfigurationError
from exclave.shapes import Between, Checked, Length, Matches, Parsed
from exclave.values import dataclass, replace

__all__ = [
    "Duration",
    "FilesSource",
    "Plan",
    "PlanInconsistent",
    "PostgresqlSource",
    "RegisterPlan",
    "SqliteSource",
    "load_plan",
    "parse_duration",
]

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]+) ?(s|min|h|d|w)")
_SLUG = r"[a-z0-9][a-z0-9-]{0,62}"


class PlanInconsistent(ConfigurationError):
    """Registers of a plan contradict each other."""


def parse_duration(value: object) -> int:
    """`"15min"`, `"24h"`, `"7d"` as seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a duration such as "15min", "24h" or "7d"')
    return int(match[1]) * _UNITS[match[2]]


def _no_secret(value: str) -> None:
    if "password" in value.lower():
        raise ValueError("a password in clear text; name a password_file instead")


Duration = Annotated[int, Parsed(parse_duration)]
Slug = Annotated[str, Matches(_SLUG)]
Clean = Annotated[str, Checked(_no_secret)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlSource:
    """All named databases of one server."""

    kind: Literal["postgresql"]
    host: Clean  # name, address or folder of the Unix socket
    port: Annotated[int, Between(1, 65535)] = 5432
    user: Clean
    databases: Annotated[tuple[Clean, ...], Length(least=1)]
    password_file: str | None = None  # one line of libpq's .pgpass format or more
    bin_dir: str | None = None  # where the server's own pg_dump lies
    jobs: Annotated[int, Between(1, 32)] = 2
    lock_timeout: Duration = 30
    max_snapshot_age: Duration = 4 * 3600
    heap_order: tuple[str, ...] = ()  # "schema.table" copied as it lies
    key_order: tuple[str, ...] = ()  # sorted by key, however large


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteSource:
    """One database file."""

    kind: Literal["sqlite"]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSource:
    """One folder."""

    kind: Literal["files"]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Register:
    """`[[register]]`."""

    id: Slug
    title: Annotated[str, Length(least=1)]
    owner: str
    classification: str
    rpo: Duration
    rto: Duration
    depends_on: tuple[Slug, ...] = ()
    runbook: str | None = None
    artefacts: str | None = None
    source: PostgresqlSource | SqliteSource | FilesSource


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlanFile:
    """All of `registers.toml`."""

    register: Annotated[tuple[_Register, ...], Length(least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPlan:
    """One register of the plan; paths are absolute."""

    id: str
    title: str
    owner: str
    classification: str
    rpo: int  # seconds
    rto: int  # seconds
    depends_on: tuple[str, ...]
    runbook: Path | None
    artefacts: Path | None
    source: PostgresqlSource | SqliteSource | FilesSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The registers, each after those that it depends on."""

    path: Path
    text: bytes  # the file as read: goes into the manifest
    registers: tuple[RegisterPlan, ...]

    def select(self, names: tuple[str, ...]) -> tuple[RegisterPlan, ...]:
        """The named registers in the plan's order; all when no name is given."""
        unknown = sorted(set(names) - {register.id for register in self.registers})
        if unknown:
            raise ConfigurationError(
                f"{self.path}: no register {', '.join(unknown)}",
                hint="known: " + ", ".join(register.id for register in self.registers),
            )
        return tuple(r for r in self.registers if not names or r.id in names)


def load_plan(path: Path) -> Plan:
    """Read and check a plan; raises `ConfigurationError` with every error found."""
    parsed = load_toml(path, _PlanFile)
    folder = path.parent.resolve()
    registers = tuple(_register(item, folder) for item in parsed.register)
    return Plan(path=path, text=path.read_bytes(), registers=_in_order(path, registers))


def _register(item: _Register, folder: Path) -> RegisterPlan:
    source = item.source
    if isinstance(source, PostgresqlSource):
        if source.password_file is not None:
            password_file = str(folder / source.password_file)
            source = replace(source, password_file=password_file)
    else:
        source = replace(source, path=str(folder / source.path))
    return RegisterPlan(
        id=item.id,
        title=item.title,
        owner=item.owner,
        classification=item.classification,
        rpo=item.rpo,
        rto=item.rto,
        depends_on=item.depends_on,
        runbook=None if item.runbook is None else folder / item.runbook,
        artefacts=None if item.artefacts is None else folder / item.artefacts,
        source=source,
    )


def _in_order(path: Path, registers: tuple[RegisterPlan, ...]) -> tuple[RegisterPlan, ...]:
    by_id = {register.id: register for register in registers}
    if len(by_id) != len(registers):
        names = sorted(r.id for r in registers)
        twice = sorted({name for name in names if names.count(name) > 1})
        raise PlanInconsistent(f"{path}: register {', '.join(twice)} is declared twice")
    ordered: dict[str, RegisterPlan] = {}
    for register in registers:
        _visit(path, register, by_id, ordered, ())
    return tuple(ordered.values())


def _visit(
    path: Path,
    register: RegisterPlan,
    by_id: dict[str, RegisterPlan],
    ordered: dict[str, RegisterPlan],
    trail: tuple[str, ...],
) -> None:
    if register.id in trail:
        raise PlanInconsistent(
            f"{path}: registers depend on each other: {' -> '.join([*trail, register.id])}"
        )
    for name in register.depends_on:
        if name not in by_id:
            raise PlanInconsistent(
                f"{path}: register {register.id} depends on {name!r}, which is not in the plan"
            )
        _visit(path, by_id[name], by_id, ordered, (*trail, register.id))
    ordered.setdefault(register.id, register)
