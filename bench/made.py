"""A register that lies nowhere, for `bench.memory`: its source makes it, its target takes it.

    python -m bench.made SIZE FILES WORDS...     the real program, with it in place of a folder

Hexadecimal digits, so that compression has something to do and no chunk comes twice. It imports
nothing but what the program itself does: its memory is what is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from unittest.mock import patch

import numpy as np
from blake3 import blake3

from exclave.archive.filetree import (
    EntryReader,
    FileEntry,
    FileType,
    decode_entries,
    encode_entries,
    record_leaf,
)
from exclave.archive.manifest import Register
from exclave.archive.objects import FilesTree
from exclave.cli import main as exclave
from exclave.merkle import RootBuilder
from exclave.source.interface import (
    ArchiveSink,
    ArchiveSupply,
    Captured,
    Compared,
    Difference,
    Progress,
    SourceSize,
    StreamPurpose,
    StreamSink,
)
from exclave.wiring import reader, registers

__all__ = ["MadeSource", "TakingTarget", "made"]

_PIECE: Final = 1 << 20
_TOGETHER: Final = 1000  # files of a folder


class MadeSource:
    """A tree of so many bytes in so many files."""

    def __init__(self, size: int, files: int) -> None:
        self._size = size
        self._files = files

    def check(self) -> Sequence[str]:
        """Nothing to check."""
        return ()

    def obstacles(self) -> Sequence[str]:
        """Nobody is in the way."""
        return ()

    def size(self) -> SourceSize:
        """As many as will be made."""
        return SourceSize(bytes=self._size, files=self._files)

    def capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        """Make the files while they are captured."""
        content = sink.open_stream(StreamPurpose.CONTENT, expected_size=self._size)
        records = sink.open_stream(StreamPurpose.MANIFEST)
        builder = RootBuilder()
        for record in encode_entries(self._entries(content)):
            records.write(record)
            builder.add(record_leaf(record[4:]))
        progress("made", self._files, self._size)
        tree = FilesTree(
            name="files",
            count=builder.size,
            tree_root=builder.root(),
            entries=records.finish(),
            content=content.finish(),
        )
        return Captured(
            objects=(tree,),
            facts=(),
            notes=(),
            rows=0,
            files=self._files,
            bytes_read=self._size,
        )

    def _entries(self, content: StreamSink) -> Iterator[FileEntry]:
        yield _entry(FileType.FOLDER, b"")
        reader = _Reader(made(self._size))
        offset = 0
        for number in range(self._files):
            folder, name = divmod(number, _TOGETHER)
            if not name:
                yield _entry(FileType.FOLDER, b"%07d" % folder)
            size = self._size * (number + 1) // self._files - offset
            digest = blake3()
            for piece in reader.take(size):
                digest.update(piece)
                content.write(piece)
            path = b"%07d/%03d" % (folder, name)
            yield _entry(FileType.REGULAR, path, size=size, offset=offset, blake3=digest.digest())
            offset += size


class TakingTarget:
    """Takes the files and keeps nothing of them."""

    def __init__(self) -> None:
        self._differ = 0

    def check_empty(self, register: Register) -> None:
        """It always is."""

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Hash what comes for each file."""
        tree = _tree(register)
        reader = _Reader(supply.read_stream(tree.content))
        for entry in decode_entries(supply.read_stream(tree.entries)):
            digest = blake3()
            for piece in reader.take(entry.stored_size):
                digest.update(piece)
                progress("made", 0, len(piece))
            if entry.type is FileType.REGULAR:
                self._differ += entry.blake3 != digest.digest()

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """Compare the root of the entries with that of the manifest."""
        tree = _tree(register)
        entries = EntryReader(supply.read_stream(tree.entries))
        files = sum(entry.type is FileType.REGULAR for entry in entries)
        differs = Difference(register=register.id, subject="made", what="content differs")
        good = not self._differ and entries.root == tree.tree_root
        return Compared(
            rows=0,
            files=files,
            objects=tree.count,
            differences=() if good else (differs,),
            not_compared=(),
        )


class _Reader:
    """Parts of a stream one behind the other."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def take(self, size: int) -> Iterator[memoryview]:
        """The next so many bytes."""
        while size:
            while not self._rest:
                self._rest = memoryview(next(self._pieces))
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece


def _entry(
    kind: FileType, path: bytes, *, size: int = 0, offset: int = 0, blake3: bytes = bytes(32)
) -> FileEntry:
    return FileEntry(
        type=kind,
        path=path,
        mode=0o700,
        uid=0,
        gid=0,
        mtime=0,
        size=size,
        offset=offset,
        blake3=blake3,
        extents=((0, size),) if size else (),
    )


def made(size: int) -> Iterator[bytes]:
    """So many digits, always the same."""
    random = np.random.default_rng(1)
    for start in range(0, size, _PIECE):
        yield random.bytes(_PIECE // 2).hex().encode()[: size - start]


def _tree(register: Register) -> FilesTree:
    (tree,) = register.objects
    assert isinstance(tree, FilesTree)
    return tree


def _program(size: int, files: int, words: Sequence[str]) -> int:
    """The program itself, with the made register in place of a folder."""
    with (
        patch.object(registers, "source_of", lambda _: MadeSource(size, files)),
        patch.object(reader, "target_of", lambda *_: TakingTarget()),
    ):
        return exclave([*words]) or 0


if __name__ == "__main__":
    sys.exit(_program(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
