"""What restores a source into a folder, by its kind; an adapter is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exclave.archive.register import RegisterSource
    from exclave.source.interface import Target

__all__ = ["folder_target"]


def folder_target(source: RegisterSource, place: Path) -> Target:
    """For a source of any kind but `postgresql`, which goes to a server."""
    match source.kind:
        case "sqlite":
            from exclave.source.sqlite import SqliteTarget

            return SqliteTarget(place)
        case "command":
            from exclave.source.command import CommandTarget

            return CommandTarget(place)
        case _:
            from exclave.source.files.restore import FilesTarget

            return FilesTarget(place)
