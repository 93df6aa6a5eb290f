"""External sort of short byte strings in bounded memory, to name the rows that differ.

Records are sorted as bytes. What does not fit into memory is written in sorted runs to one
encrypted temporary file (`scratch.py`).

Rules
- Not thread-safe: one sorter belongs to one thread.
- `close` (or leaving the `with` block) gives the space back at once, also after an error.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from exclave.source.scratch import FRAME, Place, ScratchFile

__all__ = ["ExternalSorter"]

# A bytes object costs its header besides its content, and a list eight bytes for the pointer.
_OVERHEAD: Final = 33 + 8 + 8


class ExternalSorter:
    """Collects records, then gives them back in ascending order of their bytes, once."""

    __slots__ = ("_file", "_held", "_limit", "_records", "_runs")

    def __init__(self, scratch: Path, memory: int) -> None:
        self._limit = memory
        self._records: list[bytes] = []
        self._held = 0
        self._file = ScratchFile(scratch)
        self._runs: list[list[Place]] = []

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
        """Forget everything."""
        self._records = []
        self._runs = []
        self._file.close()

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
        run: list[Place] = []
        frame = bytearray()
        for record in self._records:
            frame += len(record).to_bytes(4, "big") + record
            if len(frame) >= FRAME:
                run.append(self._file.write(bytes(frame)))
                frame.clear()
        if frame:
            run.append(self._file.write(bytes(frame)))
        self._file.flush()
        self._runs.append(run)
        self._records = []
        self._held = 0

    def _read_run(self, run: list[Place]) -> Iterator[bytes]:
        for frame in map(self._file.read, run):
            place = 0
            while place < len(frame):
                length = int.from_bytes(frame[place : place + 4], "big")
                yield frame[place + 4 : place + 4 + length]
                place += 4 + length
