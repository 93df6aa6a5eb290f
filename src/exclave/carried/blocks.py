"""Blocks of a stream: each says where it belongs and proves that it is whole (spec/bag.md 3).

Reads and writes single blocks, and cuts a label, an inventory or a content into them. Rules: one
encoding per block; a block that cannot be read is damaged and says nothing, not even which it was.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from typing import Final

from exclave.errors import IntegrityError
from exclave.ids import BagId, MissionId, Seat
from exclave.values import dataclass, field

__all__ = [
    "BLOCK_SIZE",
    "DATA_SIZE",
    "Address",
    "Block",
    "BlockDamaged",
    "BlockKind",
    "parse_block",
]

BLOCK_SIZE: Final = 65_536
"""What tape drives of every make take as a fixed block."""
_HEADER: Final = 128
DATA_SIZE: Final = BLOCK_SIZE - _HEADER
_MAGIC: Final = b"EXCLAVEB"
_VERSION: Final = 1
_LAYOUT: Final = struct.Struct(">8sHBBIQQIQI16s32s")
_HASHED: Final = 96
assert _LAYOUT.size == _HASHED


class BlockDamaged(IntegrityError):
    """A block that is cut, altered or not of this format."""


class BlockKind(enum.IntEnum):
    """What a block's data is part of."""

    LABEL = 0
    INVENTORY = 1
    CONTENT = 2
    END = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Whose bag it is and which."""

    mission: MissionId
    bag: BagId
    seat: Seat


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block; `offset` and `size` are of the label, inventory or content that it is part of."""

    address: Address
    kind: BlockKind
    volume: int
    number: int
    offset: int
    size: int
    data: bytes | memoryview = field(repr=False)

    def encode(self) -> bytes:
        """The block's 65,536 bytes."""
        head = _LAYOUT.pack(
            _MAGIC, _VERSION, self.kind, self.address.seat, self.volume, self.number, self.offset,
            len(self.data), self.size, 0, self.address.bag, self.address.mission,
        )  # fmt: skip
        data = bytes(self.data).ljust(DATA_SIZE, b"\0")
        return b"".join((head, hashlib.sha256(head + data).digest(), data))


def parse_block(block: bytes | memoryview) -> Block:
    """Read a block; raises `BlockDamaged`."""
    if len(block) != BLOCK_SIZE:
        raise BlockDamaged(f"block: expected {BLOCK_SIZE} bytes, got {len(block)}")
    view = memoryview(block)
    magic, version, kind, seat, volume, number, offset, length, size, zero, bag, mission = (
        _LAYOUT.unpack(view[:_HASHED])
    )
    if magic != _MAGIC:
        raise BlockDamaged("block: expected one of a bag, got other bytes")
    digest = hashlib.sha256(view[:_HASHED])
    digest.update(view[_HEADER:])
    if not hmac.compare_digest(digest.digest(), view[_HASHED:_HEADER]):
        raise BlockDamaged("block: its bytes have another hash than it says")
    if version != _VERSION:
        raise BlockDamaged(
            f"block: expected version {_VERSION}, got {version}",
            hint="a later version of exclave wrote it: use that one",
        )
    if (
        kind not in set(BlockKind)
        or zero
        or not seat
        or not volume
        or length > DATA_SIZE
        or offset + length > size
        or any(view[_HEADER + length :])
        or not _is_fit(BlockKind(kind), number, offset, length, size)
    ):
        raise BlockDamaged("block: its header says what cannot be")
    return Block(
        address=Address(mission=MissionId(mission), bag=BagId(bag), seat=Seat(seat)),
        kind=BlockKind(kind),
        volume=volume,
        number=number,
        offset=offset,
        size=size,
        data=view[_HEADER : _HEADER + length].toreadonly(),
    )


def _is_fit(kind: BlockKind, number: int, offset: int, length: int, size: int) -> bool:
    """The label is block 0 and only that; only an end block has no data, and stands at the end."""
    if (kind is BlockKind.LABEL) is not (number == 0):
        return False
    return (offset == size and not length) if kind is BlockKind.END else length > 0
