"""The archive sink that sources write to: streams become chunks, chunks become references.

A stream is cut by the thread that writes it. Hashing, looking up and compressing of what was cut
together is handed to a small pool, since all of it leaves the interpreter to others; references
come back in the stream's order.

Rules
- At most `_AHEAD` batches of a stream are in the pool: whoever writes waits for the oldest.
- What a register's memory says stood in the last deposit is not read (`exclave.deposit.recall`),
  unless the deposit is proven: then what lies in older packs is read and kept (`Keeping`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from exclave.archive.chunker import (
    MANIFEST_STREAM,
    Chunker,
    ChunkerParams,
    content_params,
    heap_table_params,
    ordered_table_params,
)
from exclave.archive.pack import Role, choose_stored, chunk_id, make_compressor
from exclave.archive.reference import Reference, StreamRef
from exclave.archive.stream import StreamWriter
from exclave.deposit.outline import GroupBuilder, OutlinedStreams, TreeBuilder
from exclave.deposit.packing import Packer, StoredChunk
from exclave.deposit.recall import Cuts, OldChunk, Recall
from exclave.deposit.remembered import RememberedTree, Remembering
from exclave.errors import SourceError
from exclave.ids import ChunkId
from exclave.source.interface import StreamPurpose, TreeMemory
from exclave.values import dataclass

__all__ = ["DepositSink", "Keeping", "RecalledDiffers", "Tally"]

_AHEAD: Final = 3
_SMALL: Final = 64 * 1024
"""Bytes up to which a batch is not worth handing over."""

Plain = bytes | memoryview


class RecalledDiffers(SourceError):
    """A file that counts as unchanged holds other bytes than when it was read last."""


@dataclass(slots=True)
class Tally:
    """Counts of one deposit; guarded by the sink's lock."""

    read: int = 0  # bytes of data streams
    new: int = 0  # of those, bytes stored anew (plain)
    stored: int = 0  # of those, bytes after compression
    chunks: int = 0
    new_chunks: int = 0


