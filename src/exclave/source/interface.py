"""What a register's adapter must do: capture into an archive, restore from one, compare.

A source reads one register and writes its streams to an `ArchiveSink`; what it returns
are the manifest's objects, which refer to those streams. A target is the way back. An
adapter knows nothing of packs, keys or vaults.

Rules
- `capture` gives one consistent state of the register or raises a `SourceError` naming the
  object; a partial or mixed capture is never returned.
- Streams may be opened and written from several threads, each stream from one thread.
- `restore` writes into an empty target only (`TargetOccupied` otherwise) and may be called
  again after an interruption: what an earlier call finished is kept or redone, never doubled.
  After its very last step a target cannot be told from one with content and is occupied again.
- `compare` takes expected values from the manifest alone and reads the restored register
  through a new connection. It returns differences; it does not raise for them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from exclave.archive.manifest import ManifestObject, Register
from exclave.archive.reference import StreamRef
from exclave.errors import TargetError
from exclave.values import dataclass

__all__ = [
    "ArchiveSink",
    "ArchiveSupply",
    "Captured",
    "Compared",
    "Difference",
    "Progress",
    "RecallingStream",
    "Source",
    "SourceSize",
    "StreamPurpose",
    "StreamSink",
    "Target",
    "TargetOccupied",
    "TreeMemory",
    "Unread",
]


class TargetOccupied(TargetError):
    """A target holds something already, and does not know it for an unfinished restore."""


class StreamPurpose(enum.Enum):
    """What a stream holds; decides pack kind and chunk sizes."""

    TABLE_ORDERED = "table-ordered"  # COPY text with a key: small row-aligned chunks
    TABLE_HEAP = "table-heap"  # COPY text without a key: row-aligned chunks
    CONTENT = "content"  # file contents, large objects, database files
    MANIFEST = "manifest"  # schema, settings, plan: goes into manifest packs
    ROW_GROUPS = "row-groups"  # a table's groups: manifest packs too
    TREE_RECORDS = "tree-records"  # a file tree's records: manifest packs too

    @property
    def in_manifest(self) -> bool:
        """Whether it goes into manifest packs."""
        return self in _IN_MANIFEST


_IN_MANIFEST: Final = frozenset(
    {StreamPurpose.MANIFEST, StreamPurpose.ROW_GROUPS, StreamPurpose.TREE_RECORDS}
)


class StreamSink(Protocol):
    """Takes one stream's bytes in order."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; blocks while later stages are full. Raises what stopped the deposit."""

    def finish(self) -> StreamRef:
        """End the stream; no write may follow."""


class RecallingStream(StreamSink, Protocol):
    """A stream of which parts stood in that of the last deposit, and need not be read again."""

    def recall(self, start: int, length: int, read: Callable[[int, int], Iterator[bytes]]) -> None:
        """Append the `length` bytes that stood at `start` of the last deposit's stream.

        `read(offset, size)` gives any of them: at the edges, and where no pack holds them any more.
        Starts ascend from call to call.
        """


class TreeMemory(Protocol):
    """What a depositor remembers of one tree from its last lodged deposit, and of this one.

    What is noted counts once this deposit is lodged. The notes are the source's own, in its form.
    """

    @property
    def began(self) -> int:
        """When this capture began, nanoseconds since 1970 by this machine's clock."""

    @property
    def read_all(self) -> str | None:
        """Why everything is to be read, whatever is remembered; None: it need not be."""

    def earlier(self) -> Iterator[bytes]:
        """The notes of the last deposit in order, in pieces of any size."""

    def note(self, data: bytes) -> None:
        """Append to the notes of this deposit."""

    def open_content(self) -> RecallingStream:
        """Begin the content stream; once."""


class ArchiveSink(Protocol):
    """Where a capture goes."""

    @property
    def scratch(self) -> Path:
        """A folder (0700) for temporary files; only encrypted content may touch it."""

    def open_stream(
        self, purpose: StreamPurpose, *, expected_size: int | None = None
    ) -> StreamSink:
        """Begin a stream; the expected size (bytes) helps to choose chunk sizes."""

    def remembered(self, name: str) -> TreeMemory | None:
        """The memory of this register's tree of that name; None where nothing is remembered."""


class ArchiveSupply(Protocol):
    """Where a restore comes from."""

    @property
    def scratch(self) -> Path:
        """A folder (0700) for temporary files."""

    def read_stream(self, stream: StreamRef) -> Iterator[bytes | memoryview]:
        """The stream's bytes in order, in pieces; thread-safe for distinct calls."""


Progress = Callable[[str, int, int], None]
"""Called with what (a table's or file tree's name), units done since the last call, bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What a capture took from memory instead of reading it, and why it read what it read."""

    files: int = 0  # not read again: unchanged by inode, size and times
    bytes: int = 0  # of those
    unsettled: int = 0  # touched too shortly before this capture: read again by the next
    read_all: str | None = None  # why everything was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One register as captured."""

    objects: tuple[ManifestObject, ...]
    facts: tuple[tuple[str, str], ...]  # server version, tool version: manifest `source`
    notes: tuple[str, ...]  # what was found worth saying: manifest `notes`
    rows: int  # rows captured (0 for files)
    files: int  # files captured (0 for databases)
    bytes_read: int
    unread: Unread | None = None  # None where nothing is remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it was captured."""

    register: str
    subject: str  # "database.schema.table", a path, a sequence
    what: str  # "row missing", "row changed", "content differs", ...
    keys: tuple[str, ...] = ()  # of the rows concerned, at most 20
    expected: str = ""
    got: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Outcome of a comparison; proven when `differences` is empty."""

    rows: int
    files: int
    objects: int
    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...]  # said plainly in the report, e.g. ownership without root


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSize:
    """How much a capture would read, as far as it can be said without reading."""

    bytes: int
    rows: int = 0
    files: int = 0

    def __add__(self, other: SourceSize) -> SourceSize:
        return SourceSize(
            bytes=self.bytes + other.bytes,
            rows=self.rows + other.rows,
            files=self.files + other.files,
        )


@runtime_checkable
class Source(Protocol):
    """One register that can be captured."""

    def check(self) -> Sequence[str]:
        """Try connection, privileges and versions; returns warnings, raises `SourceError`."""

    def obstacles(self) -> Sequence[str]:
        """Who would keep a capture waiting now; raises `SourceError`."""

    def size(self) -> SourceSize | None:
        """How much there is; None where only a capture can tell. Raises `SourceError`."""

    def capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        """Capture one consistent state; see the module's rules."""


@runtime_checkable
class Target(Protocol):
    """A place into which one register is restored."""

    def check_empty(self, register: Register) -> None:
        """Raise `TargetOccupied`, or another `TargetError`, unless it can be restored here."""

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Restore the register, or only the named objects ("database.schema.table" or paths)."""

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """Compare what stands in the target with the manifest."""
