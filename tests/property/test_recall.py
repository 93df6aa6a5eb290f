"""What is not read again changes nothing: chunks and manifests are those of a full reading."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exclave import clock
from exclave.archive.chunker import Chunker, ChunkerParams
from exclave.deposit.recall import Cuts, OldChunk, Recall
from exclave.deposit.remembered import Remembering
from exclave.deposit.streams import DepositSink
from exclave.ids import ChunkId, MissionId
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.interface import Captured
from tests.support.keyed_packs import KeyedPacks

PARAMS = ChunkerParams(minimum=64, average=256, maximum=1024)
MISSION = MissionId(b"\x01" * 32)


def cut(files: Sequence[bytes]) -> list[bytes]:
    chunker = Chunker(PARAMS)
    chunks = [bytes(c) for piece in files for c in chunker.feed(piece)]
    return [*chunks, *(bytes(c) for c in chunker.finish())]


class Recalled:
    """A stream that leaves out what it can."""

    def __init__(self, before: Sequence[bytes]) -> None:
        self.before = b"".join(before)
        self.chunks: list[bytes] = []
        self.read = 0
        old = [(ChunkId(chunk), len(chunk)) for chunk in cut(before)]
        self._chunker = Chunker(PARAMS)
        self._recall = Recall(
            Cuts(iter(old)),
            feed=self._feed,
            open_bytes=lambda: self._chunker.open_bytes,
            drop=self._chunker.drop,
            take=self._take,
        )

    def write(self, data: bytes) -> None:
        self._recall.settle()
        self.chunks += [bytes(c) for c in self._chunker.feed(data)]

    def recall(self, start: int, length: int) -> None:
        self._recall.recall(start, length, self._read)

    def finish(self) -> list[bytes]:
        self._recall.finish()
        return [*self.chunks, *(bytes(c) for c in self._chunker.finish())]

    def _feed(self, data: bytes) -> None:
        self.chunks += [bytes(c) for c in self._chunker.feed(data, at_once=True)]

    def _take(self, chunks: list[OldChunk]) -> None:
        for chunk in chunks:
            assert b"".join(chunk.read(chunk.start, chunk.plain)) == chunk.id
            self.read -= chunk.plain
            self.chunks.append(bytes(chunk.id))

    def _read(self, offset: int, size: int) -> Iterator[bytes]:
        self.read += size
        yield self.before[offset : offset + size]


@given(
    sizes=st.lists(st.integers(0, 4000), max_size=12),
    edits=st.lists(st.sampled_from(["keep", "keep", "keep", "drop", "new", "add"]), max_size=12),
    grain=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_chunks_are_those_of_a_full_reading(
    sizes: list[int], edits: list[str], grain: int, seed: int
) -> None:
    source = random.Random(seed)
    # Low entropy as well: cuts then fall at the largest size only.
    alphabet = bytes(range(4**grain))
    before = [bytes(source.choices(alphabet, k=size)) for size in sizes]
    after: list[bytes] = []
    stream = Recalled(before)
    start = 0
    for number, data in enumerate(before):
        edit = edits[number] if number < len(edits) else "keep"
        fresh = bytes(source.choices(alphabet, k=source.randrange(3000)))
        if edit in ("new", "add"):
            after.append(fresh)
            stream.write(fresh)
        if edit in ("keep", "add"):
            after.append(data)
            if data:
                stream.recall(start, len(data))
        start += len(data)
    assert stream.finish() == cut(after)


def test_where_nothing_changed_nothing_is_read() -> None:
    data = [random.Random(n).randbytes(5000) for n in range(20)]
    stream = Recalled(data)
    for number in range(20):
        stream.recall(5000 * number, 5000)
    total = sum(map(len, stream.finish()))
    # `_take` reads to compare, and takes that off again.
    assert (stream.read, total) == (0, 100_000)


def capture(folder: Path, packs: KeyedPacks, remembering: Remembering | None) -> Captured:
    sink = DepositSink(
        data=packs.packer(),
        manifest=packs.packer(manifest=True),
        dedup_key=packs.dedup_key,
        scratch=folder.parent,
        remembering=remembering,
    )
    try:
        return FilesSource(FilesConfig(folder=folder)).capture(
            sink.of_register("land"), lambda *_: None
        )
    finally:
        sink.close()


def remembering(place: Path, packs: KeyedPacks, *, minutes: int) -> Remembering:
    """A memory at a time when everything written now is settled."""
    return Remembering(
        place,
        mission=MISSION,
        dedup_key=packs.dedup_key,
        clock=lambda: clock.now() + timedelta(minutes=minutes),
        random=os.urandom,
        read_all_after=86_400,
    )


@pytest.mark.parametrize("seed", range(6))
def test_manifests_are_those_of_a_full_reading(tmp_path: Path, seed: int) -> None:
    source, folder, packs = random.Random(seed), tmp_path / "tree", KeyedPacks()
    for number in range(60):
        write(folder, source, number)
    unread = 0
    for round_ in range(4):
        memory = remembering(tmp_path / "memory", packs, minutes=10 * (round_ + 1))
        got = capture(folder, packs, memory)
        memory.keep()
        expected = capture(folder, packs, None)
        assert got.objects == expected.objects
        assert got.bytes_read == expected.bytes_read
        assert (got.files, got.rows, got.notes) == (expected.files, 0, expected.notes)
        assert got.unread is not None
        unread += got.unread.files
        edit(folder, source)
    assert unread > 60


def write(folder: Path, source: random.Random, number: int) -> Path:
    place = folder / f"d{number % 7}" / f"e{number % 3}"
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"f{number}"
    size = source.choice([0, 1, 500, 5_000, 300_000, 900_000])
    file.write_bytes(source.randbytes(size))
    return file


def edit(folder: Path, source: random.Random) -> None:
    """What happens to trees: content, names, links, modes, holes, attributes, folders."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for file in source.sample(files, 6):
        match source.randrange(7):
            case 0:
                file.unlink()
            case 1:
                file.write_bytes(source.randbytes(source.randrange(400_000)))
            case 2:
                file.rename(file.with_name(f"moved-{source.randrange(10**6)}"))
            case 3:
                file.chmod(stat.S_IMODE(file.stat().st_mode) ^ 0o040)
            case 4:
                file.with_name(f"link-{source.randrange(10**6)}").hardlink_to(file)
            case 5:
                with file.open("r+b") as stream:
                    stream.truncate(file.stat().st_size + 2**20)
            case _:
                os.utime(file, ns=(1, source.randrange(10**18)))
    write(folder, source, source.randrange(100, 10**6))
    if source.random() < 0.5:
        shutil.rmtree(source.choice(sorted(p for p in folder.iterdir() if p.is_dir())))
