"""The inventory of a bag: which items it holds, in which order (spec/bag.md 1).

Does not judge what the items say: envelopes and sealed shards check themselves where they are used.
Rules: an inventory that is constructed is within its bounds; writing a parsed one gives the same
bytes; a path of the kit can lead nowhere but into the kit.
"""

from __future__ import annotations

import enum
import hashlib
import re
from datetime import datetime
from typing import Final

from exclave.authority.fields import FieldInvalid, Node, require_ascending
from exclave.clock import format_time
from exclave.encoding import canonical_json, parse_canonical_json
from exclave.errors import MalformedData
from exclave.ids import BagId, MissionId, Seat
from exclave.values import dataclass

__all__ = [
    "MAX_INVENTORY",
    "MAX_ITEM",
    "MAX_KIT_FILE",
    "Inventory",
    "Item",
    "ItemClass",
    "parse_inventory",
]

MAX_INVENTORY: Final = 64 * 2**20
MAX_ITEM: Final = 2**27
"""An item is read whole: whoever made a bag up must not fill the memory of who reads it."""
MAX_KIT_FILE: Final = 4 * 2**20
_KIND: Final = "exclave-bag"
_VERSION: Final = 1
_BAG: Final = 16
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PARTS: Final = 8
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class ItemClass(enum.StrEnum):
    """What an item is, in the order in which classes stand."""

    KIT = "kit"
    CHARTER = "charter"
    ANNEX = "annex"
    STATEMENT = "statement"
    RECORD = "record"
    SHARD = "shard"


_ORDER: Final = {kind: number for number, kind in enumerate(ItemClass)}
_ASCENDING: Final = (ItemClass.KIT, ItemClass.ANNEX, ItemClass.SHARD)
_WANTED: Final = (ItemClass.CHARTER, ItemClass.RECORD, ItemClass.SHARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing in a bag: its class, its name there, and which bytes it is."""

    kind: ItemClass
    name: str
    size: int
    hash: bytes

    def __post_init__(self) -> None:
        most = MAX_KIT_FILE if self.kind is ItemClass.KIT else MAX_ITEM
        if not 1 <= self.size <= most:
            raise FieldInvalid(f"{self}: expected 1 to {most} bytes, got {self.size}")
        if not _is_name(self.kind, self.name):
            raise FieldInvalid(f"bag: expected a name of a {self.kind}, got {self.name[:40]!r}")

    def __str__(self) -> str:
        return f"{self.kind} {self.name[:80]}"

    def matches(self, data: bytes | bytearray | memoryview) -> bool:
        """Whether these are the item's bytes."""
        return len(data) == self.size and hashlib.sha256(data).digest() == self.hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All items of one bag, in order."""

    mission: MissionId
    bag: BagId
    seat: Seat
    further: tuple[Seat, ...] = ()
    packed: datetime
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        require_ascending("bag.further", self.further)
        if self.seat in self.further:
            raise FieldInvalid(f"bag.further: expected other seats than {self.seat}, got it again")
        ranks = [_ORDER[item.kind] for item in self.items]
        if ranks != sorted(ranks):
            raise FieldInvalid("bag.items: expected classes in the order " + ", ".join(ItemClass))
        for kind in ItemClass:
            names = [item.name for item in self.items if item.kind is kind]
            if kind in _ASCENDING:
                require_ascending(f"bag.items {kind}", names)
            elif len(set(names)) != len(names):
                raise FieldInvalid(f"bag.items: expected each {kind} once, got one twice")
            if kind in _WANTED and not names:
                raise FieldInvalid(f"bag.items: expected a {kind} at least, got none")

    @property
    def seats(self) -> tuple[Seat, ...]:
        """All seats whose shards it carries."""
        return (self.seat, *self.further)

    @property
    def content_size(self) -> int:
        """Bytes of all items."""
        return sum(item.size for item in self.items)

    @property
    def hash(self) -> bytes:
        """What names this very bag with its content."""
        return hashlib.sha256(self.encode()).digest()

    def of_class(self, kind: ItemClass) -> tuple[Item, ...]:
        """The items of one class, in order."""
        return tuple(item for item in self.items if item.kind is kind)

    def encode(self) -> bytes:
        """As canonical JSON."""
        return canonical_json(
            {
                "kind": _KIND,
                "version": _VERSION,
                "mission": self.mission.hex(),
                "bag": self.bag.hex(),
                "seat": self.seat,
                "further": list(self.further),
                "packed": format_time(self.packed),
                "items": [[i.kind.value, i.name, i.size, i.hash.hex()] for i in self.items],
            }
        )


def parse_inventory(data: bytes) -> Inventory:
    """Read an inventory; raises `MalformedData` or `NonCanonicalData`."""
    if len(data) > MAX_INVENTORY:
        raise MalformedData(f"bag: expected at most {MAX_INVENTORY} bytes of inventory, got more")
    node = Node(parse_canonical_json(data, subject="bag"), "bag")
    names = ("mission", "bag", "seat", "further", "packed", "items")
    fields = node.versioned(_KIND, _VERSION, *names)
    return Inventory(
        mission=MissionId(fields["mission"].hex(32)),
        bag=BagId(fields["bag"].hex(_BAG)),
        seat=Seat(fields["seat"].integer(1, 255)),
        further=fields["further"].each(lambda item: Seat(item.integer(1, 255))),
        packed=fields["packed"].time(),
        items=fields["items"].each(_read_item),
    )


def _read_item(node: Node) -> Item:
    kind, name, size, digest = node.items(least=4, most=4)
    return Item(
        kind=ItemClass(kind.literal(*ItemClass)),
        name=name.string(),
        size=size.integer(1, MAX_ITEM),
        hash=digest.hex(32),
    )


def _is_name(kind: ItemClass, name: str) -> bool:
    if kind is not ItemClass.KIT:
        return _HASH.fullmatch(name) is not None
    parts = name.split("/")
    return len(parts) <= _PARTS and all(_PART.fullmatch(part) for part in parts)
