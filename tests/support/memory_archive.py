"""An archive in memory: what adapters write to and read from in tests.

Streams are stored whole under numbers; a reference's pack says the purpose and its offset the
number, so that references pass the manifest's own checks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from exclave.archive.reference import MANIFEST_PACK_BIT, MAX_CHUNK, Codec, Reference, StreamRef
from exclave.source.interface import StreamPurpose, StreamSink


class MemoryStream:
    """One stream being written."""

    def __init__(self, archive: MemoryArchive, purpose: StreamPurpose) -> None:
        self._archive = archive
        self._purpose = purpose
        self._data = bytearray()
        self._finished = False

    def write(self, data: bytes | memoryview) -> None:
        assert not self._finished
        self._data += data

    def finish(self) -> StreamRef:
        assert not self._finished
        self._finished = True
        return self._archive.keep(self._purpose, bytes(self._data))


class MemoryArchive:
    """Both an `ArchiveSink` and an `ArchiveSupply`."""

    def __init__(self, scratch: Path, *, piece: int = 100_003) -> None:
        self._scratch = scratch
        self._piece = piece
        self._lock = threading.Lock()
        self.streams: list[bytes] = []
        self.purposes: list[StreamPurpose] = []

    @property
    def scratch(self) -> Path:
        return self._scratch

    def open_stream(
        self, purpose: StreamPurpose, *, expected_size: int | None = None
    ) -> StreamSink:
        del expected_size
        return MemoryStream(self, purpose)

    def remembered(self, name: str) -> None:
        del name

    def keep(self, purpose: StreamPurpose, data: bytes) -> StreamRef:
        """Store a whole stream."""
        if not data:
            return StreamRef(length=0)
        with self._lock:
            number = len(self.streams)
            self.streams.append(data)
            self.purposes.append(purpose)
        pack = MANIFEST_PACK_BIT if purpose.in_manifest else 0
        refs = []
        left = len(data)
        while left:
            size = min(left, MAX_CHUNK)
            refs.append(Reference(pack, number, size, size, Codec.RAW))
            left -= size
        return StreamRef(length=len(data), refs=tuple(refs))

    def replace(self, stream: StreamRef, data: bytes) -> None:
        """Change what a stream holds behind its reference's back."""
        self.streams[stream.refs[0].offset] = data

    def read_stream(self, stream: StreamRef) -> Iterator[bytes]:
        if not stream.refs:
            return
        data = self.streams[stream.refs[0].offset]
        for start in range(0, len(data), self._piece):
            yield data[start : start + self._piece]

    def bytes_of(self, stream: StreamRef) -> bytes:
        return b"".join(self.read_stream(stream))
