"""Packs in memory that know chunks by id: what a deposit's sink stores into, without sealing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from exclave.archive.pack import Role
from exclave.archive.reference import MANIFEST_PACK_BIT, Reference
from exclave.deposit.packing import Packer, StoredChunk
from exclave.ids import ChunkId

__all__ = ["KeyedPacks"]


class KeyedPacks:
    """Chunks by id, data and manifest apart; `forget` loses some, as a pack that is no longer live.

    A manifest chunk has the same reference for the same content, so that manifests compare.
    """

    def __init__(self) -> None:
        self.dedup_key = b"\x07" * 32
        self.chunks: dict[tuple[bool, ChunkId], StoredChunk] = {}
        self._places: dict[tuple[bool, ChunkId], Reference] = {}
        self.added = 0

    def packer(self, *, manifest: bool = False) -> Packer:
        """What a sink takes for a packer."""
        return cast(Packer, _Packer(self, manifest))

    def forget(self, share: int) -> None:
        """Lose every chunk whose id ends in a multiple of `share`."""
        self.chunks = {key: c for key, c in self.chunks.items() if key[1][-1] % share}

    def place(self, key: tuple[bool, ChunkId], chunk: StoredChunk) -> Reference:
        """Where a chunk lies, always the same."""
        offset = len(self._places)
        bit = MANIFEST_PACK_BIT if key[0] else 0
        new = Reference(bit, offset, len(chunk.stored), chunk.plain, chunk.codec)
        return self._places.setdefault(key, new)


class _Packer:
    def __init__(self, packs: KeyedPacks, manifest: bool) -> None:
        self._packs = packs
        self._manifest = manifest

    def find(self, ids: Sequence[ChunkId]) -> list[Reference | None]:
        found: list[Reference | None] = []
        for name in ids:
            key = (self._manifest, name)
            chunk = None if self._manifest else self._packs.chunks.get(key)
            found.append(None if chunk is None else self._packs.place(key, chunk))
        return found

    def add(self, chunk: StoredChunk, *, role: Role = Role.DATA) -> Reference:
        del role
        key = (self._manifest, chunk.id)
        self._packs.chunks[key] = StoredChunk(
            id=chunk.id, plain=chunk.plain, codec=chunk.codec, stored=bytes(chunk.stored)
        )
        self._packs.added += 1
        return self._packs.place(key, chunk)
