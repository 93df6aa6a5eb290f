"""The folder of a quarantine: made for one run, and gone with it, whatever is in it.

    <place>/quarantine-<random>/       0700, locked for as long as somebody is at work there
        lock
        note.json                      what lies outside of it (`note.py`)
        server/ s/                     a PostgreSQL server of its own (`own_server.py`)
        ...                            what is restored

Rules
- Nothing that was there before is touched. Only a folder of such a name with such a lock counts as
  left by a killed run, and only when nobody holds the lock: the system lets go of a dead one's.
- What is left goes at the beginning of the next run in the same place.
- It is always cleared, also after a failure or an interruption: first programs and server, so that
  nobody writes any more, then what is in the clear here, then what the note names. What cannot be
  removed is an error that names it, and it stays noted.
- Removed is not wiped: on a disk whose blocks others will read, the place belongs on an encrypted
  file system or in memory (docs/guide-drills.md).
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exclave.durable import make_path
from exclave.errors import ConfigurationError, ExclaveError, StorageError
from exclave.file_lock import lock_file
from exclave.plain_words import size
from exclave.quarantine.note import NOTE, read_note
from exclave.quarantine.own_server import end_left_server
from exclave.quarantine.processes import end_left_programs

__all__ = [
    "PREFIX",
    "QuarantineBusy",
    "QuarantineFull",
    "QuarantineLeft",
    "QuarantineOpen",
    "clear_quarantine",
    "hold_alone",
    "open_quarantine",
    "remove_tree",
    "require_room",
]

PREFIX: Final = "quarantine-"
_NAME: Final = re.compile(rf"{PREFIX}[0-9a-f]{{16}}")
_LOCK: Final = "lock"
_ALONE: Final = "quarantine.lock"


class QuarantineBusy(ConfigurationError):
    """Another run is at work in a place that wants one at a time."""


class QuarantineFull(StorageError):
    """The quarantine has too little space for what is restored."""


class QuarantineLeft(ExclaveError):
    """Something of a register stays in quarantine, and can be read until it is removed."""


class QuarantineOpen(ConfigurationError):
    """The place can be entered by others than its owner."""


@contextmanager
def open_quarantine(place: Path) -> Iterator[Path]:
    """A new quarantine below `place`, after what killed runs left there was removed.

    It is cleared at the end, however that comes. Raises `QuarantineLeft`.
    """
    place = place.resolve()  # as programs that work here name it, whoever clears up after them
    make_path(place)
    for left in sorted(place.iterdir()):
        if _NAME.fullmatch(left.name):
            _clear_left(left)
    folder = place / f"{PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    with lock_file(folder / _LOCK) as held:
        assert held is not None  # the name was drawn just now
        try:
            yield folder
        finally:
            clear_quarantine(folder)


@contextmanager
def hold_alone(place: Path) -> Iterator[None]:
    """Keep everybody else out of a place for quarantines, which only its owner may enter.

    Raises `QuarantineOpen` or `QuarantineBusy`.
    """
    make_path(place)
    facts = place.stat()
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise QuarantineOpen(
            f"{place}: expected a folder that only its owner can enter, "
            f"got mode {stat.S_IMODE(facts.st_mode):o}",
            hint=f"chmod 700 {place}",
        )
    with lock_file(place / _ALONE) as held:
        if held is None:
            raise QuarantineBusy(
                f"{place}: expected an empty quarantine, another proof is at work there",
                hint="wait until it has ended, or name another folder under [quarantine]",
            )
        yield


def require_room(folder: Path, amount: int, *, hint: str) -> None:
    """Raise `QuarantineFull` unless so many bytes fit."""
    free = shutil.disk_usage(folder).free
    if free < amount:
        raise QuarantineFull(
            f"quarantine {folder}: expected {size(amount)} free, got {size(free)}", hint=hint
        )


def clear_quarantine(folder: Path) -> None:
    """Remove everything of a run; raises `QuarantineLeft`."""
    end_left_programs(folder)
    end_left_server(folder)
    note = read_note(folder)
    for other in note.folders:
        remove_tree(Path(other))
    for item in folder.iterdir():
        if item.name not in {NOTE, _LOCK}:
            remove_tree(item)
    if note.server is not None and not note.server.own:
        from exclave.quarantine.databases import drop_databases

        drop_databases(folder)
    remove_tree(folder)


def remove_tree(path: Path) -> None:
    """Remove what is there, in which folders may have the modes that they had at home."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    path.chmod(0o700)
    for parent, folders, _ in os.walk(path):
        for name in folders:
            within = Path(parent, name)
            if not within.is_symlink():
                within.chmod(0o700)  # before it is entered: an ordinary user needs that
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        raise QuarantineLeft(
            f"{path}: expected to be removed, but something is left",
            hint="remove it by hand: it may hold registers in the clear",
        )


def _clear_left(folder: Path) -> None:
    """Clear what a killed run has left; one that was killed before it had a lock left nothing."""
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        return  # planted by somebody else: its note would have us remove what he names
    if not (folder / _LOCK).is_file():
        if not any(folder.iterdir()):
            folder.rmdir()
        return
    with lock_file(folder / _LOCK) as held:
        if held is not None:
            clear_quarantine(folder)
