"""The label: what a bag says to somebody who finds it and has never heard of it (spec/bag.md 3).

The same text lies in a folder as BAG.txt and at the start of every volume. It names a mission by
its id only: nothing that a vault may not see.
"""

from __future__ import annotations

from exclave.carried.blocks import BLOCK_SIZE, DATA_SIZE
from exclave.carried.inventory import Inventory

__all__ = ["label_text"]


def label_text(inventory: Inventory) -> bytes:
    """The label of a bag, ASCII, shorter than a block."""
    text = f"""EXCLAVE DIPLOMATIC BAG

Mission  {inventory.mission.hex()}
Bag      {inventory.bag.hex()}
For seat {", ".join(map(str, inventory.seats))}

This holds encrypted parts of a state's registers, under way to the seat named above. It is of no
use to anybody else. If you have found it, please hand it to the nearest embassy of the state whose
bag it is, unopened.

To read it: KIT/ holds a program (reader/exclave_reader.py), its description (spec/, begin with
bag.md) and test vectors. In a folder it lies beside this text. On tape or in a file of blocks, this
label is the first block of a volume. Every block has {BLOCK_SIZE} bytes: a head of 128, then at
most {DATA_SIZE} bytes of data. In the head, numbers big-endian: byte 10 is the kind (1: inventory,
in JSON; 2: content), bytes 24 to 31 say where the data belongs, bytes 32 to 35 how much it is. The
content is all items of the inventory, end to end, in its order; the program is among the first.
"""
    return text.encode("ascii")
