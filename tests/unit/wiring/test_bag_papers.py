"""A bag and its papers come to be together, or neither does; all that lies there is read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from exclave.bag.interface import NoBag
from exclave.bag.opening import open_bag
from exclave.bag.packing import Contents, _Source
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.errors import ConfigurationError, ExclaveError
from exclave.wiring.bags import Carrier, pack_with_papers
from exclave.wiring.papers import PapersExist, open_papers, papers_of, require_no_papers
from tests.support.made_bags import given, made_bag
from tests.support.vault_world import new_world

WORLD = new_world()
CHARTERS = [WORLD.envelope]


def contents() -> Contents:
    """A bag of made-up items, but for its charter."""
    made, datas = made_bag()
    charter = WORLD.envelope.to_bytes()
    items = tuple(
        item
        if item.kind is not ItemClass.CHARTER
        else Item(
            kind=item.kind,
            name=WORLD.envelope.statement_hash.hex(),
            size=len(charter),
            hash=hashlib.sha256(charter).digest(),
        )
        for item in made.items
    )
    inventory = replace(made, mission=WORLD.mission, items=items)
    sources = tuple(
        _Source(item, partial(bytes, charter if item.kind is ItemClass.CHARTER else data))
        for item, data in zip(items, datas, strict=True)
    )
    return Contents(inventory=inventory, sources=sources, absent=0)


def pack(carrier: Carrier, papers: Path, made: Contents) -> None:
    pack_with_papers(made, carrier, papers, CHARTERS, [])


@pytest.mark.parametrize("carrier", ["folder", "volumes"])
def test_no_bag_without_papers(tmp_path: Path, carrier: str) -> None:
    """The stick for the papers is not there, or is full: the tapes are not written first."""
    (tmp_path / "stick").write_bytes(b"")
    to = {
        "folder": Carrier(folder=tmp_path / "bag"),
        "volumes": Carrier(next_volume=given([tmp_path / "1.tape"])),
    }[carrier]
    with pytest.raises((ExclaveError, OSError)):
        pack(to, tmp_path / "stick" / "papers", contents())
    assert [path.name for path in tmp_path.iterdir()] == ["stick"]


def test_no_papers_without_a_bag(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for papers in (tmp_path / "papers", tmp_path / "empty"):
        with pytest.raises(ExclaveError, match="expected a folder, got none"):
            pack(Carrier(folder=tmp_path / "unplugged" / "bag"), papers, contents())
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_where_papers_begin(tmp_path: Path) -> None:
    """Not over others, which stay as they are, and not in the bag."""
    inventory: Inventory = contents().inventory
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "01-sealed.json").write_bytes(b"y")
    with pytest.raises(PapersExist, match="got a file"):
        require_no_papers(tmp_path / "file")
    with (
        pytest.raises(PapersExist, match="got one with files"),
        papers_of(tmp_path / "others", inventory, CHARTERS),
    ):
        pass
    assert (tmp_path / "others" / "01-sealed.json").read_bytes() == b"y"
    with pytest.raises(PapersExist, match="expected a folder apart from the bag"):
        require_no_papers(tmp_path / "bag" / "papers", tmp_path / "bag")


def test_every_paper_is_read(tmp_path: Path) -> None:
    """A safe's bag has one more every year; the hundredth has a longer name."""
    with papers_of(tmp_path / "papers", contents().inventory, CHARTERS):
        pass
    assert open_papers(tmp_path / "papers").papers == ()
    (tmp_path / "papers" / "100-verified-0a1b2c3d.json").write_bytes(b"{}")
    with pytest.raises(ExclaveError, match="100-verified-0a1b2c3d"):
        open_papers(tmp_path / "papers")


def test_a_bag_in_place_of_its_papers_and_papers_in_place_of_a_bag(tmp_path: Path) -> None:
    """Both have the inventory, and are easily taken for each other."""
    pack(Carrier(folder=tmp_path / "bag"), tmp_path / "papers", contents())
    with pytest.raises(ConfigurationError, match="expected a bag's papers, got the bag itself"):
        open_papers(tmp_path / "bag")
    with pytest.raises(NoBag, match="expected a bag, got the papers of one"):
        open_bag([tmp_path / "papers"])
    open_bag([tmp_path / "bag"])
