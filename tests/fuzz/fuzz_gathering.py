"""Fuzz target: a volume of a bag, as whoever made the tape may have written it.

Invariant: blocks of any order and bytes give items that are as the inventory says, each once and in
order, and findings; or a refusal with an `ExclaveError`. What was not given out is counted as bad.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from exclave.carried.blocks import BLOCK_SIZE, Address, Block, BlockKind
from exclave.carried.gathering import Gathering, InventoryGathering
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.errors import ExclaveError
from exclave.ids import BagId, MissionId, Seat

SIZES = (1, 70_000, 200, 130_000)
ITEMS = tuple(
    Item(
        kind=kind,
        name=f"{number:064x}",
        size=size,
        hash=hashlib.sha256(bytes([number]) * size).digest(),
    )
    for number, (kind, size) in enumerate(
        zip(
            (ItemClass.CHARTER, ItemClass.RECORD, ItemClass.SHARD, ItemClass.SHARD),
            SIZES,
            strict=True,
        )
    )
)
INVENTORY = Inventory(
    mission=MissionId(bytes(32)),
    bag=BagId(bytes(16)),
    seat=Seat(3),
    packed=datetime(2026, 3, 1, tzinfo=UTC),
    items=ITEMS,
)
CONTENT = b"".join(bytes([number]) * size for number, size in enumerate(SIZES))
ADDRESS = Address(mission=INVENTORY.mission, bag=INVENTORY.bag, seat=INVENTORY.seat)


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    gathering, found = Gathering(INVENTORY), []
    finding = InventoryGathering()
    with contextlib.suppress(ExclaveError):
        for volume in (1, 2):
            blocks = list(_blocks(data, volume))
            for raw in blocks:
                assert finding.feed(raw) in {None, INVENTORY}
            found += list(gathering.volume(f"volume {volume}", iter(blocks)))
        gathering.finish()
        assert gathering.good + gathering.bad == len(ITEMS)
    assert [item for item, _ in found] == [i for i in ITEMS if i in [f for f, _ in found]]
    assert all(item.matches(read) for item, read in found)


def _blocks(data: bytes, volume: int) -> list[bytes]:
    """Four bytes of the input are a block: which, where from, how long, and what is done to it."""
    made = []
    for at in range(0, min(len(data), 200) - 3, 4):
        number, start, length, twist = data[at : at + 4]
        offset = min(start * 800, len(CONTENT) - 1)
        block = Block(
            address=ADDRESS,
            kind=BlockKind.CONTENT,
            volume=volume + (twist & 1),
            number=number + 1,
            offset=offset,
            size=len(CONTENT),
            data=CONTENT[offset : offset + 1 + length * 256],
        )
        raw = bytearray(block.encode())
        if twist & 2:
            raw[twist] ^= 1
        made.append(bytes(raw[: BLOCK_SIZE - (twist & 4)]))
    return made


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
