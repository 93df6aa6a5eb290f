"""Chunks are read ahead in order and in bounded memory; errors come where their chunk would."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from exclave.archive.reference import Codec, Reference
from exclave.errors import IntegrityError
from exclave.reconstruct.ahead import PLAIN_AHEAD, STORED_AHEAD, read_ahead

SIZE = 2**18


class Packs:
    """Packs of equal chunks; which were asked for, in order."""

    def __init__(self, broken: frozenset[int] = frozenset()) -> None:
        self.asked: list[int] = []
        self._broken = broken

    def fetch(self, reference: Reference) -> Future[memoryview]:
        future: Future[memoryview] = Future()
        if not self.asked or self.asked[-1] != reference.pack:
            self.asked.append(reference.pack)
        if reference.pack in self._broken:
            future.set_exception(IntegrityError(f"pack {reference.pack}"))
        else:
            future.set_result(memoryview(bytes([reference.pack % 256])))
        return future


def decode(pack: memoryview, references: tuple[Reference, ...]) -> list[bytes]:
    return [bytes(pack) + reference.offset.to_bytes(4, "big") for reference in references]


def references(packs: int, chunks: int) -> Iterator[Reference]:
    for pack in range(packs):
        for number in range(chunks):
            yield Reference(pack, number * SIZE, SIZE, SIZE, Codec.RAW)


def test_chunks_come_in_order() -> None:
    packs = Packs()
    with ThreadPoolExecutor(3) as pool:
        got = list(read_ahead(references(5, 64), fetch=packs.fetch, decode=decode, pool=pool))
    assert got == [
        bytes([pack]) + (number * SIZE).to_bytes(4, "big")
        for pack in range(5)
        for number in range(64)
    ]
    assert packs.asked == [0, 1, 2, 3, 4]


def test_nothing_is_read_far_ahead() -> None:
    taken = 0

    def counted() -> Iterator[Reference]:
        nonlocal taken
        for reference in references(100, 64):
            taken += 1
            yield reference

    with ThreadPoolExecutor(2) as pool:
        stream = read_ahead(counted(), fetch=Packs().fetch, decode=decode, pool=pool)
        next(stream)
        assert taken * SIZE <= STORED_AHEAD + PLAIN_AHEAD + 2**20
        stream.close()  # type: ignore[attr-defined]
        after = taken
    assert taken == after


def test_an_error_comes_where_its_chunk_would() -> None:
    got: list[bytes] = []
    with ThreadPoolExecutor(2) as pool:
        broken = Packs(frozenset({1}))
        stream = read_ahead(references(3, 8), fetch=broken.fetch, decode=decode, pool=pool)
        with pytest.raises(IntegrityError, match="pack 1"):
            got.extend(stream)
    assert len(got) == 8


def test_an_empty_stream_has_no_chunks() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert list(read_ahead([], fetch=Packs().fetch, decode=decode, pool=pool)) == []
