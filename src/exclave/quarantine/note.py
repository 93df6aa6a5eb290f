"""What of a quarantine lies outside of its folder: databases and roles of a server, other folders.

Rules
- It is durable before what it tells of is made, so that whoever clears up after a killed run knows.
- There is no password in it, but the name of the file with one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from exclave.durable import replace_file
from exclave.values import asdict, dataclass

__all__ = ["NOTE", "Note", "QuarantineServer", "keep_note", "read_note"]

NOTE: Final = "note.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineServer:
    """A PostgreSQL server whose databases come and go with a quarantine."""

    host: str
    port: int
    user: str
    password_file: str | None = None
    bin_dir: str | None = None
    jobs: int = 2
    own: bool = False  # made for this quarantine, and gone with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What has to go besides the folder."""

    server: QuarantineServer | None = None  # that has the databases and roles
    databases: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def read_note(folder: Path) -> Note:
    """Nothing was noted where no note is."""
    try:
        value = json.loads((folder / NOTE).read_bytes())
    except FileNotFoundError:
        return Note()
    server = value["server"]
    return Note(
        server=None if server is None else QuarantineServer(**server),
        databases=tuple(value["databases"]),
        roles=tuple(value["roles"]),
        folders=tuple(value["folders"]),
    )


def keep_note(folder: Path, note: Note) -> None:
    """Durable on return."""
    replace_file(folder / NOTE, [json.dumps(asdict(note)).encode()], mode=0o600)
