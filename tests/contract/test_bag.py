"""What every carrier of a bag has to do (`exclave.bag.interface`): folders and streams."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from exclave import durable
from exclave.bag.folder import FolderWriter
from exclave.bag.interface import BagExists, BagFull, BagWriter, NoBag
from exclave.bag.media import MediumUnusable, open_medium
from exclave.bag.opening import open_bag
from exclave.bag.stream import StreamWriter
from exclave.carried.blocks import BLOCK_SIZE
from exclave.carried.gathering import FindingCause
from exclave.carried.inventory import Inventory
from exclave.durable import NameTaken, NoSpace, write_new_file
from tests.support.made_bags import Made, damage, given, made_bag

Open = Callable[[Path, Inventory], BagWriter]


def folder(place: Path, inventory: Inventory) -> BagWriter:
    return FolderWriter(place / "bag", inventory)


def one_volume(place: Path, inventory: Inventory) -> BagWriter:
    return StreamWriter(inventory, given([place / "bag.tape"]))


def volumes(place: Path, inventory: Inventory) -> BagWriter:
    paths = [place / f"{number:02}.tape" for number in range(1, 30)]
    return StreamWriter(inventory, given(paths), capacity=5 * BLOCK_SIZE)


CARRIERS = pytest.mark.parametrize("carrier", [folder, one_volume, volumes])


def write(carrier: Open, place: Path, made: Made) -> list[Path]:
    inventory, datas = made
    writer = carrier(place, inventory)
    for item, data in zip(inventory.items, datas, strict=True):
        writer.put(item, data)
    writer.finish()
    writer.abandon()
    return sorted(place.iterdir())


@CARRIERS
def test_what_was_put_comes_back_in_order(tmp_path: Path, carrier: Open) -> None:
    made = made_bag()
    bag = open_bag(write(carrier, tmp_path, made))
    assert bag.inventory == made[0]
    assert list(bag.items()) == list(zip(made[0].items, made[1], strict=True))
    assert list(bag.findings) == []


@CARRIERS
def test_both_carriers_have_one_content(tmp_path: Path, carrier: Open) -> None:
    made = made_bag()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = open_bag(write(carrier, tmp_path / "a", made))
    second = open_bag(write(folder, tmp_path / "b", made))
    assert first.inventory.hash == second.inventory.hash
    assert list(first.items()) == list(second.items())


@CARRIERS
def test_nothing_is_there_before_it_is_whole(tmp_path: Path, carrier: Open) -> None:
    inventory, datas = made_bag()
    writer = carrier(tmp_path, inventory)
    for item, data in zip(inventory.items, datas, strict=True):
        writer.put(item, data)
        assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == []
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


@CARRIERS
def test_a_bag_is_never_written_over_something(tmp_path: Path, carrier: Open) -> None:
    first = write(carrier, tmp_path, made_bag())
    before = {p: p.stat().st_mtime_ns for p in first}
    with pytest.raises(BagExists):
        write(carrier, tmp_path, made_bag(seed=2))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir() if p in before} == before


@CARRIERS
def test_a_damaged_item_is_named_and_the_rest_comes(tmp_path: Path, carrier: Open) -> None:
    made = made_bag()
    places = write(carrier, tmp_path, made)
    hurt = places[0]
    if hurt.is_dir():
        hurt = next((hurt / "shards").rglob("*/*"))
    else:
        hurt = places[-2] if len(places) > 1 else hurt
    damage(hurt, hurt.stat().st_size // 2)
    bag = open_bag(places)
    good = list(bag.items())
    assert 0 < len(made[0].items) - len(good) <= 2
    assert FindingCause.ITEM in {finding.cause for finding in bag.findings}
    assert all(item.matches(data) for item, data in good)


@CARRIERS
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, carrier: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory, datas = made_bag()
    room = [200_000]
    write_file, write_block = Path.open, durable.DurableFile.write

    def fill(self: durable.DurableFile, data: bytes | memoryview) -> None:
        room[0] -= len(data)
        if room[0] < 0:
            raise NoSpace("bag: no space left")
        write_block(self, data)

    def open_file(self: Path, mode: str = "r", *more: object) -> object:
        if mode == "xb":
            room[0] -= 60_000
            if room[0] < 0:
                raise OSError(28, "No space left on device")
        return write_file(self, mode, *more)  # type: ignore[call-overload]

    monkeypatch.setattr(durable.DurableFile, "write", fill)
    monkeypatch.setattr(Path, "open", open_file)
    writer = carrier(tmp_path, inventory)

    def attempt() -> None:
        try:
            for item, data in zip(inventory.items, datas, strict=True):
                writer.put(item, data)
            writer.finish()
        finally:
            writer.abandon()

    with pytest.raises(BagFull):
        attempt()
    assert list(tmp_path.iterdir()) == []


@CARRIERS
def test_a_disk_without_links(
    tmp_path: Path, carrier: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FAT and exFAT are, which most removable disks have; nothing is written over there either.

    Its papers too, which go by memory stick.
    """

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    made = made_bag()
    places = write(carrier, tmp_path, made)
    assert list(open_bag(places).items()) == list(zip(made[0].items, made[1], strict=True))
    write_new_file(tmp_path / "01-sealed.json", [b"paper"])
    with pytest.raises(NameTaken):
        write_new_file(tmp_path / "01-sealed.json", [b"another"])
    assert (tmp_path / "01-sealed.json").read_bytes() == b"paper"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@CARRIERS
def test_a_medium_that_is_not_there_is_named(tmp_path: Path, carrier: Open) -> None:
    with pytest.raises(NoBag, match="expected a folder"):
        write(carrier, tmp_path / "unplugged", made_bag())


def test_a_drive_that_is_not_there_and_a_disk_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is not made a file in memory; of the second the kernel says that it is mounted."""
    with pytest.raises(NoBag, match="expected a device, got none"):
        open_medium(Path("/dev/exclave-no-such-tape"))
    assert not Path("/dev/exclave-no-such-tape").exists()
    asked = []

    def busy(path: Path, flags: int) -> int:
        asked.append(flags & os.O_EXCL)
        raise OSError(errno.EBUSY, "Device or resource busy")

    disk = os.stat_result((stat.S_IFBLK | 0o660, *[0] * 9))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: disk)
    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(MediumUnusable, match="got: Device or resource busy"):
        open_medium(tmp_path / "sda")
    assert all(asked)


def test_what_is_no_bag_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for paths in ([tmp_path / "empty"], [tmp_path / "nothing"], []):
        with pytest.raises(NoBag):
            open_bag(paths)
    made = write(folder, tmp_path, made_bag())
    with pytest.raises(NoBag, match="one folder, or volumes only"):
        open_bag([*made, tmp_path / "empty"])
