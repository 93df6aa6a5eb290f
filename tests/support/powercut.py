"""A folder after a power cut: replays traced events and drops what was not synced.

    for count, disk in power_cuts(folder_before, run.events):
        disk.leave(new_folder)           # what is left when the power goes after `count` events

It models the least that a file system owes (POSIX): real ones keep more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.support.systrace import Event

T = TypeVar("T")

__all__ = ["Disk", "power_cuts"]


@dataclass(slots=True)
class _File:
    now: bytearray
    safe: bytes


class Disk:
    """A folder as it is after some events, and what of it a power cut must leave.

    Bytes survive when an fsync of their file began after they were written; a name, or its
    absence, when an fsync of its folder did. A real disk keeps more; software that needs more than
    this needs luck.
    """

    def __init__(self, folder: Path) -> None:
        """The folder as it is before the first event; all of it counts as safe."""
        self._names: dict[str, _File] = {}
        self._folders: set[str] = {"."}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_dir():
                self._folders.add(name)
            else:
                data = path.read_bytes()
                self._names[name] = _File(bytearray(data), data)
        self._safe_names = dict(self._names)
        self._safe_folders = set(self._folders)
        self._renamed: dict[str, str] = {}  # folders by their new names, not yet synced
        self._syncing: dict[int, tuple[_File, bytes] | tuple[dict[str, _File], set[str]]] = {}

    def apply(self, event: Event) -> None:
        """One event."""
        match event.call:
            case "open":
                file = self._names.setdefault(event.path, _File(bytearray(), b""))
                if event.offset:
                    file.now = bytearray()
            case "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2":
                self._write(self._names[event.path].now, event.offset, event.data)
            case "ftruncate":
                now = self._names[event.path].now
                now += bytes(max(0, event.offset - len(now)))
                del now[event.offset :]
            case "fsync" | "fdatasync":
                self._sync(event)
            case "rename" if event.path in self._folders:
                self._names = _moved(self._names, event.path, event.other)
                self._folders = set(_moved(dict.fromkeys(self._folders), event.path, event.other))
                self._renamed[event.other] = event.path
            case "rename":
                self._names[event.other] = self._names.pop(event.path)
            case "link":
                self._names[event.other] = self._names[event.path]
            case "unlink":
                self._names.pop(event.path)
            case "mkdir":
                self._folders.add(event.path)
            case "rmdir":
                self._folders.discard(event.path)
            case _:
                raise AssertionError(event.call)

    def leave(self, folder: Path, *, names: bool = False) -> None:
        """Write what survives into a new folder; with `names` all names survive, bytes do not."""
        folders = self._folders if names else self._safe_folders
        for path in sorted(folders):
            if all(parent in folders for parent in _above(path)):
                (folder / path).mkdir(parents=True, exist_ok=True)
        for path, file in (self._names if names else self._safe_names).items():
            if all(parent in folders for parent in _above(path)):
                (folder / path).write_bytes(file.safe)

    @staticmethod
    def _write(now: bytearray, offset: int, data: bytes) -> None:
        now += bytes(max(0, offset - len(now)))
        now[offset : offset + len(data)] = data

    def _sync(self, event: Event) -> None:
        if event.ended:
            begun = self._syncing.pop(event.thread)
            if isinstance(begun[0], _File):
                begun[0].safe = bytes(begun[1])  # type: ignore[arg-type]
            else:
                self._settle(event.path, *begun)  # type: ignore[arg-type]
        elif event.path in self._names:
            file = self._names[event.path]
            self._syncing[event.thread] = (file, bytes(file.now))
        else:
            here = {p: f for p, f in self._names.items() if _above(p)[0] == event.path}
            folders = {p for p in self._folders if p != "." and _above(p)[0] == event.path}
            self._syncing[event.thread] = (here, folders)

    def _settle(self, folder: str, here: dict[str, _File], folders: set[str]) -> None:
        for new in folders & self._renamed.keys():
            old = self._renamed.pop(new)  # what was safe in it is safe under its new name
            self._safe_names = _moved(self._safe_names, old, new)
            self._safe_folders = set(_moved(dict.fromkeys(self._safe_folders), old, new))
        for path in [p for p in self._safe_names if _above(p)[0] == folder]:
            del self._safe_names[path]
        self._safe_names |= here
        gone = {p for p in self._safe_folders if p != "." and _above(p)[0] == folder} - folders
        self._safe_folders -= gone
        self._safe_folders |= folders


def _moved(names: dict[str, T], old: str, new: str) -> dict[str, T]:
    """Names with those at and below a folder under its new name."""
    return {
        new + name[len(old) :] if f"{name}/".startswith(f"{old}/") else name: value
        for name, value in names.items()
    }


def _above(path: str) -> list[str]:
    """The folders that a path lies in, nearest first; `.` is the watched one."""
    return [parent.as_posix() for parent in Path(path).parents]


def power_cuts(before: Path, events: Sequence[Event]) -> Iterator[tuple[int, Disk]]:
    """The disk before the first event, and after each; `before` is the folder's first state."""
    disk = Disk(before)
    yield 0, disk
    for number, event in enumerate(events, 1):
        disk.apply(event)
        yield number, disk
