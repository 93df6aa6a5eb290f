"""P1 and P4 on a bag: whoever takes it finds no content, no names, and no veil share.

The attacker has every byte of a bag, on a disk and on tape, and its papers, and for the veil shares
also the recovery key and another seat's. Planted words are searched in UTF-8, UTF-16, hex, Base64
and inside zstd and zlib frames. The control hides a register in a bag.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from exclave.bag.opening import open_bag
from exclave.carried.inventory import ItemClass
from exclave.dispersal.sealed_shard import parse_sealed_shard
from exclave.dispersal.shard import SHARD_HEADER_SIZE
from exclave.errors import ExclaveError
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import unseal_veil_share
from tests.attacks.test_p1_host_blind import (
    CONTENT,
    FILE_NAME,
    FILE_TEXT,
    PERSON,
    PLAN,
    TABLE,
    TITLE,
    WORDS,
    Loot,
    _with_frames,
)
from tests.support.bags import Bag, pack_folder, pack_volumes, run
from tests.support.embassy import Embassy, files_register, found_embassy, sqlite_register


@pytest.fixture(scope="module")
def stolen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Embassy, list[Bag]]:
    """Bags of seat 3 with a deposit full of planted words; nothing runs any more."""
    folder = tmp_path_factory.mktemp("stolen")
    with found_embassy(folder / "mission") as embassy:
        plant(embassy)
        embassy.stop_vault(3)
        embassy.deposit(plan_text=f"# {PLAN} {TITLE}\n".encode())
        bags = [
            pack_folder(embassy, 3, folder / "bag"),
            pack_volumes(embassy, 3, folder / "tapes"),
        ]
        for bag in bags:
            keys = embassy.home / "keys" / "keys.json"
            run("bag", "seal", bag.papers, "--key", keys, "--marks", "lead 1")
        return embassy, bags


def plant(embassy: Embassy) -> None:
    registers = embassy.home / "registers"
    (registers / "scans").mkdir(parents=True)
    (registers / "scans" / FILE_NAME).write_text(f"{FILE_TEXT}\n" * 400)
    with closing(sqlite3.connect(registers / "gazette.sqlite")) as connection, connection:
        connection.execute(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany(
            f"INSERT INTO {TABLE} VALUES (?, ?)", [(n, f"{CONTENT} {n}") for n in range(200)]
        )
    for register in (
        files_register("scans", registers / "scans"),
        sqlite_register("gazette", registers / "gazette.sqlite"),
    ):
        embassy.add_register(replace(register, plan=replace(register.plan, title=TITLE)))


def loot(bags: list[Bag]) -> Loot:
    found = Loot()
    for bag in bags:
        for place in (*bag.places, bag.papers):
            files = [place] if place.is_file() else sorted(place.rglob("*"))
            pieces = [
                piece
                for file in files
                if file.is_file() and "KIT" not in file.parts
                for piece in _with_frames(file.read_bytes())
            ]
            found.places[place.name] = pieces
    return found


def test_a_bag_shows_nothing_of_what_is_in_it(stolen: tuple[Embassy, list[Bag]]) -> None:
    found = loot(stolen[1]).found((*WORDS, PERSON))
    assert len(found) > 3
    assert not any(found.values()), found


def test_control_a_register_in_a_bag_is_found(
    stolen: tuple[Embassy, list[Bag]], tmp_path: Path
) -> None:
    embassy, (bag, _) = stolen
    place = tmp_path / "bag"
    shutil.copytree(bag.places[0], place)
    for number, register in enumerate((embassy.home / "registers").rglob("*.*")):
        shutil.copy(register, place / "shards" / f"{number:064x}")
    found = loot([replace(bag, places=(place,))]).found((CONTENT, FILE_TEXT, TABLE))
    assert found["bag"] == {CONTENT, FILE_TEXT, TABLE}


def test_nothing_in_clear_goes_with_a_bag(
    stolen: tuple[Embassy, list[Bag]], tmp_path: Path
) -> None:
    """Somebody means well: a note for the keeper, a list of the registers, the open annex."""
    embassy, _ = stolen
    papers, place = tmp_path / "papers", tmp_path / "bag"
    packing = ("bag", "pack", "-c", embassy.write_config(), "--seat", 3, "--folder", place)
    note = tmp_path / "note.txt"
    for text in (CONTENT, "", '{"title":"' + TITLE + '"}'):
        note.write_text(text)
        said = run(*packing, "--papers", papers, "--with", note, expect=3)
        assert f"{note}: expected a statement" in said
        assert sorted(path.name for path in tmp_path.iterdir()) == ["note.txt"]
    note.write_bytes((embassy.home / "keys" / "charter.json").read_bytes())
    run(*packing, "--papers", papers, "--with", note)


def test_no_veil_share_is_in_a_bag(stolen: tuple[Embassy, list[Bag]]) -> None:
    """The shares that the seat's key opens stand nowhere in it; the recovery key opens none."""
    embassy, bags = stolen
    seat_key = embassy.vaults[3].keys.keys[1].xwing  # type: ignore[index]
    raw = b"".join(
        file.read_bytes()
        for bag in bags
        for place in bag.places
        for file in ([place] if place.is_file() else sorted(place.rglob("*")))
        if file.is_file()
    )
    shards = 0
    for item, data in open_bag(bags[0].places).items():
        if item.kind is not ItemClass.SHARD:
            continue
        sealed = parse_sealed_shard(data)
        assert len(data) == len(sealed.sealed_share) + SHARD_HEADER_SIZE + len(sealed.body)
        header = sealed.header
        share = opened(seat_key, data)
        assert share not in raw
        for other in (embassy.recovery_private(), embassy.vaults[2].keys.keys[1].xwing):  # type: ignore[index]
            with pytest.raises(ExclaveError):
                opened(other, data)
        assert header.seat == 3
        shards += 1
    assert shards >= 2


def opened(key: XWingPrivateKey, data: bytes) -> bytes:
    sealed = parse_sealed_shard(data)
    header = sealed.header
    return unseal_veil_share(
        key, sealed.sealed_share, header.mission, header.pack_root, header.seat
    )


def test_a_bag_names_nobody_and_says_no_more_than_a_vault_knows(
    stolen: tuple[Embassy, list[Bag]],
) -> None:
    """Its statements are those that the vaults of this mission have in the clear."""
    embassy, bags = stolen
    known = {path.name for path in embassy.mission_folder(1).glob("bodies/*/*")}
    statements = {ItemClass.CHARTER, ItemClass.RECORD, ItemClass.STATEMENT, ItemClass.ANNEX}
    for bag in bags:
        items = open_bag(bag.places).inventory.items
        carried = {item.hash.hex() for item in items if item.kind in statements}
        assert carried
        assert carried <= known


def test_the_names_of_files_are_hashes(stolen: tuple[Embassy, list[Bag]], tmp_path: Path) -> None:
    """Of a folder, all but the kit, the label and the inventory."""
    del tmp_path
    place = stolen[1][0].places[0]
    names = {p.name for p in place.rglob("*") if p.is_file() and "KIT" not in p.parts}
    assert {name for name in names if len(name) != 64} == {"BAG.txt", "exclave-bag.json"}
