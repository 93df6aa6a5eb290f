"""Packs a made-up bag: the process that tests of interruption kill.

pack_made_bag.py folder|volumes PLACE
"""

from __future__ import annotations

import sys
from pathlib import Path

from exclave.bag.folder import FolderWriter
from exclave.bag.interface import BagWriter
from exclave.bag.stream import StreamWriter
from exclave.carried.blocks import BLOCK_SIZE
from exclave.carried.inventory import Inventory
from tests.support.made_bags import given, made_bag

MADE = made_bag(size=70_000)


def main(arguments: list[str]) -> None:
    """Pack it."""
    carrier, place = arguments[0], Path(arguments[1])
    inventory, datas = MADE
    writer = open_writer(carrier, place, inventory)
    try:
        for item, data in zip(inventory.items, datas, strict=True):
            writer.put(item, data)
        writer.finish()
    finally:
        writer.abandon()


def open_writer(carrier: str, place: Path, inventory: Inventory) -> BagWriter:
    """As `exclave bag pack` opens it."""
    if carrier == "folder":
        return FolderWriter(place / "bag", inventory)
    paths = [place / f"{number}.tape" for number in range(1, 9)]
    return StreamWriter(inventory, given(paths), capacity=5 * BLOCK_SIZE)


if __name__ == "__main__":
    main(sys.argv[1:])