@dataclass(slots=True)
class _Cut:
    """A chunk on its way: its reference, or what is to be stored."""

    id: ChunkId
    plain: int
    known: Reference | None
    stored: StoredChunk | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where chunks of older packs go when a deposit is proven."""

    is_older: Callable[[int], bool]  # by pack number
    keep: Callable[[Reference, StoredChunk], None]

    def concerns(self, known: Reference | None) -> bool:
        """Whether a chunk found there is to be kept."""
        return known is not None and self.is_older(known.pack)


class DepositSink:
    """Takes the streams of one deposit (`exclave.source.interface.ArchiveSink`)."""

    def __init__(
        self,
        *,
        data: Packer,
        manifest: Packer,
        dedup_key: bytes,
        scratch: Path,
        workers: int = 2,
        remembering: Remembering | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        self._data = data
        self._manifest = manifest
        self._dedup_key = dedup_key
        self._scratch = scratch
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="compress")
        self._lock = threading.Lock()
        self._local = threading.local()
        self._remembering = remembering
        self.outlines = OutlinedStreams()
        self._keeping = keeping
        self.tally = Tally()

    @property
    def scratch(self) -> Path:
        """A folder (0700) for temporary files; only encrypted content may touch it."""
        return self._scratch

    def of_register(self, register: str) -> RegisterSink:
        """The sink for one register's streams."""
        return RegisterSink(self, register)

    def open_stream(
        self, purpose: StreamPurpose, *, expected_size: int | None = None
    ) -> _StreamSink:
        """Begin a stream; manifest streams go into manifest packs and are never shared."""
        outlined = self.outlines.begin(purpose)
        return _StreamSink(self, purpose, _params(purpose, expected_size), outlined=outlined)

    def remembered(self, name: str) -> TreeMemory | None:
        """Nothing: memory belongs to registers."""
        del name
        return None

    def close(self) -> None:
        """End the pool; no stream may be written any more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def store_node(self, node: bytes) -> Reference:
        """Store a node of a stream's tree in a manifest pack."""
        return self._manifest.add(self._stored(node), role=Role.NODE)

    def store_root(self, root: bytes) -> Reference:
        """Store the manifest root: the last chunk of the last manifest pack."""
        return self._manifest.add(self._stored(root), role=Role.MANIFEST_ROOT)

    def prepare(self, purpose: StreamPurpose, chunks: Sequence[Plain]) -> Future[list[_Cut]]:
        """Name, look up and compress chunks; large batches in the pool."""
        if sum(map(len, chunks)) > _SMALL:
            return self._pool.submit(self._prepared, purpose, chunks)
        return _ready(self._prepared(purpose, chunks))

    def find(self, chunks: Sequence[OldChunk]) -> Future[list[_Cut]]:
        """Look up remembered chunks; those that no pack holds any more are read again."""
        found = self._data.find([chunk.id for chunk in chunks])
        if self._keeping is not None:
            self._keep_again(self._keeping, chunks, found)
        cuts = [
            _Cut(chunk.id, chunk.plain, known, None if known is not None else self._again(chunk))
            for chunk, known in zip(chunks, found, strict=True)
        ]
        return _ready(cuts)

    def store(self, purpose: StreamPurpose, cuts: Sequence[_Cut]) -> Iterator[Reference]:
        """References for prepared chunks in order, storing those that are new."""
        packer = self._packer(purpose)
        new = written = fresh = 0
        for cut in cuts:
            if cut.stored is None:
                assert cut.known is not None
                yield cut.known
                continue
            yield packer.add(cut.stored)
            fresh += 1
            new += cut.plain
            written += len(cut.stored.stored)
        if not purpose.in_manifest:
            self._count(sum(cut.plain for cut in cuts), new, written, len(cuts), fresh)

    def _packer(self, purpose: StreamPurpose) -> Packer:
        return self._manifest if purpose.in_manifest else self._data

    def _prepared(self, purpose: StreamPurpose, chunks: Sequence[Plain]) -> list[_Cut]:
        ids = [chunk_id(self._dedup_key, chunk) for chunk in chunks]
        found = self._packer(purpose).find(ids)
        if self._keeping is not None:
            for name, chunk, known in zip(ids, chunks, found, strict=True):
                if known is not None and self._keeping.concerns(known):
                    self._keeping.keep(known, self._form(name, chunk))
        return [
            _Cut(name, len(chunk), known, None if known is not None else self._form(name, chunk))
            for name, chunk, known in zip(ids, chunks, found, strict=True)
        ]

    def _keep_again(
        self, keeping: Keeping, chunks: Sequence[OldChunk], found: Sequence[Reference | None]
    ) -> None:
        """Read what was not read; what is not as it was is not kept, and so not proven."""
        for chunk, known in zip(chunks, found, strict=True):
            if known is not None and keeping.concerns(known):
                with suppress(SourceError):
                    keeping.keep(known, self._again(chunk))

    def _again(self, chunk: OldChunk) -> StoredChunk:
        plain = b"".join(chunk.read(chunk.start, chunk.plain))
        if chunk_id(self._dedup_key, plain) != chunk.id:
            raise RecalledDiffers(
                "files: bytes that count as unchanged are not what they were when read last",
                hint="exclave deposit --read-everything",
            )
        return self._form(chunk.id, plain)

    def _form(self, name: ChunkId, plain: Plain) -> StoredChunk:
        # zstd contexts are costly to make and not thread-safe: one a thread.
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = make_compressor()
        codec, data = choose_stored(plain, compressor)
        return StoredChunk(id=name, plain=len(plain), codec=codec, stored=data)

    def _stored(self, plain: bytes) -> StoredChunk:
        return self._form(chunk_id(self._dedup_key, plain), plain)

    def _count(self, read: int, new: int, stored: int, chunks: int, new_chunks: int) -> None:
        with self._lock:
            self.tally.read += read
            self.tally.new += new
            self.tally.stored += stored
            self.tally.chunks += chunks
            self.tally.new_chunks += new_chunks

    def memory_of(self, register: str, name: str) -> TreeMemory | None:
        """The memory of a register's tree, joined to this sink."""
        if self._remembering is None:
            return None
        return _Memory(self, self._remembering.open_tree(register, name))


class RegisterSink:
    """A sink as one register sees it: with what is remembered of it."""

    def __init__(self, sink: DepositSink, register: str) -> None:
        self._sink = sink
        self._register = register

    @property
    def scratch(self) -> Path:
        """As of the deposit's sink."""
        return self._sink.scratch

    def open_stream(
        self, purpose: StreamPurpose, *, expected_size: int | None = None
    ) -> _StreamSink:
        """As of the deposit's sink."""
        return self._sink.open_stream(purpose, expected_size=expected_size)

    def remembered(self, name: str) -> TreeMemory | None:
        """The memory of this register's tree of that name."""
        return self._sink.memory_of(self._register, name)


