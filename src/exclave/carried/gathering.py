"""From blocks to items: what volumes hold, read once from front to back (spec/bag.md 3).

`Gathering` is given volumes in turn and each one's blocks; it gives out every item that is whole
and names all else. It keeps one item in memory. It opens nothing and asks for no volume.

Rules
- Only volumes of one bag, ascending, each once: anything else is refused, since whoever loads tapes
  can put that right. Damage is not refused: what other blocks hold counts.
- An item is given out only when all its bytes are there and have the hash of the inventory.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from exclave.carried.blocks import (
    DATA_SIZE,
    Address,
    Block,
    BlockDamaged,
    BlockKind,
    parse_block,
)
from exclave.carried.inventory import MAX_INVENTORY, Inventory, Item, parse_inventory
from exclave.errors import IntegrityError
from exclave.values import dataclass, field

__all__ = [
    "Finding",
    "FindingCause",
    "Gathering",
    "InventoryGathering",
    "VolumeForeign",
    "VolumeOutOfOrder",
    "VolumeTwice",
]

_SHOWN: Final = 1000
"""Findings of one bag: whoever made it up must not fill a terminal with them."""


class VolumeForeign(IntegrityError):
    """A volume of another bag among those of one."""


class VolumeTwice(IntegrityError):
    """One volume was given twice."""


class VolumeOutOfOrder(IntegrityError):
    """A volume came after a later one."""


class FindingCause(enum.StrEnum):
    """What is wrong with a bag that was read."""

    DAMAGED = "damaged"  # blocks of a volume, or a file
    MISSING = "missing"  # a volume, or a file
    TORN = "torn"  # the stream has no end
    ITEM = "item"  # an item is not whole
    STRANGE = "strange"  # something that is none of the bag's


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it must be."""

    cause: FindingCause
    what: str


@dataclass(slots=True)
class InventoryGathering:
    """Puts the inventory together from the blocks of as many volumes as it takes."""

    address: Address | None = None
    _parts: dict[int, bytes] = field(default_factory=dict)

    def feed(self, raw: bytes) -> Inventory | None:
        """One more block; the inventory as soon as it is whole."""
        try:
            block = parse_block(raw)
        except BlockDamaged:
            return None
        if block.kind is not BlockKind.INVENTORY or block.size > MAX_INVENTORY:
            return None
        if self.address not in {None, block.address} or block.offset % DATA_SIZE:
            return None
        self.address = block.address
        self._parts[block.offset] = bytes(block.data)
        return self._joined(block.size)

    def _joined(self, size: int) -> Inventory | None:
        if sum(map(len, self._parts.values())) < size:
            return None
        whole = b"".join(self._parts[offset] for offset in sorted(self._parts))
        self._parts.clear()  # of two that contradict each other, neither is kept
        try:
            inventory = parse_inventory(whole)
        except IntegrityError:
            return None
        named = Address(mission=inventory.mission, bag=inventory.bag, seat=inventory.seat)
        return inventory if named == self.address else None


