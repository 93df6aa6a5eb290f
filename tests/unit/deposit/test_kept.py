"""What is kept for a proof: once, in bounds, and nothing that is not as its id says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exclave.archive.pack import chunk_id
from exclave.archive.reference import Codec, Reference
from exclave.deposit.kept import Kept, KeptTooLarge
from exclave.deposit.packing import StoredChunk
from exclave.deposit.recall import OldChunk
from exclave.deposit.streams import DepositSink, Keeping
from exclave.dispersal.placement import seats_kept
from exclave.errors import StorageError
from exclave.ids import PackRoot
from exclave.source.files.errors import FileChanging
from exclave.source.interface import StreamPurpose

KEY = b"\x03" * 32


def _chunk(plain: bytes) -> StoredChunk:
    return StoredChunk(id=chunk_id(KEY, plain), plain=len(plain), codec=Codec.RAW, stored=plain)


def _place(pack: int, plain: bytes) -> Reference:
    return Reference(pack, 7, len(plain), len(plain), Codec.RAW)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path, limit=10_000)
    yield made
    made.close()


def test_a_chunk_is_kept_under_its_place(kept: Kept) -> None:
    assert kept.chunk(1, 7) is None
    kept.keep_chunk(_place(1, b"one"), _chunk(b"one"))
    kept.keep_chunk(_place(2, b"two"), _chunk(b"two"))
    found = kept.chunk(2, 7)
    assert found is not None
    assert (found.plain, found.id) == (b"two", chunk_id(KEY, b"two"))
    assert (kept.has_chunk(1, 7), kept.has_chunk(1, 8)) == (True, False)


def test_a_chunk_is_kept_once(kept: Kept) -> None:
    for _ in range(100):
        kept.keep_chunk(_place(1, bytes(1000)), _chunk(bytes(1000)))
    assert kept.problem is None


def test_what_goes_beyond_the_limit_is_a_problem_and_everything_goes(kept: Kept) -> None:
    for pack in range(11):
        kept.keep_chunk(_place(pack, bytes(1000)), _chunk(bytes(1000)))
    assert isinstance(kept.problem, KeptTooLarge)
    assert kept.chunk(0, 7) is None
    kept.keep_chunk(_place(99, b"one"), _chunk(b"one"))
    assert not kept.has_chunk(99, 7)


def test_a_folder_that_takes_nothing_is_a_problem(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "absent", limit=10_000)
    kept.keep_chunk(_place(1, b"one"), _chunk(b"one"))
    assert isinstance(kept.problem, StorageError)


def test_nothing_has_a_name_or_stands_in_the_clear(kept: Kept, tmp_path: Path) -> None:
    word = os.urandom(32)
    kept.keep_chunk(_place(1, word), _chunk(word))
    assert kept.has_chunk(1, 7)
    assert list(tmp_path.iterdir()) == []


def test_every_seat_is_kept_as_often_as_the_others() -> None:
    counts = dict.fromkeys((1, 2, 3), 0)
    for first in range(255):
        chosen = seats_kept(PackRoot(bytes([first]) + bytes(31)), [1, 2, 3], 2)
        assert len(set(chosen)) == 2
        for seat in chosen:
            counts[seat] += 1
    assert set(counts.values()) == {170}


class _Packer:
    """Finds every chunk in pack 5."""

    def find(self, ids: list[Any]) -> list[Reference]:
        return [Reference(5, 64 * n, 4, 4, Codec.RAW) for n, _ in enumerate(ids)]


def _sink(
    kept: list[tuple[Reference, StoredChunk]], older: set[int], tmp_path: Path
) -> DepositSink:
    packer: Any = _Packer()
    return DepositSink(
        data=packer,
        manifest=packer,
        dedup_key=KEY,
        scratch=tmp_path,
        keeping=Keeping(
            is_older=lambda pack: pack in older, keep=lambda *given: kept.append(given)
        ),
    )


def test_chunks_of_older_packs_are_kept_and_no_others(tmp_path: Path) -> None:
    kept: list[tuple[Reference, StoredChunk]] = []
    for older, count in (({5}, 2), (set[int](), 0)):
        kept.clear()
        sink = _sink(kept, older, tmp_path)
        sink.prepare(StreamPurpose.CONTENT, [b"1234", b"5678"]).result()
        sink.close()
        assert [item.id for _, item in kept] == [chunk_id(KEY, b"1234"), chunk_id(KEY, b"5678")][
            :count
        ]


def test_files_that_are_not_read_are_read_for_the_proof(tmp_path: Path) -> None:
    """What changed between the capture and this is not kept, so it will be counted as lacking."""

    def read(start: int, size: int) -> Iterator[bytes]:
        if start == 8:
            raise FileChanging("changed meanwhile")
        yield b"abcdXXXXijkl"[start : start + size]

    names = [chunk_id(KEY, plain) for plain in (b"abcd", b"efgh", b"ijkl")]
    old = [OldChunk(name, 4 * n, 4, read) for n, name in enumerate(names)]
    kept: list[tuple[Reference, StoredChunk]] = []
    sink = _sink(kept, {5}, tmp_path)
    cuts = sink.find(old).result()
    sink.close()
    assert len(cuts) == 3, "the deposit goes on: its references were found"
    assert [(place.offset, item.id) for place, item in kept] == [(0, names[0])]
