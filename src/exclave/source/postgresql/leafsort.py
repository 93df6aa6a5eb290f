"""External sort of row leaves in bounded memory, for the tree of a multiset.

Leaves are 32 bytes each and come by the million, so they are kept, sorted and merged as arrays,
never as objects. What does not fit into memory is written in sorted runs to one encrypted
temporary file (`scratch.py`): a leaf tells whether a guessed row is there.

Rules
- Not thread-safe: one sorter belongs to one thread.
- `close` gives the space back at once, also after an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from exclave.archive.rows import LEAF
from exclave.source.postgresql.scratch import FRAME, Place, ScratchFile

__all__ = ["LeafSorter"]

# numpy compares strings of fixed width as bytes, padding included: the order of leaves.
_Leaves: TypeAlias = npt.NDArray[np.bytes_]
_TYPE: Final = f"S{LEAF}"
_COPIES: Final = 3  # what was added, joined, and sorted: the peak while a run is made


class LeafSorter:
    """Collects leaves, then gives them back in ascending order, once."""

    __slots__ = ("_file", "_held", "_limit", "_runs", "_size")

    def __init__(self, scratch: Path, memory: int) -> None:
        self._limit = memory // _COPIES
        self._held: list[bytes] = []
        self._size = 0
        self._file = ScratchFile(scratch)
        self._runs: list[list[Place]] = []

    @property
    def runs(self) -> int:
        """Number of runs written so far; 0 while everything fits into memory."""
        return len(self._runs)

    def add_many(self, leaves: Sequence[bytes]) -> None:
        """Take leaves in any order."""
        self._held.append(b"".join(leaves))
        self._size += LEAF * len(leaves)
        if self._size > self._limit:
            self._spill()

    def sorted_leaves(self) -> Iterator[bytes]:
        """All leaves in ascending order, concatenated; nothing may be added afterwards."""
        last = self._sorted()
        if not self._runs:
            yield last.tobytes()
            return
        runs = [_Run(self._frames(run)) for run in self._runs]
        runs.append(_Run(iter((last,))))
        while runs := [run for run in runs if len(run.leaves)]:
            yield _merge_step(runs)

    def close(self) -> None:
        """Forget everything."""
        self._held = []
        self._runs = []
        self._file.close()

    def _sorted(self) -> _Leaves:
        leaves = np.sort(np.frombuffer(b"".join(self._held), dtype=_TYPE))
        self._held = []
        self._size = 0
        return leaves

    def _spill(self) -> None:
        data = self._sorted().tobytes()
        run = [
            self._file.write(data[start : start + FRAME]) for start in range(0, len(data), FRAME)
        ]
        self._file.flush()
        self._runs.append(run)

    def _frames(self, run: list[Place]) -> Iterator[_Leaves]:
        for place in run:
            yield np.frombuffer(self._file.read(place), dtype=_TYPE)


class _Run:
    """A sorted run, of which one frame is in memory."""

    __slots__ = ("_following", "_frames", "leaves")

    def __init__(self, frames: Iterator[_Leaves]) -> None:
        self._frames = frames
        self.leaves = next(frames)
        self._following = next(frames, None)

    @property
    def bound(self) -> bytes | None:
        """The leaf up to which this run is known; None: to its end."""
        return None if self._following is None else bytes(self.leaves[-1])

    def take(self, bound: bytes | None) -> _Leaves:
        """Leaves up to the bound; the next frame follows when this one is used up."""
        leaves = self.leaves
        if bound is None:
            count = len(leaves)
        else:
            count = int(leaves.searchsorted(np.bytes_(bound), side="right"))
        self.leaves = leaves[count:]
        if not len(self.leaves) and self._following is not None:
            self.leaves, self._following = self._following, next(self._frames, None)
        return leaves[:count]


def _merge_step(runs: Sequence[_Run]) -> bytes:
    """The leaves that no run can still undercut: up to the least of the runs' bounds."""
    bounds = [bound for run in runs if (bound := run.bound) is not None]
    bound = min(bounds, default=None)
    return np.sort(np.concatenate([run.take(bound) for run in runs])).tobytes()