class Gathering:
    """Reads the volumes of a bag whose inventory is known."""

    def __init__(self, inventory: Inventory) -> None:
        self._address = Address(mission=inventory.mission, bag=inventory.bag, seat=inventory.seat)
        self._items = iter(inventory.items)
        self._size = inventory.content_size
        self._item: Item | None = next(self._items)
        self._buffer = bytearray()
        self._left = inventory.items[0].size
        self._whole = True
        self._at = 0
        self._volume = 0
        self._ended = False
        self._behind: str | None = None  # what cannot be read there, in words
        self.good = 0
        self.bad = 0
        self.blocks = 0
        self.findings: list[Finding] = []

    def volume(self, name: str, blocks: Iterator[bytes]) -> Iterator[tuple[Item, bytes]]:
        """Read one volume to its end; raises what its place among the others makes of it."""
        number = damaged = before_good = expected = 0
        for raw in blocks:
            self.blocks += 1
            try:
                block = self._fitting(parse_block(raw), number, expected)
            except BlockDamaged:
                damaged, expected = damaged + 1, expected + 1
                continue
            if not number:
                number = self._take_up(block, name)
            damaged, expected = damaged + block.number - expected, block.number + 1
            before_good = damaged
            if block.kind is BlockKind.CONTENT:
                yield from self._content(block)
            elif block.kind is BlockKind.END:
                self._ended = True
                break
        said = f"{name}: {damaged} of {expected} blocks cannot be read"
        if before_good:
            self._find(FindingCause.DAMAGED, said)
        elif damaged and number:
            self._behind = said
        if not number:
            self._find(FindingCause.DAMAGED, f"{name}: no block of the bag can be read")

    def finish(self) -> None:
        """Nothing more comes: whatever was not given out is not whole."""
        self._judge_behind(missing=not self._ended or self._at < self._size)
        self._skip(self._size - self._at)
        if not self._ended:
            self._find(FindingCause.TORN, f"stream: no end after volume {self._volume}")

    def _fitting(self, block: Block, volume: int, expected: int) -> Block:
        """A block that can stand here; raises `BlockDamaged`."""
        foreign = block.address != self._address
        if volume and (foreign or block.volume != volume):
            raise BlockDamaged("block: of another volume than those before it")
        if block.number < expected:
            raise BlockDamaged("block: stands twice")
        of_content = block.kind in {BlockKind.CONTENT, BlockKind.END}
        if of_content and not foreign and block.size != self._size:
            raise BlockDamaged("block: of another content")
        return block

    def _take_up(self, block: Block, name: str) -> int:
        """The number of a volume that begins, if it may come now."""
        if block.address != self._address:
            raise VolumeForeign(
                f"{name}: expected a volume of bag {self._address.bag.hex()}, "
                f"got one of bag {block.address.bag.hex()}",
                hint="only volumes of one bag are read together",
            )
        if block.volume == self._volume:
            raise VolumeTwice(f"{name}: expected another volume, got volume {block.volume} twice")
        if block.volume < self._volume:
            raise VolumeOutOfOrder(
                f"{name}: expected a volume after {self._volume}, got volume {block.volume}",
                hint="give the volumes in ascending order: their numbers are in their labels",
            )
        for missing in range(self._volume + 1, min(block.volume, self._volume + _SHOWN)):
            self._find(FindingCause.MISSING, f"volume {missing}: not there")
        self._volume = block.volume
        return block.volume

    def _content(self, block: Block) -> Iterator[tuple[Item, bytes]]:
        if block.offset < self._at:
            return  # written twice, as after an error of the tape
        self._judge_behind(missing=block.offset > self._at)
        self._skip(block.offset - self._at)
        data = memoryview(block.data)
        self._at += len(data)
        while data and self._item is not None:
            part = data[: self._left]
            data = data[len(part) :]
            if self._whole:
                self._buffer += part
            self._left -= len(part)
            if not self._left:
                found = self._close()
                if found is not None:
                    yield found

    def _judge_behind(self, *, missing: bool) -> None:
        """What stood behind the last block of a volume: damage, or the rest of a larger disk."""
        if self._behind is not None and missing:
            self._find(FindingCause.DAMAGED, self._behind)
        self._behind = None

    def _skip(self, count: int) -> None:
        """Bytes that are lost: every item that they touch is not whole."""
        self._at += count
        while count and self._item is not None:
            step = min(count, self._left)
            count, self._left, self._whole = count - step, self._left - step, False
            self._buffer.clear()
            if not self._left:
                self._close()

    def _close(self) -> tuple[Item, bytes] | None:
        item, data = self._item, bytes(self._buffer)
        assert item is not None
        good = self._whole and item.matches(data)
        self._item = next(self._items, None)
        self._left = 0 if self._item is None else self._item.size
        self._buffer, self._whole = bytearray(), True
        if good:
            self.good += 1
            return item, data
        self.bad += 1
        self._find(FindingCause.ITEM, f"{item}: not whole")
        return None

    def _find(self, cause: FindingCause, what: str) -> None:
        if len(self.findings) < _SHOWN:
            self.findings.append(Finding(cause=cause, what=what))
