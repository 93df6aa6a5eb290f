"""Registers at home, what is in them, and where they are restored to."""

from __future__ import annotations

import random as pseudo_random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from exclave.archive.manifest import Register
from exclave.deposit.capture import RegisterTask
from exclave.plan import FilesSource as FilesPlan
from exclave.plan import PlannedSource, RegisterPlan
from exclave.plan import PostgresqlSource as PostgresPlan
from exclave.plan import SqliteSource as SqlitePlan
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.files.restore import FilesTarget
from exclave.source.interface import Source, Target
from exclave.source.postgresql import PostgresConfig, PostgresSource
from exclave.wiring.registers import task_of


@dataclass(frozen=True, kw_only=True)
class HomeRegister:
    """A register at home: its entry in the plan and the adapter that reads it."""

    plan: RegisterPlan
    source: Source

    @property
    def task(self) -> RegisterTask:
        """As the deposit takes it."""
        return RegisterTask(plan=self.plan, sources=(self.source,), artefacts=None, runbook=None)


@dataclass(frozen=True, kw_only=True)
class PlannedRegister:
    """A register with the adapters that its plan asks for."""

    plan: RegisterPlan

    @property
    def task(self) -> RegisterTask:
        """As the deposit takes it."""
        return task_of(self.plan)


AnyRegister = HomeRegister | PlannedRegister


def planned_register(id: str, *sources: PlannedSource) -> PlannedRegister:
    """Several sources as one register."""
    return PlannedRegister(plan=replace(_plan(id, sources[0]), sources=sources))


def files_register(id: str, folder: Path) -> HomeRegister:
    """A folder as a register."""
    source = FilesSource(FilesConfig(folder=folder))
    return HomeRegister(plan=_plan(id, FilesPlan(kind="files", path=str(folder))), source=source)


def sqlite_register(id: str, path: Path) -> HomeRegister:
    """An SQLite file as a register."""
    from exclave.source.sqlite import SqliteConfig, SqliteSource

    source = SqliteSource(SqliteConfig(file=path))
    return HomeRegister(plan=_plan(id, SqlitePlan(kind="sqlite", path=str(path))), source=source)


def postgres_register(id: str, config: PostgresConfig) -> HomeRegister:
    """Databases of a server as a register."""
    plan = PostgresPlan(
        kind="postgresql",
        host=str(config.host),
        port=config.port or 5432,
        user=str(config.user),
        databases=config.databases,
    )
    return HomeRegister(plan=_plan(id, plan), source=PostgresSource(config))


def _plan(id: str, source: PlannedSource) -> RegisterPlan:
    return RegisterPlan(
        id=id,
        title=f"Register {id}",
        owner="nobody",
        classification="none",
        rpo=3600,
        rto=3600,
        depends_on=(),
        runbook=None,
        artefacts=None,
        sources=(source,),
    )


def default_target(out: Path, register: Register) -> Target:
    """Files and SQLite registers go into `out`/<id>."""
    if register.kind == "files":
        folder = out / register.id
        folder.mkdir(exist_ok=True)
        return FilesTarget(folder)
    from exclave.source.sqlite import SqliteTarget

    return SqliteTarget(out / register.id)


def register_toml(plan: RegisterPlan) -> str:
    """A register of `registers.toml`; files and SQLite only."""
    (source,) = plan.sources
    assert isinstance(source, FilesPlan | SqlitePlan)
    return (
        f'[[register]]\nid = "{plan.id}"\ntitle = "{plan.title}"\nowner = "{plan.owner}"\n'
        f'classification = "{plan.classification}"\nrpo = "{plan.rpo} s"\nrto = "{plan.rto} s"\n'
        f'[register.source]\nkind = "{source.kind}"\npath = "{source.path}"\n'
    )


def write_files(folder: Path, size: int, seed: int) -> None:
    """Files of `size` bytes in all; one in ten depends on the seed. Half of it compresses."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 20
    for i in range(count):
        source = pseudo_random.Random(i if i % 10 else 1000 * seed + i)
        half = max(1, size // count // 2)
        (folder / f"deed-{i:03}.bin").write_bytes(
            source.randbytes(half) + b"deed %d " % i * (half // 8)
        )
    (folder / "Ümläut").mkdir(exist_ok=True)
    (folder / "Ümläut" / "empty").write_bytes(b"")


def write_sqlite(path: Path, *, rows: int, seed: int) -> None:
    """A table of acts; rows that depend on the seed come after the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS act (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany(
            "INSERT OR REPLACE INTO act VALUES (?, ?)",
            [(i, f"act {i} " + "§ " * (i % 50)) for i in range(rows)] + [(10**6 + seed, "new")],
        )
