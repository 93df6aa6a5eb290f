"""When a pack takes no more chunks."""

from __future__ import annotations

from exclave.archive.reference import Codec
from exclave.deposit.memory import PackMemory
from exclave.deposit.packing import FullPack, Packer, PackTable, StoredChunk
from exclave.ids import ChunkId
from exclave.sealing.pack import PackKind


def filled(chunks: int, size: int, *, most: int) -> list[FullPack]:
    full: list[FullPack] = []
    packer = Packer(
        PackKind.DATA,
        table=PackTable(),
        hand_on=full.append,
        journal=None,
        memory=PackMemory(keep=1),
        capacity=1 << 16,
        most=most,
    )
    for number in range(chunks):
        name = ChunkId(number.to_bytes(32, "big"))
        packer.add(StoredChunk(id=name, plain=size, codec=Codec.RAW, stored=bytes(size)))
    packer.close()
    return full


def test_a_pack_is_full_by_its_bytes_or_by_its_chunks() -> None:
    assert [pack.builder.count for pack in filled(40, 10, most=16)] == [16, 16, 8]
    assert [pack.builder.count for pack in filled(9, 20_000, most=16)] == [3, 3, 3]
    assert [pack.number for pack in filled(40, 10, most=16)] == [0, 1, 2]
