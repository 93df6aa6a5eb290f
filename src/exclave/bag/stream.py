"""A bag as a stream of volumes: tapes, or a row of files (spec/bag.md 3).

Rules
- Nothing seeks: blocks are written and read from front to back. Only to find the inventory are the
  heads of volumes read before, which a tape rewinds for.
- A block that a medium has no room for goes to the next volume. Where none is given, the bag is not
  made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from exclave.bag.interface import BagFull, BagUnreadable, NoBag
from exclave.bag.media import Medium, MediumFull, open_medium
from exclave.carried.blocks import (
    BLOCK_SIZE,
    DATA_SIZE,
    Address,
    Block,
    BlockDamaged,
    BlockKind,
    parse_block,
)
from exclave.carried.gathering import Finding, Gathering, InventoryGathering
from exclave.carried.inventory import Inventory, Item
from exclave.carried.label import label_text
from exclave.errors import ConfigurationError

__all__ = ["StreamBag", "StreamWriter", "VolumeTooSmall"]

_UNREADABLE: Final = 64
"""Blocks in a row that a drive cannot read before a volume is given up."""


class VolumeTooSmall(ConfigurationError):
    """A volume has no room for its head and one block of content."""


class StreamWriter:
    """New volumes, as many as it takes."""

    def __init__(
        self,
        inventory: Inventory,
        next_volume: Callable[[int], Path | None],
        *,
        capacity: int | None = None,
    ) -> None:
        """`next_volume` says where volume n goes, or None; `capacity`: most bytes of a volume."""
        self._address = Address(mission=inventory.mission, bag=inventory.bag, seat=inventory.seat)
        self._inventory = inventory.encode()
        self._label = label_text(inventory)
        self._size = inventory.content_size
        self._next_volume = next_volume
        self._most = None if capacity is None else capacity // BLOCK_SIZE
        head = 1 + -(-len(self._inventory) // DATA_SIZE)
        if self._most is not None and self._most < head + 1:
            raise VolumeTooSmall(
                f"bag: expected volumes of at least {(head + 1) * BLOCK_SIZE} bytes, "
                f"got {capacity}",
                hint="every volume begins with the inventory of all",
            )
        self._media: list[Medium] = []
        self._number = 0
        self._buffer = bytearray()
        self._at = 0
        self._done = False

    def put(self, item: Item, data: bytes) -> None:
        """See `BagWriter`."""
        del item
        self._buffer += data
        whole = len(self._buffer) // DATA_SIZE * DATA_SIZE
        with memoryview(self._buffer) as view:
            for start in range(0, whole, DATA_SIZE):
                self._content(view[start : start + DATA_SIZE])
        del self._buffer[:whole]

    def finish(self) -> None:
        """See `BagWriter`."""
        if self._buffer:
            self._content(memoryview(bytes(self._buffer)))
        for offset in range(0, len(self._inventory), DATA_SIZE):
            self._append(BlockKind.INVENTORY, offset, self._inventory)
        self._emit(BlockKind.END, self._size, self._size, b"")
        self._media[-1].close()
        for medium in self._media:
            medium.publish()
        self._done = True

    def abandon(self) -> None:
        """See `BagWriter`. What a device has taken stays there; its last volume has no end."""
        if not self._done:
            for medium in self._media:
                medium.discard()

    def _content(self, data: memoryview) -> None:
        self._emit(BlockKind.CONTENT, self._at, self._size, data)
        self._at += len(data)

    def _append(self, kind: BlockKind, offset: int, whole: bytes) -> None:
        self._emit(kind, offset, len(whole), whole[offset : offset + DATA_SIZE])

    def _emit(self, kind: BlockKind, offset: int, size: int, data: bytes | memoryview) -> None:
        """Write a block into this volume, or into the next one when this is full."""
        if self._media and not self._is_at_capacity():
            with suppress(MediumFull):
                self._write(kind, offset, size, data)
                return
        self._begin_volume()
        try:
            self._write(kind, offset, size, data)
        except MediumFull as error:
            raise self._too_small() from error

    def _begin_volume(self) -> None:
        if self._media:
            self._media[-1].close()
        path = self._next_volume(len(self._media) + 1)
        if path is None:
            left = self._size - self._at
            raise BagFull(
                f"bag: expected room for {left} bytes more, got no volume after {len(self._media)}",
                hint="give more or larger volumes; files of this bag are not left, tapes that were "
                "written are no bag",
            )
        self._media.append(open_medium(path))
        self._number = 0
        try:
            self._write(BlockKind.LABEL, 0, len(self._label), self._label)
            for offset in range(0, len(self._inventory), DATA_SIZE):
                part = self._inventory[offset : offset + DATA_SIZE]
                self._write(BlockKind.INVENTORY, offset, len(self._inventory), part)
        except MediumFull as error:
            raise self._too_small() from error

    def _too_small(self) -> BagFull:
        return BagFull(
            f"bag: volume {len(self._media)} is full before it has any content",
            hint="is it an empty one? files of this bag are not left",
        )

    def _is_at_capacity(self) -> bool:
        return self._most is not None and self._number >= self._most

    def _write(self, kind: BlockKind, offset: int, size: int, data: bytes | memoryview) -> None:
        block = Block(
            address=self._address,
            kind=kind,
            volume=len(self._media),
            number=self._number,
            offset=offset,
            size=size,
            data=data,
        )
        self._media[-1].write(block.encode())
        self._number += 1


class StreamBag:
    """Volumes that are there, in ascending order."""

    def __init__(
        self, volumes: Sequence[Path], *, load: Callable[[Path, int], None] = lambda _, __: None
    ) -> None:
        """`load` is called before a volume is read: the time to change tapes."""
        self._volumes = list(volumes)
        self._load = load
        self._inventory = self._find_inventory()
        self._gathering = Gathering(self._inventory)

    @property
    def inventory(self) -> Inventory:
        """See `ReadableBag`."""
        return self._inventory

    @property
    def findings(self) -> Sequence[Finding]:
        """See `ReadableBag`."""
        return self._gathering.findings

    def items(self) -> Iterator[tuple[Item, bytes]]:
        """See `ReadableBag`."""
        for number, path in enumerate(self._volumes, 1):
            self._load(path, number)
            yield from self._gathering.volume(path.name, blocks_of(path))
        self._gathering.finish()

    def _find_inventory(self) -> Inventory:
        """From the heads first; where those are torn, from what stands behind the content."""
        for only_heads in (True, False):
            gathering = InventoryGathering()
            for number, path in enumerate(self._volumes, 1):
                self._load(path, number)
                for raw in blocks_of(path):
                    found = gathering.feed(raw)
                    if found is not None:
                        return found
                    if only_heads and _is_content(raw):
                        break
        names = ", ".join(path.name for path in self._volumes)
        raise BagUnreadable(
            f"{names}: expected the inventory of a bag, got none that is whole",
            hint="every volume has it: give another one too",
        )


def _is_content(raw: bytes) -> bool:
    try:
        return parse_block(raw).kind is BlockKind.CONTENT
    except BlockDamaged:
        return False


def blocks_of(path: Path) -> Iterator[bytes]:
    """A volume's blocks; one that cannot be read is empty, a last one may be cut."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NoBag(f"{path}: cannot be read: {error.strerror}") from error
    number = unreadable = 0
    try:
        while unreadable < _UNREADABLE:
            try:
                raw = _block(descriptor)
            except OSError:
                raw, unreadable = b"", unreadable + 1
            else:
                unreadable = 0
                if not raw:
                    return
            number += 1
            yield raw
            if unreadable:
                with suppress(OSError):  # a drive stands behind the block already
                    os.lseek(descriptor, number * BLOCK_SIZE, os.SEEK_SET)
    finally:
        os.close(descriptor)


def _block(descriptor: int) -> bytes:
    parts: list[bytes] = []
    left = BLOCK_SIZE
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
