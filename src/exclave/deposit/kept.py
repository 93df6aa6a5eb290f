"""What the proof of a deposit will be made from, kept until its end (docs/proof.md).

Two things: of each pack, k shards as they went on the line; of each chunk that lies in an older
pack, the bytes that the source gave. Both lie in one encrypted file without a name
(`exclave.source.scratch`), found by an index in the scratch folder: roots, ids and places.

Rules
- Keeping never stops a deposit: what goes wrong here is the proof's `problem`, and nothing more is
  kept. Nothing is kept beyond `limit` bytes.
- Which shards are kept depends on the pack's root alone (`seats_kept`), so that rows of code are
  proven as often as rows of data.
- A chunk is kept once, under its pack's number and its offset there, as references name it.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import apsw

from exclave.archive.pack import decode_chunk
from exclave.archive.reference import Codec, Reference
from exclave.deposit.packing import StoredChunk
from exclave.deposit.sealing import SealedPack
from exclave.dispersal.placement import seats_kept
from exclave.errors import ExclaveError, StorageError
from exclave.ids import ChunkId, ShardRoot
from exclave.source.scratch import ScratchFile
from exclave.values import dataclass

__all__ = ["Kept", "KeptChunk", "KeptTooLarge"]

_CHUNK: Final = struct.Struct(">II")
_SCHEMA: Final = """
CREATE TABLE kept (
  key BLOB PRIMARY KEY, number INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL,
  id BLOB, codec INTEGER, plain INTEGER) WITHOUT ROWID;
"""
_INSERT: Final = "INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?)"
_FIND: Final = "SELECT number, offset, size, id, codec, plain FROM kept WHERE key = ?"


class KeptTooLarge(StorageError):
    """What a proof needs would take more than the quarantine's limit."""


@dataclass(frozen=True, slots=True)
class KeptChunk:
    """A chunk of an older pack as the source gave it, and the id under which it was found there."""

    id: ChunkId
    plain: bytes


@dataclass(frozen=True, slots=True)
class _Form:
    """As `exclave.archive.pack.decode_chunk` wants it."""

    offset: int
    stored: int
    plain: int
    codec: Codec


class Kept:
    """Keeps until `close`; thread-safe."""

    def __init__(self, scratch: Path, *, limit: int) -> None:
        """`scratch`: a folder (0700) of this run; `limit`: bytes."""
        self._limit = limit
        self._size = 0
        self._lock = threading.Lock()
        self._file = ScratchFile(scratch)
        self._index: apsw.Connection | None = None
        self._index_file = scratch / "kept.db"
        self.problem: ExclaveError | None = None  # why nothing more is kept

    def keep_pack(self, pack: SealedPack) -> None:
        """Keep k shards of a pack, from the memory that the line took them from."""
        for shard in seats_kept(pack.root, pack.shards, pack.k):
            self._guarded(partial(self._add, shard.root, b"".join((shard.prefix(), shard.body))))

    def keep_chunk(self, reference: Reference, chunk: StoredChunk) -> None:
        """Keep a chunk that lies in an older pack; nothing when it is kept already."""
        key = _CHUNK.pack(reference.pack, reference.offset)
        form = (chunk.id, int(chunk.codec), chunk.plain)
        self._guarded(partial(self._add, key, bytes(chunk.stored), form))

    def has_chunk(self, pack: int, offset: int) -> bool:
        """Whether a chunk of an older pack is kept."""
        with self._lock:
            return self._find(_CHUNK.pack(pack, offset)) is not None

    def shard(self, root: ShardRoot) -> bytes | None:
        """A shard as it went on the line; None when it was not kept."""
        with self._lock:
            found = self._find(root)
            return None if found is None else self._read(found)

    def chunk(self, pack: int, offset: int) -> KeptChunk | None:
        """What the source gave for a chunk of an older pack; None when it gave nothing."""
        with self._lock:
            found = self._find(_CHUNK.pack(pack, offset))
            if found is None:
                return None
            stored = self._read(found)
        _, _, _, name, codec, plain = found
        assert isinstance(name, bytes)
        assert isinstance(codec, int)
        assert isinstance(plain, int)
        form = _Form(0, len(stored), plain, Codec(codec))
        return KeptChunk(ChunkId(name), bytes(decode_chunk(form, memoryview(stored))))

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._drop()

    def _guarded(self, act: Callable[[], None]) -> None:
        with self._lock:
            if self.problem is not None:
                return
            try:
                act()
            except ExclaveError as error:
                self._fail(error)
            except (OSError, apsw.Error) as error:
                self._fail(StorageError(f"{self._index_file}: expected room for a proof: {error}"))

    def _fail(self, error: ExclaveError) -> None:
        self.problem = error
        self._drop()

    def _drop(self) -> None:
        self._file.close()
        if self._index is not None:
            self._index.close()
            self._index = None

    def _add(
        self,
        key: bytes,
        data: bytes,
        form: tuple[bytes | None, int | None, int | None] | None = None,
    ) -> None:
        if self._find(key) is not None:
            return
        self._size += len(data)
        if self._size > self._limit:
            raise KeptTooLarge(
                f"proof: expected to keep at most {self._limit} bytes, got more",
                hint="raise limit under [quarantine], or prove fewer registers at a time",
            )
        place = self._file.write(data)
        self._opened().execute(_INSERT, (key, *place, *(form or (None, None, None))))

    def _opened(self) -> apsw.Connection:
        if self._index is None:
            self._index = apsw.Connection(str(self._index_file))
            # It lasts no longer than this object: it needs no name, and nothing is ever synced.
            self._index.pragma("journal_mode", "off")
            self._index.pragma("synchronous", "off")
            self._index.execute(_SCHEMA)
            self._index.execute("BEGIN")
            self._index_file.unlink()
        return self._index

    def _find(self, key: bytes) -> tuple[object, ...] | None:
        if self._index is None:
            return None
        try:
            return self._index.execute(_FIND, (key,)).fetchone()
        except apsw.Error as error:
            raise StorageError(f"{self._index_file}: expected what was kept: {error}") from error

    def _read(self, found: tuple[object, ...]) -> bytes:
        number, offset, size = found[:3]
        assert isinstance(number, int)
        assert isinstance(offset, int)
        assert isinstance(size, int)
        self._file.flush()
        return self._file.read((number, offset, size))
