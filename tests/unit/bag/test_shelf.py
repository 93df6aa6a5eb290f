"""Bags read item by item: the same bytes as from front to back, also of what is damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from exclave.bag.folder import FolderWriter
from exclave.bag.interface import NoBag
from exclave.bag.shelf import ItemNotWhole, ShelvedBag, open_shelf
from exclave.carried.blocks import BLOCK_SIZE
from tests.support.made_bags import damage, made_bag, write_volumes

MADE = made_bag(size=150_000)


def good(bag: ShelvedBag) -> set[int]:
    """Which items read as they were packed; asked for in another order."""
    inventory, datas = MADE
    found = set()
    for number in random.Random(3).sample(range(len(datas)), len(datas)):
        try:
            assert bag.read(inventory.items[number]) == datas[number]
        except ItemNotWhole:
            continue
        found.add(number)
    return found


@pytest.mark.parametrize("blocks", [5, 7, 100])
def test_volumes_in_any_order(tmp_path: Path, blocks: int) -> None:
    paths = write_volumes(MADE, tmp_path / "v", blocks=blocks)
    assert (len(paths) > 1) is (blocks < 100)
    [bag] = open_shelf(random.Random(1).sample(paths, len(paths)))
    assert good(bag) == set(range(len(MADE[1])))


def test_a_folder(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "bag", MADE[0])
    for item, data in zip(MADE[0].items, MADE[1], strict=True):
        writer.put(item, data)
    writer.finish()
    [bag] = open_shelf([tmp_path / "bag"])
    assert good(bag) == set(range(len(MADE[1])))


def test_damage_costs_the_items_that_it_damages(tmp_path: Path) -> None:
    """A block of every volume in turn; a volume that is missing; one that is cut in a block."""
    for number in range(len(write_volumes(MADE, tmp_path / "count"))):
        paths = write_volumes(MADE, tmp_path / f"flip-{number}")
        damage(paths[number], 3 * BLOCK_SIZE + 500)
        [bag] = open_shelf(paths)
        assert 0 < len(MADE[1]) - len(good(bag)) <= 2, number
    paths = write_volumes(MADE, tmp_path / "missing")
    [bag] = open_shelf(paths[:1] + paths[2:])
    assert 0 < len(good(bag)) < len(MADE[1])
    paths = write_volumes(MADE, tmp_path / "cut")
    damage(paths[0], 5 * BLOCK_SIZE + 20, cut=5 * BLOCK_SIZE + 20)
    paths[0].write_bytes(paths[0].read_bytes()[: 5 * BLOCK_SIZE + 20])
    [bag] = open_shelf(paths)
    assert 0 < len(good(bag)) < len(MADE[1])


def test_several_bags_at_once(tmp_path: Path) -> None:
    other = made_bag(seed=2, bag=8)
    paths = [*write_volumes(MADE, tmp_path / "a"), *write_volumes(other, tmp_path / "b")]
    found = open_shelf(random.Random(2).sample(paths, len(paths)))
    assert {bag.inventory.bag for bag in found} == {MADE[0].bag, other[0].bag}


def test_what_is_no_bag(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 * BLOCK_SIZE))
    with pytest.raises(NoBag, match="got no block of one"):
        open_shelf([tmp_path / "file"])
    with pytest.raises(NoBag, match="got none"):
        open_shelf([tmp_path / "nowhere"])
