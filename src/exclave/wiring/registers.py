"""Adapters of registers: from a plan to sources, from `targets.toml` to targets.

What only a deposit needs is imported when one is made: a restoring program starts without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.errors import ConfigurationError
from exclave.wiring.files import read_file

if TYPE_CHECKING:
    from exclave.archive.manifest import Register, RegisterSource
    from exclave.deposit.capture import RegisterTask
    from exclave.plan import CommandSource, PlannedSource, PostgresqlSource, RegisterPlan
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
        sources=tuple(source_of(source) for source in plan.sources),
        artefacts=None
        if artefacts is None
        else FilesAdapter(FilesConfig(folder=artefacts, name="artefacts")),
        runbook=None if plan.runbook is None else read_file(plan.runbook),
    )


def source_of(source: PlannedSource) -> Source:
    """The adapter for one source of a plan; imported only when it is needed."""
    from exclave.plan import CommandSource, PostgresqlSource, SqliteSource

    match source:
        case PostgresqlSource():
            return _postgresql(source)
        case SqliteSource():
            from exclave.source.sqlite import SqliteConfig
            from exclave.source.sqlite import SqliteSource as SqliteAdapter

            return SqliteAdapter(SqliteConfig(file=Path(source.path)))
        case CommandSource():
            return _command(source)
        case _:
            from exclave.source.files.capture import FilesConfig
            from exclave.source.files.capture import FilesSource as FilesAdapter

            return FilesAdapter(FilesConfig(folder=Path(source.path), name=source.name))


def _command(source: CommandSource) -> Source:
    from exclave.source.command import CommandConfig
    from exclave.source.command import CommandSource as CommandAdapter

    return CommandAdapter(
        CommandConfig(
            command=source.command,
            folder=Path(source.folder),
            file=source.file,
            least=source.least,
            timeout=float(source.timeout),
        )
    )


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


def target_of(register: Register, source: RegisterSource, settings: TargetSettings) -> Target:
    """Where a source is restored to: its own entry, its register's, or the default for its kind."""
    from exclave.wiring.settings import ServerTarget

    wants_server = source.kind == "postgresql"
    default = settings.default_server if wants_server else settings.default_folder
    named = settings.sources.get((register.id, source.name))
    own = named or _of_register(register, settings)
    chosen = own or default
    label = f"{register.id}.{source.name}" if _several(register) else register.id
    if chosen is None:
        kind = "postgresql" if wants_server else "folder"
        raise TargetMissing(
            f"{settings.path}: register {label} ({source.kind}) has no target",
            hint=f"add [register.{label}] or [default.{kind}]",
        )
    if isinstance(chosen, ServerTarget) is not wants_server:
        raise TargetMissing(
            f"{settings.path}: register.{label}: expected a target for {source.kind}, "
            f"got {chosen.kind}"
        )
    if isinstance(chosen, ServerTarget):
        return _server(chosen)
    return _folder(
        source, Path(chosen.path) if own else _below(Path(chosen.path), register, source)
    )


def _several(register: Register) -> bool:
    return len(register.sources) > 1


def _of_register(
    register: Register, settings: TargetSettings
) -> FolderTarget | ServerTarget | None:
    """One target for a register is one for its only source: of several, each needs its own."""
    chosen = settings.registers.get(register.id)
    if chosen is not None and _several(register):
        first = register.sources[0].name
        raise TargetMissing(
            f"{settings.path}: register.{register.id}: expected a target for each of its sources, "
            "got one for all",
            hint=f"write [register.{register.id}.{first}] and so on, or leave it to the defaults",
        )
    return chosen


def _below(folder: Path, register: Register, source: RegisterSource) -> Path:
    """Where a register goes in a folder that it shares with others; its sources apart."""
    place = folder / register.id
    return place / source.name if _several(register) else place


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


def _folder(source: RegisterSource, place: Path) -> Target:
    from exclave.source.folder_target import folder_target

    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder_target(source, place)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
