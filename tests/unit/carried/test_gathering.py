"""Volumes as they come: out of order, twice, missing, torn, of another bag, damaged anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.bag.interface import BagFull, BagUnreadable
from exclave.bag.opening import open_bag
from exclave.bag.stream import StreamWriter, VolumeTooSmall
from exclave.carried.blocks import BLOCK_SIZE
from exclave.carried.gathering import (
    FindingCause,
    VolumeForeign,
    VolumeOutOfOrder,
    VolumeTwice,
)
from exclave.errors import IntegrityError
from tests.support.made_bags import damage, given, made_bag, write_volumes

MADE = made_bag()


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    made = write_volumes(MADE, tmp_path / "bag")
    assert len(made) == 3
    return made


def read(paths: list[Path]) -> tuple[int, set[FindingCause], str]:
    """Good items, causes and words of findings."""
    bag = open_bag(paths)
    good = list(bag.items())
    assert all(item.matches(data) for item, data in good)
    return len(good), {f.cause for f in bag.findings}, "; ".join(f.what for f in bag.findings)


def test_each_volume_has_a_label_that_says_what_it_is(volumes: list[Path]) -> None:
    for path in volumes:
        assert b"EXCLAVE DIPLOMATIC BAG" in path.read_bytes()[:BLOCK_SIZE]
        assert path.stat().st_size % BLOCK_SIZE == 0


@pytest.mark.parametrize(
    ("order", "error"),
    [([1, 0, 2], VolumeOutOfOrder), ([0, 0, 1, 2], VolumeTwice), ([0, 1, 2, 1], VolumeOutOfOrder)],
)
def test_volumes_out_of_order_or_twice(
    volumes: list[Path], order: list[int], error: type[IntegrityError]
) -> None:
    bag = open_bag([volumes[at] for at in order])
    with pytest.raises(error, match="expected"):
        list(bag.items())


def test_a_volume_of_another_bag(tmp_path: Path, volumes: list[Path]) -> None:
    other = write_volumes(made_bag(bag=8), tmp_path / "other")
    bag = open_bag([volumes[0], other[1], volumes[2]])
    with pytest.raises(VolumeForeign, match="expected a volume of bag"):
        list(bag.items())


@pytest.mark.parametrize(
    ("kept", "causes", "said"),
    [
        ([0, 2], {FindingCause.MISSING, FindingCause.ITEM}, "volume 2: not there"),
        ([1, 2], {FindingCause.MISSING, FindingCause.ITEM}, "volume 1: not there"),
        ([0, 1], {FindingCause.TORN, FindingCause.ITEM}, "no end after volume 2"),
    ],
)
def test_a_missing_volume(
    volumes: list[Path], kept: list[int], causes: set[FindingCause], said: str
) -> None:
    good, found, words = read([volumes[at] for at in kept])
    assert found == causes
    assert said in words
    assert 0 < good < len(MADE[0].items)


@pytest.mark.parametrize("volume", [0, 1, 2])
def test_a_torn_volume_is_readable_as_far_as_it_goes(volumes: list[Path], volume: int) -> None:
    damage(volumes[volume], 0, cut=3 * BLOCK_SIZE + 1000)
    good, found, words = read(volumes)
    assert FindingCause.DAMAGED in found
    assert volumes[volume].name in words
    assert good >= len(MADE[0].items) - 4


def test_disks_that_are_larger_than_their_part(tmp_path: Path, volumes: list[Path]) -> None:
    """What lay there before is no damage: half a block, other blocks, a bag packed earlier."""
    earlier = write_volumes(made_bag(bag=9), tmp_path / "earlier")[0].read_bytes()
    for path, more in zip(volumes, (b"x" * 512, earlier[BLOCK_SIZE:], earlier + b"y"), strict=True):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes() + more)
    assert read(volumes) == (len(MADE[0].items), set(), "")
    damage(volumes[0], 0, cut=volumes[0].stat().st_size - 512 - BLOCK_SIZE // 2)
    good, found, words = read(volumes)
    assert good < len(MADE[0].items)
    assert found == {FindingCause.DAMAGED, FindingCause.ITEM}
    assert volumes[0].name in words


def test_one_damaged_block_costs_what_it_held(volumes: list[Path]) -> None:
    """Whichever block it is: at most the two items that touch it."""
    blocks = [(v, n) for v in volumes for n in range(v.stat().st_size // BLOCK_SIZE)]
    for path, number in blocks:
        damage(path, number * BLOCK_SIZE + 500)
        good, found, _ = read(volumes)
        assert good >= len(MADE[0].items) - 4, (path, number)
        assert found, (path, number)
        damage(path, number * BLOCK_SIZE + 500)
    assert read(volumes) == (len(MADE[0].items), set(), "")


def test_the_inventory_is_found_wherever_it_is_whole(volumes: list[Path]) -> None:
    for path in volumes[:-1]:
        damage(path, BLOCK_SIZE + 500)
    assert read(volumes)[0] == len(MADE[0].items)
    for path in volumes:
        damage(path, BLOCK_SIZE + 700)
    assert read(volumes)[0] == len(MADE[0].items), "it stands behind the content once more"
    with pytest.raises(BagUnreadable, match="expected the inventory"):
        open_bag(volumes[:-1])


def test_a_block_of_the_same_bag_packed_otherwise_is_damaged(
    tmp_path: Path, volumes: list[Path]
) -> None:
    """A block cut out of another stream under the same name gives nothing."""
    other = write_volumes(made_bag(seed=2, size=80_000), tmp_path / "other")
    data = bytearray(volumes[1].read_bytes())
    data[3 * BLOCK_SIZE : 4 * BLOCK_SIZE] = other[1].read_bytes()[3 * BLOCK_SIZE : 4 * BLOCK_SIZE]
    volumes[1].chmod(0o600)
    volumes[1].write_bytes(data)
    _, found, _ = read(volumes)
    assert found == {FindingCause.DAMAGED, FindingCause.ITEM}


def test_the_end_of_a_tape_asks_for_the_next_one(tmp_path: Path) -> None:
    """/dev/full takes nothing: the volume behind it begins with what did not fit."""
    inventory, datas = MADE
    writer = StreamWriter(inventory, given([tmp_path / "1.tape"]), capacity=5 * BLOCK_SIZE)

    def pack() -> None:
        try:
            for item, data in zip(inventory.items, datas, strict=True):
                writer.put(item, data)
        finally:
            writer.abandon()

    with pytest.raises(BagFull, match="got no volume after 1"):
        pack()
    assert list(tmp_path.iterdir()) == []
    full = StreamWriter(inventory, given([Path("/dev/full")]))
    with pytest.raises(BagFull, match="full before it has any content"):
        full.put(inventory.items[-1], datas[-1])
    full.abandon()


def test_volumes_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeTooSmall, match="expected volumes of at least 196608 bytes"):
        StreamWriter(MADE[0], given([tmp_path / "1.tape"]), capacity=2 * BLOCK_SIZE)
