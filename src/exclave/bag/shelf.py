"""Bags that are read item by item, in any order: for whoever restores from them (spec/bag.md 7).

A folder is read where an item lies. The volumes of a stream, which are files here, are gone through
once to note where content stands; a tape is copied into files first, since it does not seek.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from exclave.bag.folder import INVENTORY, FolderBag
from exclave.bag.interface import NoBag
from exclave.bag.stream import StreamBag, blocks_of
from exclave.carried.blocks import (
    BLOCK_SIZE,
    DATA_SIZE,
    Address,
    Block,
    BlockDamaged,
    BlockKind,
    parse_block,
)
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.errors import IntegrityError
from exclave.ids import ShardRoot
from exclave.values import dataclass

__all__ = ["ItemNotWhole", "ShelvedBag", "open_shelf", "shards_of"]

_HEAD: Final = BLOCK_SIZE - DATA_SIZE


class ItemNotWhole(IntegrityError):
    """An item that is missing, cut or changed."""


@dataclass(slots=True)
class _Run:
    """Content that stands in blocks one after the other, all but the last of them full."""

    start: int  # of the content
    length: int
    path: Path
    place: int  # of its first block


class ShelvedBag:
    """A bag whose items are read when they are asked for."""

    def __init__(self, bag: FolderBag | StreamBag, runs: Sequence[_Run] | None = None) -> None:
        """`runs` of a stream."""
        self._bag = bag
        self._runs = runs
        self._starts: dict[Item, int] = {}
        start = 0
        for item in self.inventory.items if runs is not None else ():
            self._starts[item] = start
            start += item.size

    @property
    def inventory(self) -> Inventory:
        """What it should hold."""
        return self._bag.inventory

    def read(self, item: Item) -> bytes:
        """An item's bytes; raises `ItemNotWhole`."""
        if isinstance(self._bag, FolderBag):
            data = self._bag.read(item)
        else:
            data = b"".join(self._pieces(self._starts[item], item.size))
        if data is None or not item.matches(data):
            raise ItemNotWhole(f"bag {self.inventory.bag.hex()}: {item}: not whole")
        return data

    def _pieces(self, at: int, size: int) -> Iterable[bytes]:
        end = at + size
        for run in self._runs or ():
            if run.start <= at < min(end, run.start + run.length):
                length = min(end, run.start + run.length) - at
                yield _content(run, at - run.start, length)
                at += length


def open_shelf(paths: Sequence[Path]) -> list[ShelvedBag]:
    """The bags at these paths: folders, and files that are volumes, of one bag or of several."""
    shelf: list[ShelvedBag] = []
    volumes: dict[Address, list[Path]] = {}
    runs: dict[Address, list[_Run]] = {}
    for path in paths:
        if path.is_dir():
            shelf.append(ShelvedBag(FolderBag(path)))
            continue
        if not path.is_file():
            raise NoBag(
                f"{path}: expected a bag's folder or a file that is a volume of it, got none",
                hint=f"a bag's folder has {INVENTORY}; a tape is copied into files with dd",
            )
        address, found = _volume(path)
        volumes.setdefault(address, []).append(path)
        runs.setdefault(address, []).extend(found)
    for address, files in volumes.items():
        ordered = sorted(runs[address], key=lambda run: run.start)
        shelf.append(ShelvedBag(StreamBag(files), ordered))
    return shelf


def shards_of(bag: ShelvedBag) -> dict[ShardRoot, Item]:
    """The shards that its inventory names."""
    items = bag.inventory.of_class(ItemClass.SHARD)
    return {ShardRoot(bytes.fromhex(item.name)): item for item in items}


def _volume(path: Path) -> tuple[Address, list[_Run]]:
    """Whose bag a volume is of, and where content stands in it."""
    address: Address | None = None
    runs: list[_Run] = []
    for number, raw in enumerate(blocks_of(path)):
        block = _block(raw)
        if block is None:
            continue
        address = address or block.address
        if block.kind is not BlockKind.CONTENT or block.address != address:
            continue
        last = runs[-1] if runs else None
        place = number * BLOCK_SIZE
        if last is not None and _follows(last, block.offset, place):
            last.length += len(block.data)
        else:
            runs.append(_Run(block.offset, len(block.data), path, place))
    if address is None:
        raise NoBag(f"{path}: expected a volume of a bag, got no block of one")
    return address, runs


def _follows(run: _Run, offset: int, place: int) -> bool:
    full, rest = divmod(run.length, DATA_SIZE)
    return not rest and offset == run.start + run.length and place == run.place + full * BLOCK_SIZE


def _block(raw: bytes) -> Block | None:
    try:
        return parse_block(raw)
    except BlockDamaged:
        return None


def _content(run: _Run, skip: int, length: int) -> bytes:
    """Part of a run; what cannot be read is left out, and the item is not whole then."""
    parts: list[bytes] = []
    with run.path.open("rb") as stream:
        while length > 0:
            block, inside = divmod(skip, DATA_SIZE)
            size = min(length, DATA_SIZE - inside)
            place = run.place + block * BLOCK_SIZE + _HEAD + inside
            parts.append(os.pread(stream.fileno(), size, place))
            skip, length = skip + size, length - size
    return b"".join(parts)
