"""Sorted runs: which packs may hold a chunk, in files that are written once and never changed.

A run is a folder with four files, little-endian columns without a header:

    starts     u32 a bucket and one more: where the bucket begins. The bucket of a chunk is given by
               the first `bits` bits of its id; 8 to 16 entries share one
    tags       u16 an entry: the next sixteen bits of the id, ascending within a bucket
    packs      u32 an entry: journal's number of the pack
    prefixes   u64 an entry: the first 64 bits of the id, ascending; read when runs are merged

Searching reads `starts` and `tags` through memory maps, at most 2.5 bytes an entry, so that a chunk
that is nowhere costs two places in memory, whatever the number of entries; `packs` where a tag is
equal. An answer is a hint: about one in 5,000 chunks that are nowhere is said to be in some pack.

Rules
- Merging takes slices of the ids in turn, which are of about equal size since ids are random: its
  memory does not grow with the runs. It reads files, not maps: mapped pages count as memory.
- A run is durable when `write_run` returns, and means nothing until the journal names it.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from exclave.durable import sync_folder
from exclave.journal.lists import Prefixes
from exclave.journal.rows import JournalUnusable
from exclave.values import dataclass

__all__ = [
    "COLUMNS",
    "Packs",
    "Recent",
    "Run",
    "RunDamaged",
    "RunRow",
    "Source",
    "remove_run",
    "write_run",
]

Packs: TypeAlias = NDArray[np.uint32]

COLUMNS: Final[Mapping[str, np.dtype[Any]]] = {
    "starts": np.dtype("<u4"),
    "tags": np.dtype("<u2"),
    "packs": np.dtype("<u4"),
    "prefixes": np.dtype("<u8"),
}
_BUCKET: Final = 8  # least entries a bucket has on average
_TAG: Final = (1 << 16) - 1
_SLICE: Final = 1 << 16
"""Entries merged at once: 12 bytes each, a few times over."""
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class RunDamaged(JournalUnusable):
    """A run is not there, or not as it was written: the index is made again from the lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as the journal names it."""

    name: str
    entries: int
    bits: int

    def size(self, column: str) -> int:
        """Bytes that a column has."""
        count = (1 << self.bits) + 1 if column == "starts" else self.entries
        return count * COLUMNS[column].itemsize


class Source(Protocol):
    """Sorted entries, to be searched and to be merged into a run."""

    @property
    def entries(self) -> int:
        """How many there are."""

    @property
    def finest(self) -> int:
        """Bits by which parts can be told at most."""

    def packs_of(self, prefix: int) -> list[int]:
        """Packs that may hold a chunk whose id begins with these 64 bits."""

    def part(self, number: int, bits: int) -> tuple[Prefixes, Packs]:
        """The entries whose ids begin with the `bits` bits of `number`."""


class Recent:
    """Entries in memory."""

    __slots__ = ("_search", "packs", "prefixes")

    def __init__(self, prefixes: Prefixes, packs: Packs) -> None:
        """`prefixes` ascend."""
        self.prefixes = prefixes
        self.packs = packs
        self._search = prefixes.data  # bisecting makes plain integers of its items

    @classmethod
    def empty(cls) -> Self:
        """No entries."""
        return cls(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32))

    def with_packs(self, added: Sequence[tuple[int, Prefixes]]) -> Self:
        """These and the entries of more packs."""
        prefixes = np.concatenate([self.prefixes, *(item for _, item in added)])
        packs = [np.full(len(item), pack, dtype=np.uint32) for pack, item in added]
        order = np.argsort(prefixes, kind="stable")
        return type(self)(prefixes[order], np.concatenate([self.packs, *packs])[order])

    @property
    def entries(self) -> int:
        """How many there are."""
        return len(self.prefixes)

    @property
    def finest(self) -> int:
        """Any number of bits."""
        return 64

    def packs_of(self, prefix: int) -> list[int]:
        """As `Source.packs_of`."""
        packs = []
        at = bisect_left(self._search, prefix)
        while at < len(self._search) and self._search[at] == prefix:
            packs.append(int(self.packs[at]))
            at += 1
        return packs

    def part(self, number: int, bits: int) -> tuple[Prefixes, Packs]:
        """As `Source.part`."""
        first = bisect_left(self.prefixes, number << (64 - bits))
        end = bisect_left(self.prefixes, (number + 1) << (64 - bits))
        return self.prefixes[first:end], self.packs[first:end]


class Run:
    """One run, opened; it can be searched after its files were removed, until it is let go."""

    def __init__(self, folder: Path, row: RunRow) -> None:
        """Raises `RunDamaged` when a file is missing or has another size."""
        self.row = row
        self._folder = folder
        self._to_bucket, self._to_tag = 64 - row.bits, 48 - row.bits
        self._starts, self._tags, self._packs = (
            _mapped(folder, row, column) for column in ("starts", "tags", "packs")
        )
        _check_size(folder, row, "prefixes")

    @property
    def entries(self) -> int:
        """How many entries it has."""
        return self.row.entries

    @property
    def finest(self) -> int:
        """Its buckets."""
        return self.row.bits

    def packs_of(self, prefix: int) -> list[int]:
        """As `Source.packs_of`."""
        bucket, tag = prefix >> self._to_bucket, prefix >> self._to_tag & _TAG
        end = self._starts[bucket + 1]
        at = bisect_left(self._tags, tag, self._starts[bucket], end)
        packs = []
        while at < end and self._tags[at] == tag:
            packs.append(self._packs[at])
            at += 1
        return packs

    def part(self, number: int, bits: int) -> tuple[Prefixes, Packs]:
        """As `Source.part`, by at most `finest` bits."""
        shift = self.row.bits - bits
        first, end = int(self._starts[number << shift]), int(self._starts[(number + 1) << shift])
        return self._read("prefixes", first, end), self._read("packs", first, end)

    def _read(self, column: str, first: int, end: int) -> NDArray[Any]:
        dtype = COLUMNS[column]
        file = self._folder / self.row.name / column
        part = np.fromfile(file, dtype, count=end - first, offset=first * dtype.itemsize)
        if len(part) != end - first:
            raise RunDamaged(f"journal: index: {column} is shorter than it was written")
        return part


def write_run(folder: Path, sources: Sequence[Source], shared: NDArray[np.bool_]) -> RunRow:
    """Merge sources into a new run, durably; entries of packs that are not `shared` are left out.

    `shared` tells it for each of journal's numbers.
    """
    total = sum(source.entries for source in sources)
    sliced = min(_bits(total // _SLICE * _BUCKET), *(source.finest for source in sources))
    with _Writer(folder, bits=_bits(total), sliced=sliced) as writer:
        for number in range(1 << sliced):
            parts = [source.part(number, sliced) for source in sources]
            prefixes = np.concatenate([part[0] for part in parts])
            packs = np.concatenate([part[1] for part in parts])
            kept = np.flatnonzero(shared[packs])
            order = kept[np.argsort(prefixes[kept], kind="stable")]
            writer.add(number, prefixes[order], packs[order])
        return writer.finish()


def remove_run(folder: Path, name: str) -> None:
    """Remove a run that no journal names; what is left of it by an error goes another time."""
    shutil.rmtree(folder / name, ignore_errors=True)


class _Writer:
    """Writes the columns of a run slice by slice."""

    def __init__(self, folder: Path, *, bits: int, sliced: int) -> None:
        self._folder = folder
        self._name = secrets.token_hex(16)
        self._bits = bits
        self._below = bits - sliced  # bits of a bucket within its slice
        self._entries = 0
        self._files: dict[str, int] = {}

    def __enter__(self) -> Self:
        (self._folder / self._name).mkdir(mode=0o700)
        for column in COLUMNS:
            self._files[column] = os.open(self._folder / self._name / column, _NEW, 0o600)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        if kind is not None:
            remove_run(self._folder, self._name)

    def add(self, number: int, prefixes: Prefixes, packs: Packs) -> None:
        """The next slice, sorted."""
        buckets = (prefixes >> np.uint64(64 - self._bits)).astype(np.intp)
        counts = np.bincount(buckets - (number << self._below), minlength=1 << self._below)
        self._write("starts", self._entries + np.cumsum(counts) - counts)
        self._write("tags", prefixes >> np.uint64(48 - self._bits))
        self._write("packs", packs)
        self._write("prefixes", prefixes)
        self._entries += len(prefixes)

    def finish(self) -> RunRow:
        """Everything is on the medium now."""
        self._write("starts", np.array([self._entries]))
        for descriptor in self._files.values():
            os.fsync(descriptor)
        sync_folder(self._folder / self._name)
        sync_folder(self._folder)
        return RunRow(name=self._name, entries=self._entries, bits=self._bits)

    def _write(self, column: str, values: NDArray[Any]) -> None:
        rest = values.astype(COLUMNS[column]).data.cast("B")
        while rest:
            rest = rest[os.write(self._files[column], rest) :]


def _bits(entries: int) -> int:
    """Bits of a bucket's number among so many entries."""
    return max(entries // _BUCKET, 1).bit_length() - 1


def _check_size(folder: Path, row: RunRow, column: str) -> Path:
    file = folder / row.name / column
    try:
        size = file.stat().st_size
    except OSError as error:
        raise RunDamaged(f"journal: index: {column}: {error.strerror}") from error
    if size != row.size(column):
        raise RunDamaged(f"journal: index: {column}: expected {row.size(column)} bytes, got {size}")
    return file


def _mapped(folder: Path, row: RunRow, column: str) -> memoryview:
    file = _check_size(folder, row, column)
    if not row.size(column):
        return np.empty(0, COLUMNS[column]).data
    with file.open("rb") as stream:
        mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    mapping.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapping, COLUMNS[column]).data
