"""Where the sources of a drill go: folders in its quarantine, databases on a server.

Rules
- Room is asked for before anything is restored, for all sources together.
- A given server takes databases that it did not have; roles that a restore made there are noted,
  and go with them. Where none was given, one is started when the first source needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave.archive.manifest import Register
from exclave.archive.objects import (
    CommandOutput,
    FilesTree,
    PgLargeObjects,
    PgTable,
    SqliteDatabase,
)
from exclave.archive.register import RegisterSource
from exclave.quarantine.folder import require_room
from exclave.quarantine.note import QuarantineServer
from exclave.reconstruct.assertions import RestoredPlace, databases_of, restored_in, restored_on
from exclave.source.folder_target import folder_target
from exclave.source.interface import ArchiveSupply, Compared, Progress, Target

if TYPE_CHECKING:
    from exclave.wiring.settings import ServerTarget

__all__ = ["DrillTargets"]

_SPARE: Final = 64 * 2**20
"""Bytes that stay free beside what is restored."""


class DrillTargets:
    """Places in one quarantine."""

    def __init__(self, quarantine: Path, given: ServerTarget | None = None) -> None:
        """`quarantine` is an open one's folder; `given` is a server for fresh databases."""
        self.quarantine = quarantine
        self._given = None if given is None else _given(given)
        self._started: QuarantineServer | None = None
        self._ends = ExitStack()
        self._needed = 0
        self._restored: dict[str, dict[str, RestoredPlace]] = {}

    def target_for(self, register: Register, source: RegisterSource) -> Target:
        """Where a source goes. Raises what makes the quarantine unfit, while it is empty."""
        restored = self._restored.setdefault(register.id, {})
        self.need(_restored_size(source))
        if source.kind != "postgresql":
            place = self.quarantine / "registers" / register.id / source.name
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            restored[source.name] = restored_in(place, source)
            return folder_target(source, place)
        from exclave.quarantine.databases import server_config
        from exclave.source.postgresql import PostgresTarget

        server = self.server_for(databases_of(source))
        restored[source.name] = restored_on(server_config(server), source)
        target = PostgresTarget(server_config(server))
        return target if server.own else _GivenServerTarget(target, self.quarantine, server)

    def restored(self, register: str) -> Mapping[str, RestoredPlace]:
        """Where assertions find each source of a register."""
        return self._restored[register]

    def need(self, amount: int) -> None:
        """Raise `QuarantineFull` unless so many bytes more, beside those before, will fit."""
        self._needed += amount
        hint = "name a larger place with --quarantine"
        require_room(self.quarantine, self._needed + _SPARE, hint=hint)

    def server_for(self, databases: Sequence[str]) -> QuarantineServer:
        """A server without these databases.

        Raises `QuarantineOccupied` for a given one that has one; `NoServer`.
        """
        if self._given is not None:
            from exclave.quarantine.databases import claim_databases

            claim_databases(self.quarantine, self._given, databases)
            return self._given
        if self._started is None:
            from exclave.quarantine.own_server import measured_server

            self._started = self._ends.enter_context(measured_server(self.quarantine))
        return self._started

    def close(self) -> None:
        """End a server that was started; again is no error."""
        self._ends.close()


class _GivenServerTarget:
    """A PostgreSQL target whose new roles go with the quarantine."""

    def __init__(self, target: Target, quarantine: Path, server: QuarantineServer) -> None:
        self._target = target
        self._quarantine = quarantine
        self._server = server

    def check_empty(self, register: Register) -> None:
        """As in `Target`."""
        self._target.check_empty(register)

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """As in `Target`."""
        from exclave.quarantine.databases import note_roles

        before = self._roles()
        try:
            self._target.restore(register, supply, progress, only=only)
        finally:
            note_roles(self._quarantine, sorted(self._roles() - before))

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """As in `Target`."""
        return self._target.compare(register, supply, progress, only=only)

    def _roles(self) -> set[str]:
        from exclave.quarantine.databases import open_session, roles_on

        with open_session(self._server) as session:
            return roles_on(session)


def _restored_size(source: RegisterSource) -> int:
    """Bytes on disk, roughly: tables bring indexes."""
    total = 0
    for item in source.objects:
        match item:
            case PgTable():
                total += 2 * item.data.length
            case FilesTree() | PgLargeObjects():
                total += item.content.length
            case SqliteDatabase() | CommandOutput():
                total += item.data.length
            case _:
                pass
    return total


def _given(target: ServerTarget) -> QuarantineServer:
    return QuarantineServer(
        host=target.host,
        port=target.port,
        user=target.user,
        password_file=target.password_file,
        bin_dir=target.bin_dir,
        jobs=target.jobs,
    )
