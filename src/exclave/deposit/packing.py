"""Fill packs with chunks: the stage between streams and sealing.

`PackTable` numbers the packs of one deposit in the order of first use, as references name
them (spec/archive.md 4). `Packer` fills packs of one kind and hands each full one on.

Rules
- A chunk that stands in a pack of this attempt, or in a safe or live pack of the journal, is
  referred to and not stored again. Manifest chunks are never shared.
- Handing on a full pack may block (bounded queues): that is how a slow line slows capture.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from exclave.archive.pack import DEFAULT_CAPACITY, PackBuilder, Role
from exclave.archive.reference import MANIFEST_PACK_BIT, Codec, Reference
from exclave.deposit.memory import PackMemory
from exclave.errors import ExclaveError
from exclave.ids import ChunkId, PackRoot
from exclave.journal.store import Journal
from exclave.sealing.pack import PackKind
from exclave.values import dataclass

__all__ = ["MOST_CHUNKS", "FullPack", "PackTable", "Packer", "StoredChunk"]

MOST_CHUNKS: Final = 1 << 14
"""Chunks of a pack: each takes some 400 bytes until its pack is safe. Only tables that compression
shrinks to a tenth and less reach this before a pack's bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A chunk in its stored form."""

    id: ChunkId
    plain: int
    codec: Codec
    stored: bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class FullPack:
    """A pack that takes no more chunks, to be sealed."""

    number: int  # as references name it, without MANIFEST_PACK_BIT
    kind: PackKind
    builder: PackBuilder
    chunks: tuple[tuple[ChunkId, int, int, int, int], ...]  # as in journal.SafePack


class PackTable:
    """Numbers of the packs of one kind that this deposit refers to; thread-safe."""

    def __init__(self) -> None:
        self._roots: list[PackRoot | None] = []
        self._by_root: dict[PackRoot, int] = {}
        self._older: set[int] = set()
        self._lock = threading.Lock()

    def open_number(self) -> int:
        """Number for a pack that is being filled; its root follows by `set_root`."""
        with self._lock:
            self._roots.append(None)
            return len(self._roots) - 1

    def set_root(self, number: int, root: PackRoot) -> None:
        """The pack of that number is sealed."""
        with self._lock:
            self._roots[number] = root
            self._by_root[root] = number

    def number_of(self, root: PackRoot) -> int:
        """Number of an older pack, given on first use."""
        with self._lock:
            number = self._by_root.get(root)
            if number is None:
                number = self._by_root[root] = len(self._roots)
                self._roots.append(root)
                self._older.add(number)
            return number

    def is_older(self, number: int) -> bool:
        """Whether the pack of that number is not of this attempt."""
        with self._lock:
            return number in self._older

    def roots(self) -> tuple[PackRoot, ...]:
        """All roots in order; every pack must have been sealed."""
        with self._lock:
            roots = tuple(root for root in self._roots if root is not None)
            if len(roots) != len(self._roots):
                raise ExclaveError("pack table: a pack was never sealed")
            return roots


class Packer:
    """Fills packs of one kind; thread-safe."""

    def __init__(
        self,
        kind: PackKind,
        *,
        table: PackTable,
        hand_on: Callable[[FullPack], None],
        journal: Journal | None,
        memory: PackMemory,
        capacity: int = DEFAULT_CAPACITY,
        most: int = MOST_CHUNKS,
    ) -> None:
        """`journal` serves dedup; None for kinds that are never shared."""
        self._kind = kind
        self._bit = MANIFEST_PACK_BIT if kind is PackKind.MANIFEST else 0
        self._table = table
        self._hand_on = hand_on
        self._journal = journal
        self._memory = memory
        self._capacity = capacity
        self._most = most
        # Two locks: filling blocks while later stages are full, and these need the index to
        # tell that a pack is safe. Taken in this order, never the other way round.
        self._filling = threading.Lock()
        self._index = threading.Lock()
        self._builder: PackBuilder | None = None
        self._number = -1
        self._entries: list[tuple[ChunkId, int, int, int, int]] = []
        self._in_flight: dict[ChunkId, Reference] = {}
        self._known: dict[int, int] = {}  # journal's pack number -> ours

    def find(self, ids: Sequence[ChunkId]) -> list[Reference | None]:
        """References to chunks that need not be stored again."""
        if self._journal is None:
            return [None] * len(ids)
        # In-flight first: a chunk leaves that map only after the journal has it.
        with self._index:
            found = [self._in_flight.get(chunk_id) for chunk_id in ids]
        asked = [i for i, reference in enumerate(found) if reference is None]
        places = self._journal.lookup([ids[i] for i in asked]) if asked else []
        for i, place in zip(asked, places, strict=True):
            if place is not None:
                found[i] = Reference(
                    pack=self._number_of(place.pack),
                    offset=place.offset,
                    stored=place.stored,
                    plain=place.plain,
                    codec=Codec(place.codec),
                )
        return found

    def add(self, chunk: StoredChunk, *, role: Role = Role.DATA) -> Reference:
        """Store a chunk; hands on the pack before it when the chunk no longer fits."""
        with self._filling:
            known = self._known_in_flight(chunk.id)
            if known is not None:
                return known
            if self._builder is not None and not self._takes(self._builder, chunk):
                self._close_pack()
            if self._builder is None:
                memory = self._memory.take_any()
                self._builder = PackBuilder(self._capacity, memory=memory)
                self._number = self._table.open_number()
            offset = self._builder.add(chunk.id, chunk.plain, chunk.codec, chunk.stored, role)
            reference = Reference(
                pack=self._number | self._bit,
                offset=offset,
                stored=len(chunk.stored),
                plain=chunk.plain,
                codec=chunk.codec,
            )
            if self._journal is not None:
                self._entries.append(
                    (chunk.id, offset, len(chunk.stored), chunk.plain, int(chunk.codec))
                )
                with self._index:
                    self._in_flight[chunk.id] = reference
            return reference

    def close(self) -> None:
        """Hand on the last pack."""
        with self._filling:
            if self._builder is not None:
                self._close_pack()

    def forget_in_flight(self, pack: FullPack, journal_number: int) -> None:
        """The journal holds the pack now: its chunks are found there."""
        with self._index:
            self._known[journal_number] = pack.number
            for chunk_id, *_ in pack.chunks:
                self._in_flight.pop(chunk_id, None)

    def _takes(self, builder: PackBuilder, chunk: StoredChunk) -> bool:
        return builder.count < self._most and builder.fits(len(chunk.stored))

    def _known_in_flight(self, chunk_id: ChunkId) -> Reference | None:
        with self._index:
            return self._in_flight.get(chunk_id)

    def _number_of(self, journal_number: int) -> int:
        with self._index:
            number = self._known.get(journal_number)
        if number is not None:
            return number
        assert self._journal is not None
        root = self._journal.packs([journal_number])[0].root
        number = self._table.number_of(root)
        with self._index:
            self._known[journal_number] = number
        return number

    def _close_pack(self) -> None:
        assert self._builder is not None
        full = FullPack(
            number=self._number,
            kind=self._kind,
            builder=self._builder,
            chunks=tuple(self._entries),
        )
        self._builder = None
        self._entries = []
        self._hand_on(full)
