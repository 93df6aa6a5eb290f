"""What a bag is written to and read from, whichever medium it has.

One suite of tests, `tests/contract/test_bag.py`, holds all of them to this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from exclave.carried.gathering import Finding
from exclave.carried.inventory import Inventory, Item
from exclave.errors import ConfigurationError, IntegrityError, StorageError

__all__ = ["BagExists", "BagFull", "BagUnreadable", "BagWriter", "NoBag", "ReadableBag"]


class BagExists(ConfigurationError):
    """A bag would be written over something."""


class BagFull(StorageError):
    """The medium is full before the bag is whole; nothing of it is left."""


class NoBag(ConfigurationError):
    """What was named is no bag."""


class BagUnreadable(IntegrityError):
    """A bag whose inventory cannot be read: nothing can be said of it."""


class BagWriter(Protocol):
    """A bag in the making. Call `put` for every item, in order, then `finish`; or `abandon`."""

    def put(self, item: Item, data: bytes) -> None:
        """Write the next item; raises `BagFull`."""

    def finish(self) -> None:
        """On return the bag is whole, durable, and under its name."""

    def abandon(self) -> None:
        """Leave nothing under a bag's name; after `finish` it does nothing."""


class ReadableBag(Protocol):
    """A bag that is there, perhaps damaged. Read once, from front to back."""

    @property
    def inventory(self) -> Inventory:
        """What it should hold."""

    def items(self) -> Iterator[tuple[Item, bytes]]:
        """Every item whose bytes are as the inventory says, in order; the rest are findings."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What was wrong; complete when `items` has ended."""
