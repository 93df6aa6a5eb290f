"""Reads one file at rest: the same before and after, or not at all.

Rules
- A small file is held until it was seen to be at rest; one that changes while it is read is read
  again, one that keeps changing is an error.
- A larger file is sent while it is read, once. A stream takes nothing back, so a change in the
  middle ends the capture: reading it twice would shorten that time by nothing.
- Memory is one buffer, used again for every file: fresh memory costs more than the copy into it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Final

from blake3 import blake3

from exclave.source.files.errors import FileChanging, TreeUnreadable, shown
from exclave.source.files.folder import FILE_FLAGS, data_extents, hash_zeros, read_xattrs
from exclave.source.interface import StreamSink
from exclave.values import dataclass

__all__ = ["FileReader", "FileSeen"]

Extents = tuple[tuple[int, int], ...]

_STILL: Final = "stop its writer, or capture from a snapshot of the file system"
_PIECE: Final = 1024 * 1024
_HELD: Final = 8 * 1024 * 1024
"""Larger files are not held."""
_WHOLE: Final = 1024 * 1024
"""Smaller files are not searched for holes when their blocks suffice for their size."""


@dataclass(frozen=True, slots=True)
class FileSeen:
    """A regular file as it was while it was read."""

    facts: os.stat_result
    blake3: bytes  # of the whole logical content
    extents: Extents
    xattrs: tuple[tuple[bytes, bytes], ...]


class FileReader:
    """Reads files one after the other; `watch` is told of each piece."""

    def __init__(self, *, attempts: int, watch: Callable[[str, bytes], None]) -> None:
        self._attempts = attempts
        self._watch = watch
        self._buffer = memoryview(bytearray(_PIECE))

    def read(self, parent: int, name: bytes, path: bytes, content: StreamSink) -> FileSeen:
        """Write a file's data to `content`; `FileNotFoundError` when it is gone."""
        try:
            descriptor = os.open(name, FILE_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise TreeUnreadable(
                f"{shown(path)}: expected to read the file, got: {error.strerror}"
            ) from error
        try:
            return self._at_rest(descriptor, path, content)
        finally:
            os.close(descriptor)

    def _at_rest(self, descriptor: int, path: bytes, content: StreamSink) -> FileSeen:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise FileChanging(f"{shown(path)}: became something else while it was opened")
        for _ in range(self._attempts):
            extents = _extents(descriptor, before)
            held = self._room(sum(length for _, length in extents))
            digest, place = blake3(), 0
            for piece in self._logical(descriptor, before.st_size, extents, digest, held):
                place += len(piece)
                if held is None:
                    content.write(piece)
                self._watch("reading", path)
            seen = FileSeen(before, digest.digest(), extents, read_xattrs(descriptor))
            after = os.fstat(descriptor)
            if _state(after) == _state(before):
                if held is not None and place:
                    content.write(held[:place])
                return seen
            if held is None and place:
                raise FileChanging(
                    f"{shown(path)}: expected a file at rest, changed while it was stored",
                    hint=_STILL,
                )
            before = after
        raise FileChanging(
            f"{shown(path)}: expected a file at rest, changed in {self._attempts} reads",
            hint=_STILL,
        )

    def _room(self, size: int) -> memoryview | None:
        """Memory for a whole file; None when it is not to be held."""
        if size > _HELD:
            return None
        if size > len(self._buffer):
            self._buffer = memoryview(bytearray(_HELD))
        return self._buffer

    def _logical(
        self,
        descriptor: int,
        size: int,
        extents: Extents,
        digest: blake3,
        held: memoryview | None,
    ) -> Iterator[memoryview]:
        """The data of the extents, one after the other in `held`, or each in the same memory.

        `digest` takes the whole logical content, zeros included.
        """
        place = at = 0
        for offset, length in extents:
            hash_zeros(digest, offset - place)
            place, end = offset, offset + length
            while place < end:
                room = self._buffer[:_PIECE] if held is None else held[at : at + _PIECE]
                count = os.preadv(descriptor, [room[: end - place]], place)
                if not count:
                    return  # shorter than it was: seen by the state or the hash
                piece = room[:count]
                digest.update(piece)
                yield piece
                place += count
                at += count
        hash_zeros(digest, size - place)


def _extents(descriptor: int, facts: os.stat_result) -> Extents:
    size = facts.st_size
    if size <= _WHOLE and facts.st_blocks * 512 >= size:
        return ((0, size),) if size else ()
    return data_extents(descriptor, size)


def _state(facts: os.stat_result) -> tuple[int, ...]:
    # The change time cannot be set back by programs; it also moves when attributes change.
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