class _StreamSink:
    def __init__(
        self,
        sink: DepositSink,
        purpose: StreamPurpose,
        params: ChunkerParams,
        noted: Callable[[ChunkId, int], None] | None = None,
        outlined: GroupBuilder | TreeBuilder | None = None,
    ) -> None:
        """`noted` is told of each chunk in order, `outlined` of all bytes."""
        self._sink = sink
        self._purpose = purpose
        self._chunker = Chunker(params)
        self._writer = StreamWriter(sink.store_node)
        self._noted = noted
        self._outlined = outlined
        self._ahead: deque[Future[list[_Cut]]] = deque()

    @property
    def open_bytes(self) -> int:
        """Bytes written that are in no chunk yet."""
        return self._chunker.open_bytes

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; blocks while later stages are full."""
        if self._outlined is not None:
            self._outlined.write(data)
        self._take(self._chunker.feed(data))

    def write_at_once(self, data: bytes | memoryview) -> None:
        """Append bytes and cut wherever it is certain."""
        self._take(self._chunker.feed(data, at_once=True))

    def drop(self) -> None:
        """Forget the bytes that are in no chunk yet."""
        self._chunker.drop()

    def take_old(self, chunks: list[OldChunk]) -> None:
        """Append chunks of the last deposit."""
        self._queue(self._sink.find(chunks))

    def finish(self) -> StreamRef:
        """End the stream."""
        self._take(self._chunker.finish())
        self._settle(0)
        stream = self._writer.finish()
        if self._outlined is not None:
            self._sink.outlines.end(stream, self._outlined)
        return stream

    def _take(self, chunks: Sequence[Plain]) -> None:
        if chunks:
            self._queue(self._sink.prepare(self._purpose, chunks))

    def _queue(self, cuts: Future[list[_Cut]]) -> None:
        self._ahead.append(cuts)
        self._settle(_AHEAD)

    def _settle(self, most: int) -> None:
        """Refer to what is prepared until at most so many batches are left."""
        while self._ahead and (len(self._ahead) > most or self._ahead[0].done()):
            cuts = self._ahead.popleft().result()
            for reference in self._sink.store(self._purpose, cuts):
                self._writer.add(reference)
            if self._noted is not None:
                for cut in cuts:
                    self._noted(cut.id, cut.plain)


class _Memory:
    """A register's tree in memory (`exclave.source.interface.TreeMemory`)."""

    def __init__(self, sink: DepositSink, tree: RememberedTree) -> None:
        self._sink = sink
        self._tree = tree

    @property
    def began(self) -> int:
        return self._tree.began

    @property
    def read_all(self) -> str | None:
        return self._tree.read_all

    def earlier(self) -> Iterator[bytes]:
        return self._tree.earlier_notes()

    def note(self, data: bytes) -> None:
        self._tree.note(data)

    def open_content(self) -> _RecallingSink:
        return _RecallingSink(self._sink, self._tree)


class _RecallingSink:
    """The content stream of a remembered tree (`exclave.source.interface.RecallingStream`)."""

    def __init__(self, sink: DepositSink, tree: RememberedTree) -> None:
        params = _params(StreamPurpose.CONTENT, None)
        self._stream = _StreamSink(sink, StreamPurpose.CONTENT, params, tree.note_chunk)
        self._recall = Recall(
            Cuts(tree.earlier_chunks()),
            feed=self._stream.write_at_once,
            open_bytes=lambda: self._stream.open_bytes,
            drop=self._stream.drop,
            take=self._stream.take_old,
        )

    def write(self, data: bytes | memoryview) -> None:
        self._recall.settle()
        self._stream.write(data)

    def recall(self, start: int, length: int, read: Callable[[int, int], Iterator[bytes]]) -> None:
        self._recall.recall(start, length, read)

    def finish(self) -> StreamRef:
        self._recall.finish()
        return self._stream.finish()


def _ready(cuts: list[_Cut]) -> Future[list[_Cut]]:
    done: Future[list[_Cut]] = Future()
    done.set_result(cuts)
    return done


def _params(purpose: StreamPurpose, expected_size: int | None) -> ChunkerParams:
    match purpose:
        case StreamPurpose.TABLE_ORDERED:
            return ordered_table_params(expected_size)
        case StreamPurpose.TABLE_HEAP:
            return heap_table_params(expected_size)
        case StreamPurpose.CONTENT:
            return content_params(expected_size)
        case _:
            return MANIFEST_STREAM
