"""Where the sources of one register are restored in quarantine.

Each source has a folder of its own, or databases on the quarantine server; all of it goes when the
register was looked at. Adapters are imported when a source needs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.archive.manifest import Register, RegisterSource
from exclave.archive.objects import PgDatabase, SqliteDatabase
from exclave.proof.quarantine import remove_tree
from exclave.proof.task import QuarantineServer

if TYPE_CHECKING:
    from exclave.reconstruct.assertions import RestoredPlace
    from exclave.source.interface import Target

__all__ = ["Places", "has_places", "open_places"]


class Places:
    """The places of one register."""

    def __init__(self, register: Register, folder: Path, server: QuarantineServer | None) -> None:
        """`folder` is the register's own; every PostgreSQL source needs a server."""
        self._register = register
        self._server = server
        self.folder = folder

    def target(self, source: RegisterSource) -> Target:
        """What restores a source here."""
        place = self._folder_of(source)
        match source.kind:
            case "postgresql":
                from exclave.proof.databases import server_config
                from exclave.source.postgresql import PostgresTarget

                assert self._server is not None
                return PostgresTarget(server_config(self._server))
            case "sqlite":
                from exclave.source.sqlite import SqliteTarget

                return SqliteTarget(place)
            case "command":
                from exclave.source.command import CommandTarget

                return CommandTarget(place)
            case "files":
                from exclave.source.files.restore import FilesTarget

                return FilesTarget(place)

    def restored(self) -> dict[str, RestoredPlace]:
        """Where assertions find each source."""
        return {source.name: self._restored(source) for source in self._register.sources}

    def _restored(self, source: RegisterSource) -> RestoredPlace:
        from exclave.reconstruct.assertions import RestoredFolder, RestoredServer, RestoredSqlite

        place = self._folder_of(source)
        if source.kind == "postgresql":
            from exclave.proof.databases import server_config

            assert self._server is not None
            names = {name: name for name in _databases(source)}
            return RestoredServer(config=server_config(self._server), databases=names)
        for item in source.objects:
            if isinstance(item, SqliteDatabase):
                return RestoredSqlite(file=place / item.file)
        return RestoredFolder(folder=place)

    def _folder_of(self, source: RegisterSource) -> Path:
        return self.folder / "sources" / source.name


def has_places(register: Register, server: QuarantineServer | None) -> bool:
    """Whether every source of a register can be restored."""
    return server is not None or all(item.kind != "postgresql" for item in register.sources)


@contextmanager
def open_places(
    register: Register, folder: Path, server: QuarantineServer | None
) -> Iterator[Places]:
    """The places of a register; they are cleared at the end. `folder` is the run's."""
    place = folder / "registers" / register.id
    (place / "sources").mkdir(mode=0o700, parents=True)
    databases = [name for source in register.sources for name in _databases(source)]
    try:
        if server is None or not databases:
            yield Places(register, place, server)
            return
        from exclave.proof.databases import drop_databases, note_databases

        note_databases(folder, server, databases)
        try:
            yield Places(register, place, server)
        finally:
            drop_databases(folder, server)
    finally:
        remove_tree(place)


def _databases(source: RegisterSource) -> list[str]:
    return [item.database for item in source.objects if isinstance(item, PgDatabase)]
