"""Where the sources of one register are restored in quarantine.

Each source has a folder of its own, or databases on the quarantine server; all of it goes when the
register was looked at. What a server needs is imported when there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.archive.manifest import Register, RegisterSource
from exclave.quarantine.folder import remove_tree
from exclave.quarantine.note import QuarantineServer
from exclave.source.folder_target import folder_target

if TYPE_CHECKING:
    from exclave.reconstruct.assertions import RestoredPlace
    from exclave.source.interface import Target
    from exclave.source.postgresql import PostgresConfig

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
        if source.kind == "postgresql":
            from exclave.source.postgresql import PostgresTarget

            return PostgresTarget(self._config())
        return folder_target(source, self._folder_of(source))

    def restored(self) -> dict[str, RestoredPlace]:
        """Where assertions find each source."""
        return {source.name: self._restored(source) for source in self._register.sources}

    def _restored(self, source: RegisterSource) -> RestoredPlace:
        from exclave.reconstruct.assertions import restored_in, restored_on

        if source.kind == "postgresql":
            return restored_on(self._config(), source)
        return restored_in(self._folder_of(source), source)

    def _config(self) -> PostgresConfig:
        from exclave.quarantine.databases import server_config

        assert self._server is not None
        return server_config(self._server)

    def _folder_of(self, source: RegisterSource) -> Path:
        return self.folder / "sources" / source.name


def has_places(register: Register, server: QuarantineServer | None) -> bool:
    """Whether every source of a register can be restored."""
    return server is not None or all(item.kind != "postgresql" for item in register.sources)


@contextmanager
def open_places(
    register: Register, folder: Path, server: QuarantineServer | None
) -> Iterator[Places]:
    """The places of a register; they are cleared at the end. `folder` is the quarantine."""
    from exclave.reconstruct.assertions import databases_of

    place = folder / "registers" / register.id
    (place / "sources").mkdir(mode=0o700, parents=True)
    databases = [name for source in register.sources for name in databases_of(source)]
    try:
        if server is None or not databases:
            yield Places(register, place, server)
            return
        from exclave.quarantine.databases import claim_databases, drop_databases

        claim_databases(folder, server, databases)
        try:
            yield Places(register, place, server)
        finally:
            drop_databases(folder)
    finally:
        remove_tree(place)
