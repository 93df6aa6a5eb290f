"""A temporary file for what does not fit into memory, encrypted under a key that only we hold.

Rows, their keys and chunks are content, and only encrypted content may touch the scratch folder.
The file has no name and ends with its descriptor; the key (AES-256-GCM) exists only in this object.

Rules
- Not thread-safe: one file belongs to one thread.
- Frames are read back only by whoever wrote them, with the place that `write` gave.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO, Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exclave.errors import IntegrityError, StorageError

__all__ = ["FRAME", "Place", "ScratchChanged", "ScratchFile", "ScratchUnusable"]

FRAME: Final = 64 * 1024
"""Plaintext of one frame: the memory of one sorted run while runs are merged."""

Place: TypeAlias = tuple[int, int, int]
"""Where a frame stands: its number, offset and sealed size."""


class ScratchUnusable(StorageError):
    """The scratch folder takes no temporary file, or is full."""


class ScratchChanged(IntegrityError):
    """A temporary file does not hold what was written to it."""


class ScratchFile:
    """Frames written once and read by place; opened with the first frame."""

    __slots__ = ("_cipher", "_file", "_folder", "_frames")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cipher = AESGCM(os.urandom(32))
        self._file: IO[bytes] | None = None
        self._frames = 0

    def write(self, frame: bytes) -> Place:
        """Append a frame; raises `ScratchUnusable`."""
        number = self._frames
        self._frames += 1
        sealed = self._cipher.encrypt(_nonce(number), frame, None)
        try:
            if self._file is None:
                # TemporaryFile has no name from the start (O_TMPFILE) or loses it at once.
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            offset = self._file.tell()
            self._file.write(sealed)
        except OSError as error:
            raise self._unusable(error) from error
        return number, offset, len(sealed)

    def flush(self) -> None:
        """Make what was written readable: reads go by position, past the buffer."""
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise self._unusable(error) from error

    def read(self, place: Place) -> bytes:
        """A frame written before the last `flush`; raises `ScratchChanged`."""
        number, offset, size = place
        assert self._file is not None
        sealed = os.pread(self._file.fileno(), size, offset)
        try:
            return self._cipher.decrypt(_nonce(number), sealed, None)
        except InvalidTag:
            raise ScratchChanged(
                f"scratch folder {self._folder}: a temporary file was changed meanwhile"
            ) from None

    def close(self) -> None:
        """Give the space back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _unusable(self, error: OSError) -> ScratchUnusable:
        return ScratchUnusable(
            f"scratch folder {self._folder}: expected room, got: {error.strerror}"
        )


def _nonce(number: int) -> bytes:
    """Frames are counted and a key lives in one object only, so no nonce comes twice."""
    return number.to_bytes(12, "big")
