"""What one volume is written to: a file, or a device such as a tape.

A file has its name only when the whole bag is written and synced. A device takes blocks as they
come and cannot take them back: its volumes count when the last one has its end block.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from exclave.bag.interface import BagExists, NoBag
from exclave.durable import DurableFile, NoSpace, storage_errors
from exclave.errors import ConfigurationError

__all__ = ["Medium", "MediumFull", "MediumUnusable", "open_medium", "require_medium"]


_DEVICES: Final = Path("/dev")


class MediumUnusable(ConfigurationError):
    """A device that cannot be written."""


class MediumFull(Exception):
    """The block did not fit; what was written before it stands."""


class Medium(Protocol):
    """One volume in the making."""

    def write(self, block: bytes) -> None:
        """Append a block, whole; raises `MediumFull`."""

    def close(self) -> None:
        """Make what was written durable."""

    def publish(self) -> None:
        """Give it its name, after `close`."""

    def discard(self) -> None:
        """Forget it, where that is possible."""


def open_medium(path: Path) -> Medium:
    """The medium that a path names; raises what `require_medium` raises."""
    mode = require_medium(path)
    return _File(path) if mode is None else _Device(path, disk=stat.S_ISBLK(mode))


def require_medium(path: Path) -> int | None:
    """The mode of a device, None for a file that may be made; raises `BagExists` or `NoBag`."""
    with suppress(FileNotFoundError, NotADirectoryError):
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISBLK(mode):
            return mode
        raise BagExists(f"{path}: expected a new file, got one that is there", hint="name another")
    if path.absolute().parent == _DEVICES:  # a file there would lie in memory
        raise NoBag(f"{path}: expected a device, got none", hint="is the drive connected?")
    if not path.parent.is_dir():
        raise NoBag(f"{path.parent}: expected a folder, got none", hint="is the disk mounted?")
    return None


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = DurableFile(path.parent, path.name)
        self._size = 0

    def write(self, block: bytes) -> None:
        try:
            self._file.write(block)
        except NoSpace as error:
            os.truncate(self._file.temporary, self._size)  # half of a block may be there
            raise MediumFull from error
        self._size += len(block)

    def close(self) -> None:
        self._file.sync(0o444)

    def publish(self) -> None:
        with storage_errors(self._path.name):
            try:
                self._file.name(self._path)
            except FileExistsError as error:
                raise BagExists(f"{self._path}: was made while the bag was written") from error

    def discard(self) -> None:
        self._file.discard()


class _Device:
    def __init__(self, path: Path, *, disk: bool) -> None:
        self._path = path
        # Of a disk that is mounted the kernel then says that it is busy.
        flags = os.O_WRONLY | os.O_CLOEXEC | (os.O_EXCL if disk else 0)
        try:
            self._descriptor: int | None = os.open(path, flags)
        except OSError as error:
            raise MediumUnusable(
                f"{path}: expected a medium that can be written, got: {error.strerror}",
                hint="is it mounted, or in use? volumes are written over all that lies there"
                if error.errno == errno.EBUSY
                else "is it there, and may you write to it?",
            ) from error

    def write(self, block: bytes) -> None:
        assert self._descriptor is not None
        rest = memoryview(block)
        try:
            with storage_errors(str(self._path)):
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except NoSpace as error:
            raise MediumFull from error

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        assert descriptor is not None
        with storage_errors(str(self._path)):
            try:
                os.fsync(descriptor)
            except OSError as error:
                if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EROFS}:
                    raise
            finally:
                os.close(descriptor)

    def publish(self) -> None:
        pass

    def discard(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
