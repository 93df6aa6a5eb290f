"""Where decoded registers stand while they are compared, and how nothing of them stays.

Rules
- Everything lies in a folder of this run below the quarantine (both 0700), and in databases that
  did not exist before. Both go at the end, whatever came of it; what a killed run has left goes at
  the beginning of the next. A lock says that nobody works there now.
- What stands on a quarantine server is `databases.py`'s.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exclave.durable import make_path
from exclave.errors import ConfigurationError, StorageError
from exclave.proof.server import DATA, end_left_server
from exclave.proof.task import QuarantineServer

__all__ = [
    "DATABASES",
    "QuarantineBusy",
    "QuarantineFull",
    "QuarantineLeft",
    "QuarantineOpen",
    "enter_quarantine",
    "remove_tree",
    "require_room",
]

DATABASES: Final = "databases.json"
"""In the folder of a run: which databases it made on the quarantine server."""
_LOCK: Final = "quarantine.lock"
_RUN: Final = "proof-"


class QuarantineBusy(ConfigurationError):
    """Another proof works in the same quarantine."""


class QuarantineLeft(StorageError):
    """Something of a register stays in quarantine."""


class QuarantineOpen(ConfigurationError):
    """The quarantine can be read by others than its owner."""


class QuarantineFull(StorageError):
    """The quarantine has too little space for a register."""


@contextmanager
def enter_quarantine(place: Path, server: QuarantineServer | None) -> Iterator[Path]:
    """A new folder in the quarantine that goes at the end, with the databases noted there."""
    make_path(place)
    _require_closed(place)
    handle = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise QuarantineBusy(
                f"{place}: expected an empty quarantine, another proof is at work there",
                hint="wait until it has ended, or name another folder under [quarantine]",
            ) from error
        for left in place.glob(f"{_RUN}*"):
            _clear(left, server)
        folder = Path(tempfile.mkdtemp(prefix=_RUN, dir=place))
        try:
            yield folder
        finally:
            _clear(folder, server)
    finally:
        os.close(handle)


def require_room(folder: Path, size: int) -> None:
    """Raise `QuarantineFull` unless so many bytes fit."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise QuarantineFull(
            f"{folder.parent}: expected room for {size} bytes, got {free}",
            hint="make room, or name another folder under [quarantine]",
        )


def _require_closed(place: Path) -> None:
    facts = place.stat()
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise QuarantineOpen(
            f"{place}: expected a folder that only its owner can enter, "
            f"got mode {stat.S_IMODE(facts.st_mode):o}",
            hint=f"chmod 700 {place}",
        )


def remove_tree(folder: Path) -> None:
    """Remove a folder with registers in it, whose folders have the modes that they had at home."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            place = Path(parent, name)
            if not place.is_symlink():
                place.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise QuarantineLeft(
            f"{folder}: expected to be removed, but something is left",
            hint="remove it by hand: it holds registers in the clear",
        )


def _clear(folder: Path, server: QuarantineServer | None) -> None:
    end_left_server(folder)
    if (folder / DATABASES).exists() and not (folder / DATA).exists():
        if server is None:
            raise QuarantineLeft(
                f"{folder}: a proof that was killed has left databases on a quarantine server",
                hint=f"name it under [quarantine.postgresql], or drop what {DATABASES} there lists",
            )
        from exclave.proof.databases import drop_databases

        drop_databases(folder, server)
    remove_tree(folder)
