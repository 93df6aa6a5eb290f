"""The archive sink that sources write to: streams become chunks, chunks become references.

Each stream is chunked, hashed, looked up and compressed by the thread that writes it;
compression of larger batches is spread over a small pool, since zstd releases the GIL.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from exclave.archive.chunker import (
    MANIFEST_STREAM,
    Chunker,
    ChunkerParams,
    content_params,
    heap_table_params,
    ordered_table_params,
)
from exclave.archive.pack import Role, choose_stored, chunk_id, make_compressor
from exclave.archive.reference import Codec, Reference, StreamRef
from exclave.archive.stream import StreamWriter
from exclave.deposit.packing import Packer, StoredChunk
from exclave.source.interface import StreamPurpose

__all__ = ["DepositSink", "Tally"]

_POOL_BATCH = 256 * 1024
"""Bytes of new chunks from which compressing in the pool pays for the hand-over."""


@dataclass(slots=True)
class Tally:
    """Counts of one deposit; guarded by the sink's lock."""

    read: int = 0  # bytes of data streams
    new: int = 0  # of those, bytes stored anew (plain)
    stored: int = 0  # of those, bytes after compression
    chunks: int = 0
    new_chunks: int = 0


class DepositSink:
    """Takes the streams of one deposit (`exclave.source.interface.ArchiveSink`)."""

    def __init__(
        self, *, data: Packer, manifest: Packer, dedup_key: bytes, scratch: Path, workers: int = 2
    ) -> None:
        self._data = data
        self._manifest = manifest
        self._dedup_key = dedup_key
        self._scratch = scratch
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="compress")
        self._lock = threading.Lock()
        self._local = threading.local()
        self.tally = Tally()

    @property
    def scratch(self) -> Path:
        """A folder (0700) for temporary files; only encrypted content may touch it."""
        return self._scratch

    def open_stream(
        self, purpose: StreamPurpose, *, expected_size: int | None = None
    ) -> _StreamSink:
        """Begin a stream; manifest streams go into manifest packs and are never shared."""
        return _StreamSink(self, purpose, _params(purpose, expected_size))

    def close(self) -> None:
        """End the pool; no stream may be written any more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def store_node(self, node: bytes) -> Reference:
        """Store a node of a stream's tree in a manifest pack."""
        return self._manifest.add(self._stored(node), role=Role.NODE)

    def store_root(self, root: bytes) -> Reference:
        """Store the manifest root: the last chunk of the last manifest pack."""
        return self._manifest.add(self._stored(root), role=Role.MANIFEST_ROOT)

    def store(self, purpose: StreamPurpose, chunks: list[bytes]) -> list[Reference]:
        """References for chunks in order, storing those that are new."""
        packer = self._manifest if purpose is StreamPurpose.MANIFEST else self._data
        ids = [chunk_id(self._dedup_key, chunk) for chunk in chunks]
        found = packer.find(ids)
        fresh = [i for i, reference in enumerate(found) if reference is None]
        new = sum(len(chunks[i]) for i in fresh)
        if new >= _POOL_BATCH and len(fresh) > 1:
            # One call a worker: handing chunks over singly costs as much as small ones take.
            shares = [fresh[worker :: self._workers] for worker in range(self._workers)]
            parts = self._pool.map(
                lambda share: [self._compress(chunks[i]) for i in share], filter(None, shares)
            )
            stored = dict(zip(chain(*shares), chain(*parts), strict=True))
        else:
            stored = {i: self._compress(chunks[i]) for i in fresh}
        written = 0
        for i in fresh:
            codec, data = stored[i]
            found[i] = packer.add(
                StoredChunk(id=ids[i], plain=len(chunks[i]), codec=codec, stored=data)
            )
            written += len(data)
        if purpose is not StreamPurpose.MANIFEST:
            self._count(sum(map(len, chunks)), new, written, len(chunks), len(fresh))
        return [reference for reference in found if reference is not None]

    def _compress(self, plain: bytes) -> tuple[Codec, bytes | bytearray | memoryview]:
        # zstd contexts are costly to make and not thread-safe: one a thread.
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = make_compressor()
        return choose_stored(plain, compressor)

    def _stored(self, plain: bytes) -> StoredChunk:
        codec, data = self._compress(plain)
        return StoredChunk(
            id=chunk_id(self._dedup_key, plain), plain=len(plain), codec=codec, stored=data
        )

    def _count(self, read: int, new: int, stored: int, chunks: int, new_chunks: int) -> None:
        with self._lock:
            self.tally.read += read
            self.tally.new += new
            self.tally.stored += stored
            self.tally.chunks += chunks
            self.tally.new_chunks += new_chunks


class _StreamSink:
    def __init__(self, sink: DepositSink, purpose: StreamPurpose, params: ChunkerParams) -> None:
        self._sink = sink
        self._purpose = purpose
        self._chunker = Chunker(params)
        self._writer = StreamWriter(sink.store_node)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; blocks while later stages are full."""
        self._take(self._chunker.feed(data))

    def finish(self) -> StreamRef:
        """End the stream."""
        self._take(self._chunker.finish())
        return self._writer.finish()

    def _take(self, chunks: list[bytes]) -> None:
        if chunks:
            for reference in self._sink.store(self._purpose, chunks):
                self._writer.add(reference)


def _params(purpose: StreamPurpose, expected_size: int | None) -> ChunkerParams:
    match purpose:
        case StreamPurpose.TABLE_ORDERED:
            return ordered_table_params(expected_size)
        case StreamPurpose.TABLE_HEAP:
            return heap_table_params(expected_size)
        case StreamPurpose.CONTENT:
            return content_params(expected_size)
        case StreamPurpose.MANIFEST:
            return MANIFEST_STREAM
