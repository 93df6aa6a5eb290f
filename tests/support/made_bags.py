"""Bags of made-up items: for what carries them, which does not look at what they say."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from exclave.bag.stream import StreamWriter
from exclave.carried.blocks import BLOCK_SIZE
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.ids import BagId, MissionId, Seat

__all__ = ["Made", "damage", "given", "made_bag", "write_volumes"]

Made = tuple[Inventory, tuple[bytes, ...]]


def made_bag(
    *, seed: int = 1, shards: int = 6, size: int = 90_000, bag: int = 7, seat: int = 3
) -> Made:
    """An inventory and its items' bytes."""
    source = random.Random(seed)
    kinds = [ItemClass.KIT, ItemClass.CHARTER, ItemClass.RECORD, *[ItemClass.SHARD] * shards]
    datas = [source.randbytes(300 if kind is not ItemClass.SHARD else size) for kind in kinds]
    items = [
        Item(
            kind=kind,
            name="reader/a.py" if kind is ItemClass.KIT else hashlib.sha256(data).hexdigest(),
            size=len(data),
            hash=hashlib.sha256(data).digest(),
        )
        for kind, data in zip(kinds, datas, strict=True)
    ]
    order = sorted(range(len(items)), key=lambda at: (at >= 3, items[at].name if at >= 3 else ""))
    inventory = Inventory(
        mission=MissionId(bytes(32)),
        bag=BagId(bytes([bag]) * 16),
        seat=Seat(seat),
        packed=datetime(2026, 3, 1, tzinfo=UTC),
        items=tuple(items[at] for at in order),
    )
    return inventory, tuple(datas[at] for at in order)


def given(paths: Sequence[Path]) -> Callable[[int], Path | None]:
    """Where volumes go: these paths, and then nowhere."""
    return lambda number: paths[number - 1] if number <= len(paths) else None


def write_volumes(made: Made, folder: Path, *, blocks: int = 6) -> list[Path]:
    """The bag on volumes of so many blocks."""
    inventory, datas = made
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.tape" for number in range(1, 100)]
    writer = StreamWriter(inventory, given(paths), capacity=blocks * BLOCK_SIZE)
    for item, data in zip(inventory.items, datas, strict=True):
        writer.put(item, data)
    writer.finish()
    return [path for path in paths if path.exists()]


def damage(file: Path, place: int, *, cut: int | None = None) -> None:
    """Flip a bit at a place of a file, or cut the file there."""
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    if cut is None:
        data[place] ^= 1
    file.write_bytes(data if cut is None else data[:cut])
