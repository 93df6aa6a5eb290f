"""Adapters of registers: from a plan to sources, from `targets.toml` to targets.

What only a deposit needs is imported when one is made: a restoring program starts without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.errors import ConfigurationError
from exclave.wiring.files import read_file

if TYPE_CHECKING:
    from exclave.archive.manifest import Register
    from exclave.deposit.capture import RegisterTask
    from exclave.plan import FilesSource, PostgresqlSource, RegisterPlan, SqliteSource
    from exclave.source.interface import Source, Target
    from exclave.wiring.settings import FolderTarget, ServerTarget, TargetSettings

__all__ = ["TargetMissing", "source_of", "target_of", "task_of"]


class TargetMissing(ConfigurationError):
    """`targets.toml` says no place for a register."""


def task_of(plan: RegisterPlan) -> RegisterTask:
    """A register with the adapters that read it."""
    from exclave.deposit.capture import RegisterTask
    from exclave.source.files.capture import FilesConfig
    from exclave.source.files.capture import FilesSource as FilesAdapter

    artefacts = plan.artefacts
    return RegisterTask(
        plan=plan,
        source=source_of(plan.source),
        artefacts=None
        if artefacts is None
        else FilesAdapter(FilesConfig(folder=artefacts, name="artefacts")),
        runbook=None if plan.runbook is None else read_file(plan.runbook),
    )


def source_of(source: PostgresqlSource | SqliteSource | FilesSource) -> Source:
    """The adapter for one source of a plan; imported only when it is needed."""
    from exclave.plan import PostgresqlSource, SqliteSource

    if isinstance(source, PostgresqlSource):
        return _postgresql(source)
    if isinstance(source, SqliteSource):
        from exclave.source.sqlite import SqliteConfig
        from exclave.source.sqlite import SqliteSource as SqliteAdapter

        return SqliteAdapter(SqliteConfig(file=Path(source.path)))
    from exclave.source.files.capture import FilesConfig
    from exclave.source.files.capture import FilesSource as FilesAdapter

    return FilesAdapter(FilesConfig(folder=Path(source.path)))


def _postgresql(source: PostgresqlSource) -> Source:
    from exclave.source.postgresql import PostgresConfig, PostgresSource, TableOrder

    return PostgresSource(
        PostgresConfig(
            databases=tuple(source.databases),
            host=source.host,
            port=source.port,
            user=source.user,
            password_file=_path(source.password_file),
            bin_dir=_path(source.bin_dir),
            jobs=source.jobs,
            lock_timeout=float(source.lock_timeout),
            max_snapshot_age=float(source.max_snapshot_age),
            orders={
                **dict.fromkeys(source.key_order, TableOrder.KEY),
                **dict.fromkeys(source.heap_order, TableOrder.HEAP),
            },
        )
    )


def target_of(register: Register, settings: TargetSettings) -> Target:
    """Where a register is restored to: its own entry, or the default for its kind."""
    from exclave.wiring.settings import ServerTarget

    wants_server = register.kind == "postgresql"
    default = settings.default_server if wants_server else settings.default_folder
    chosen = settings.registers.get(register.id, default)
    if chosen is None:
        kind = "postgresql" if wants_server else "folder"
        raise TargetMissing(
            f"{settings.path}: register {register.id} ({register.kind}) has no target",
            hint=f"add [register.{register.id}] or [default.{kind}]",
        )
    if isinstance(chosen, ServerTarget) is not wants_server:
        raise TargetMissing(
            f"{settings.path}: register.{register.id}: expected a target for {register.kind}, "
            f"got {chosen.kind}"
        )
    if isinstance(chosen, ServerTarget):
        return _server(chosen)
    own = register.id in settings.registers
    return _folder(register, chosen, own=own)


def _server(target: ServerTarget) -> Target:
    from exclave.source.postgresql import PostgresConfig, PostgresTarget

    return PostgresTarget(
        PostgresConfig(
            host=target.host,
            port=target.port,
            user=target.user,
            password_file=_path(target.password_file),
            bin_dir=_path(target.bin_dir),
            jobs=target.jobs,
        )
    )


def _folder(register: Register, target: FolderTarget, *, own: bool) -> Target:
    # Registers that share the default folder get one below it each.
    place = Path(target.path) if own else Path(target.path) / register.id
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if register.kind == "sqlite":
        from exclave.source.sqlite import SqliteTarget

        return SqliteTarget(place)
    from exclave.source.files.restore import FilesTarget

    return FilesTarget(place)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
