"""Registers that come back as one file: its name, the way to its place, its bytes read back.

What a file means (a database, a dump) is its adapter's.

Rules
- The manifest's name is that of a file and nothing else: a depositor's word leads nowhere.
- What exists is never overwritten. The file is written beside its place and moved there when it is
  whole and durable; a later call begins anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

from blake3 import blake3

from exclave.archive.manifest import Register
from exclave.archive.reference import StreamRef
from exclave.durable import sync_folder
from exclave.errors import TargetError, UsageError
from exclave.source.interface import ArchiveSupply, Difference, Progress, TargetOccupied

__all__ = [
    "PIECE",
    "FileExists",
    "FileUnwritable",
    "SingleFile",
    "compare_content",
    "files_of",
    "place_of",
    "require_none",
    "restore_file",
]

PIECE: Final = 1024 * 1024
"""Bytes that are read or written at once."""
_PART: Final = ".exclave-part"


class FileExists(TargetOccupied):
    """The target file, or what would change its meaning, exists."""


class FileUnwritable(TargetError):
    """The target file cannot be written, or its name is not that of a file."""


class SingleFile(Protocol):
    """An object of a manifest that is one file."""

    @property
    def file(self) -> str:
        """Its name."""

    @property
    def blake3(self) -> bytes:
        """Of its bytes."""

    @property
    def data(self) -> StreamRef:
        """Where they are."""


_Kind = TypeVar("_Kind", bound=SingleFile)


def files_of(register: Register, kind: type[_Kind], only: Sequence[str]) -> list[_Kind]:
    """The register's files of one kind; `only` those, if any are named."""
    found = [each for each in register.objects if isinstance(each, kind)]
    for name in only:
        if name not in {each.file for each in found}:
            raise UsageError(f"register {register.id}: expected one of its files, got {name!r}")
    return [each for each in found if not only or each.file in only]


def place_of(folder: Path, item: SingleFile) -> Path:
    """Where the file goes; raises `FileUnwritable`."""
    name = item.file
    if name in ("", ".", "..") or "/" in name or "\x00" in name:
        raise FileUnwritable(f"{folder}: expected the name of a file, got {name[:80]!r}")
    return folder / name


def require_none(*places: Path) -> None:
    """Raise `FileExists` if something is there."""
    for place in places:
        if place.is_symlink() or place.exists():
            raise FileExists(f"{place}: expected no file, got one")


def restore_file(
    folder: Path, item: SingleFile, supply: ArchiveSupply, progress: Progress, *, units: int
) -> None:
    """Write a file into a folder, which is made; `units` are reported when it is there."""
    path = place_of(folder, item)
    part = path.with_name(path.name + _PART)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(part, item, supply, progress)
        progress(item.file, units, 0)
        part.rename(path)
        sync_folder(folder)
    except OSError as error:
        raise FileUnwritable(f"{path}: expected to write it, got: {error.strerror}") from error


def _write(part: Path, item: SingleFile, supply: ArchiveSupply, progress: Progress) -> None:
    part.unlink(missing_ok=True)  # of an interrupted call
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(part, flags, 0o600), "wb") as stream:
        for piece in supply.read_stream(item.data):
            stream.write(piece)
            progress(item.file, 0, len(piece))
        stream.flush()
        os.fsync(stream.fileno())


def compare_content(register: str, item: SingleFile, path: Path) -> list[Difference]:
    """Whether the file has the bytes that were captured; raises `OSError` if it cannot be read."""
    digest = blake3()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    if digest.digest() == item.blake3:
        return []
    return [
        Difference(
            register=register,
            subject=item.file,
            what="content differs",
            expected=item.blake3.hex(),
            got=digest.hexdigest(),
        )
    ]
