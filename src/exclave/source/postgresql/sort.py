"""External sort of short byte strings in bounded memory, for trees whose order is not the stream's.

Records are sorted as bytes. What does not fit into memory is written in sorted runs to one
unlinked temporary file, encrypted with AES-256-GCM under a key that exists only in this
object: keys of rows are content, and only encrypted content may touch the scratch folder.

Rules
- Not thread-safe: one sorter belongs to one thread.
- `close` (or leaving the `with` block) gives the space back at once, also after an error.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exclave.errors import IntegrityError, StorageError

__all__ = ["ExternalSorter", "ScratchChanged", "ScratchUnusable"]

_FRAME: Final = 64 * 1024  # plaintext of one encrypted frame: the memory of one run in the merge
# A bytes object costs its header besides its content, and a list eight bytes for the pointer.
_OVERHEAD: Final = 33 + 8 + 8


class ScratchUnusable(StorageError):
    """The scratch folder takes no temporary file, or is full."""


class ScratchChanged(IntegrityError):
    """A temporary file does not hold what was written to it."""


class ExternalSorter:
    """Collects records, then gives them back in ascending order of their bytes, once."""

    __slots__ = ("_cipher", "_file", "_frames", "_held", "_limit", "_records", "_runs", "_scratch")

    def __init__(self, scratch: Path, memory: int) -> None:
        self._scratch = scratch
        self._limit = memory
        self._records: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._cipher = AESGCM(os.urandom(32))
        self._frames = 0
        self._runs: list[list[tuple[int, int, int]]] = []  # per run: frame number, offset, size

    @property
    def runs(self) -> int:
        """Number of runs written so far; 0 while everything fits into memory."""
        return len(self._runs)

    def add_many(self, records: list[bytes]) -> None:
        """Take records in any order."""
        self._records += records
        self._held += sum(map(len, records)) + _OVERHEAD * len(records)
        if self._held > self._limit:
            self._spill()

    def sorted_records(self) -> Iterator[bytes]:
        """All records in ascending order; nothing may be added afterwards."""
        self._records.sort()
        if not self._runs:
            yield from self._records
            return
        runs: list[Iterable[bytes]] = [self._read_run(run) for run in self._runs]
        yield from heapq.merge(*runs, self._records)

    def close(self) -> None:
        """Forget everything; the file has no name and ends with its descriptor."""
        self._records = []
        self._runs = []
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _spill(self) -> None:
        self._records.sort()
        run: list[tuple[int, int, int]] = []
        frame = bytearray()
        for record in self._records:
            frame += len(record).to_bytes(4, "big") + record
            if len(frame) >= _FRAME:
                run.append(self._write_frame(bytes(frame)))
                frame.clear()
        if frame:
            run.append(self._write_frame(bytes(frame)))
        self._flush()
        self._runs.append(run)
        self._records = []
        self._held = 0

    def _flush(self) -> None:
        assert self._file is not None
        try:
            self._file.flush()  # runs are read by position, past the buffer
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> ScratchUnusable:
        return ScratchUnusable(
            f"scratch folder {self._scratch}: expected room for sorting, got: {error.strerror}"
        )

    def _write_frame(self, frame: bytes) -> tuple[int, int, int]:
        number = self._frames
        self._frames += 1
        sealed = self._cipher.encrypt(_nonce(number), frame, None)
        try:
            if self._file is None:
                # TemporaryFile has no name from the start (O_TMPFILE) or loses it at once.
                self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115
            offset = self._file.tell()
            self._file.write(sealed)
        except OSError as error:
            raise self._unusable(error) from error
        return number, offset, len(sealed)

    def _read_run(self, run: list[tuple[int, int, int]]) -> Iterator[bytes]:
        for number, offset, size in run:
            assert self._file is not None
            sealed = os.pread(self._file.fileno(), size, offset)
            try:
                frame = self._cipher.decrypt(_nonce(number), sealed, None)
            except InvalidTag:
                raise ScratchChanged(
                    f"scratch folder {self._scratch}: a temporary file was changed meanwhile"
                ) from None
            place = 0
            while place < len(frame):
                length = int.from_bytes(frame[place : place + 4], "big")
                yield frame[place + 4 : place + 4 + length]
                place += 4 + length


def _nonce(number: int) -> bytes:
    """Frames are counted and a key lives in one object only, so no nonce comes twice."""
    return number.to_bytes(12, "big")
