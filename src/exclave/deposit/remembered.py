"""What the depositor remembers of the trees that it read, so that it need not read them again.

For each tree two files beside the journal: the source's notes (which files stood how), and the
chunks that the content stream was cut into (spec/catalogue.md 3). They count from the moment that
their deposit is lodged; until then they stand aside under another name.

Rules
- Paths and content hashes say much, so both are encrypted and authenticated under a key that
  derives from the dedup key: whoever takes this folder alone reads nothing and forges nothing.
- A memory that cannot be opened, that is of another mission or tree, or whose two files are not
  of one deposit, is no memory: everything is read. Losing it costs one reading.
- It cannot last: everything is read again after `read_all_after`, when it is asked for, and when
  the clock stands before the capture that is remembered.
- It names no pack: what may be referred to is the journal's to say, by chunk id.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exclave.clock import Clock, format_time
from exclave.durable import make_path
from exclave.ids import ChunkId, MissionId
from exclave.values import dataclass

__all__ = ["RememberedTree", "Remembering"]

_MAGIC: Final = b"EXCLMEM1"
_LABEL: Final = b"exclave/1/remembered\x00"
_HEAD: Final = struct.Struct(">16sQQ")  # pair, began, when everything was read last
_CHUNK: Final = struct.Struct(">32sI")
_SALT: Final = 32
_BLOCK: Final = 2**18
_PARTS: Final = ("notes", "chunks")


@dataclass(frozen=True, slots=True)
class _Head:
    pair: bytes  # the same in both files of a tree
    began: int  # ns since 1970
    whole: int  # when everything was read last, ns

    @classmethod
    def read(cls, data: bytes) -> Self:
        return cls(*_HEAD.unpack(data))

    def encode(self) -> bytes:
        return _HEAD.pack(self.pair, self.began, self.whole)


class Remembering:
    """The memories of one depositor; those opened are kept together, or none."""

    def __init__(
        self,
        folder: Path,
        *,
        mission: MissionId,
        dedup_key: bytes,
        clock: Clock,
        random: Callable[[int], bytes],
        read_all_after: int,
        read_everything: bool = False,
    ) -> None:
        """`read_all_after` in seconds. What an earlier run left aside is forgotten."""
        self._folder = folder
        self._mission = mission
        self._dedup_key = dedup_key
        self._clock = clock
        self._random = random
        self._after = read_all_after * 10**9
        self._everything = read_everything
        self._trees: list[RememberedTree] = []
        make_path(folder)
        for leftover in folder.glob("*.new"):
            leftover.unlink()

    def open_tree(self, register: str, name: str) -> RememberedTree:
        """The memory of a register's tree."""
        digest = Hash(SHA256())
        digest.update(f"{register}\x00{name}".encode())
        tree = digest.finalize()
        began = int(self._clock().timestamp() * 1e9)
        paths = [self._folder / f"{tree.hex()[:32]}.{part}" for part in _PARTS]
        infos = [b"\x00".join((_LABEL, self._mission, tree, part.encode())) for part in _PARTS]
        earlier = [self._reader(path, info) for path, info in zip(paths, infos, strict=True)]
        read_all, whole = self._read_all(earlier, began)
        head = _Head(pair=self._random(16), began=began, whole=began if read_all else whole)
        writers = [
            _Writer(path, self._dedup_key, info, self._random(_SALT), head)
            for path, info in zip(paths, infos, strict=True)
        ]
        opened = RememberedTree(
            began=began, read_all=read_all, earlier=earlier, notes=writers[0], chunks=writers[1]
        )
        self._trees.append(opened)
        return opened

    def keep(self) -> None:
        """The deposit is lodged: what was noted replaces what was remembered."""
        for tree in self._trees:
            tree.keep()
        self._trees.clear()

    def discard(self) -> None:
        """The deposit is not lodged, or all is kept: close what is open."""
        for tree in self._trees:
            tree.discard()
        self._trees.clear()

    def _reader(self, path: Path, info: bytes) -> _Reader | None:
        try:
            return _Reader(path, self._dedup_key, info)
        except (OSError, InvalidTag, struct.error, ValueError):
            return None

    def _read_all(self, earlier: list[_Reader | None], now: int) -> tuple[str | None, int]:
        """Why everything is to be read, if it is; and when it was last."""
        notes, chunks = earlier
        if notes is None or chunks is None or notes.head.pair != chunks.head.pair:
            earlier[:] = [None, None]
            return "nothing is remembered", 0
        if self._everything:
            return "it was asked for", 0
        if now <= notes.head.began:
            return "the clock stands before the last capture", 0
        if now - notes.head.whole >= self._after:
            last = datetime.fromtimestamp(notes.head.whole // 10**9, UTC)
            return f"the last time was {format_time(last)}", 0
        return None, notes.head.whole


class RememberedTree:
    """One tree: what was, and what is noted now."""

    def __init__(
        self,
        *,
        began: int,
        read_all: str | None,
        earlier: list[_Reader | None],
        notes: _Writer,
        chunks: _Writer,
    ) -> None:
        self.began = began
        self.read_all = read_all
        self._earlier_notes, self._earlier_chunks = earlier
        self._notes = notes
        self._chunks = chunks

    def earlier_notes(self) -> Iterator[bytes]:
        """The notes of the last lodged deposit."""
        return iter(()) if self._earlier_notes is None else self._earlier_notes.blocks()

    def earlier_chunks(self) -> Iterator[tuple[ChunkId, int]]:
        """The chunks of the last lodged deposit's content stream, in order."""
        left = b""
        for block in () if self._earlier_chunks is None else self._earlier_chunks.blocks():
            data = left + block
            whole = len(data) - len(data) % _CHUNK.size
            for name, plain in _CHUNK.iter_unpack(data[:whole]):
                yield ChunkId(name), plain
            left = data[whole:]

    def note(self, data: bytes) -> None:
        """Append to the notes."""
        self._notes.write(data)

    def note_chunk(self, name: ChunkId, plain: int) -> None:
        """The next chunk of the content stream."""
        self._chunks.write(_CHUNK.pack(name, plain))

    def keep(self) -> None:
        """What was noted is what is remembered from now on."""
        self._close_earlier()
        for writer in (self._chunks, self._notes):
            writer.keep()

    def discard(self) -> None:
        """Forget what was noted."""
        self._close_earlier()
        for writer in (self._chunks, self._notes):
            writer.discard()

    def _close_earlier(self) -> None:
        for reader in (self._earlier_notes, self._earlier_chunks):
            if reader is not None:
                reader.close()


def _key(dedup_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA512(), length=32, salt=salt, info=info).derive(dedup_key)


class _Writer:
    def __init__(
        self, final: Path, dedup_key: bytes, info: bytes, salt: bytes, head: _Head
    ) -> None:
        self._final = final
        self._new = final.with_name(f"{final.name}.new")
        self._parts: list[bytes] = [head.encode()]
        self._size = 0
        self._encryptor = Cobblestone256Encryptor(_key(dedup_key, salt, info), info)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file: BinaryIO | None = os.fdopen(os.open(self._new, flags, 0o600), "wb")
        self._file.write(_MAGIC + salt)

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _BLOCK:
            self._flush()

    def keep(self) -> None:
        if self._file is not None:
            self._flush()
            self._file.write(self._encryptor.finalize())
            self._file.close()
            self._file = None
            # No fsync: what a power cut leaves of it opens whole or not at all.
            self._new.replace(self._final)

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._new.unlink(missing_ok=True)

    def _flush(self) -> None:
        assert self._file is not None
        self._file.write(self._encryptor.update(b"".join(self._parts)))
        self._parts.clear()
        self._size = 0


class _Reader:
    """Authentic blocks of one file; ends early where it is damaged."""

    def __init__(self, path: Path, dedup_key: bytes, info: bytes) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags), "rb")
        try:
            start = self._file.read(len(_MAGIC) + _SALT)
            if len(start) != len(_MAGIC) + _SALT or not start.startswith(_MAGIC):
                raise ValueError("not a memory")
            key = _key(dedup_key, start[len(_MAGIC) :], info)
            self._decryptor = Cobblestone256Decryptor(key, info)
            self._ended = False
            self._first = b""
            while len(self._first) < _HEAD.size and not self._ended:
                self._first += self._more()
            self.head = _Head.read(self._first[: _HEAD.size])
            self._first = self._first[_HEAD.size :]
        except BaseException:
            self._file.close()
            raise

    def blocks(self) -> Iterator[bytes]:
        """What follows the head; once."""
        yield self._first
        with suppress(InvalidTag):
            while not self._ended:
                yield self._more()

    def close(self) -> None:
        self._file.close()

    def _more(self) -> bytes:
        block = self._file.read(_BLOCK)
        if block:
            return self._decryptor.update(block)
        self._ended = True
        return self._decryptor.finalize()
