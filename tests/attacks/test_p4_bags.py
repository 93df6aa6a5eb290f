"""P4 on bags of several safes: what lies in one bag opens with k seats' keys, and with no fewer.

The attacker's powers: a whole-deposit bag, every byte; the recovery key; and the key of one of its
seats. Positive control: with a second seat's key he opens everything. And without the charter's
word no such bag comes to be: not by packing, not of a vault's seat, not into a vault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.bag.opening import open_bag
from exclave.carried.inventory import ItemClass
from exclave.dispersal.sealed_shard import parse_sealed_shard, unseal_shard
from exclave.errors import ExclaveError
from exclave.ids import ShardRoot
from tests.e2e.test_bag_reader import assert_same, keep, read
from tests.support.bags import Bag, pack_folder, run
from tests.support.embassy import Embassy, found_embassy

READER = Path(__file__).resolve().parents[2] / "reader" / "exclave_reader.py"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Embassy, Bag]]:
    """Two vaults and two safes of 2-of-4, whose charter allows whole deposits in bags, and one."""
    folder = tmp_path_factory.mktemp("whole")
    with found_embassy(folder / "mission", n=4, safes=(3, 4), whole_bags=True) as made:
        made.write_registers(mib=0.2)
        made.deposit()
        yield made, pack_folder(made, 3, folder / "bag", "--further", 4)


def test_one_seats_key_opens_half_of_the_shards(packed: tuple[Embassy, Bag]) -> None:
    """Of each pack one shard of two: not enough, with the recovery key as well."""
    embassy, bag = packed
    assert bag.said["whole_deposit"]
    assert run("bag", "verify", *bag.places)["further"] == [4]
    key = embassy.vaults[3].keys.keys[1].xwing  # type: ignore[index]
    opened: dict[bytes, int] = {}
    for item, data in open_bag(bag.places).items():
        if item.kind is ItemClass.SHARD:
            sealed = parse_sealed_shard(data)
            opened.setdefault(sealed.header.pack_root, 0)
            try:
                unseal_shard(sealed, key, ShardRoot(bytes.fromhex(item.name)))
            except ExclaveError:
                assert sealed.header.seat == 4
            else:
                assert sealed.header.seat == 3
                opened[sealed.header.pack_root] += 1
    assert set(opened.values()) == {1}


def test_no_charter_no_bag_of_several_seats(tmp_path: Path) -> None:
    with found_embassy(tmp_path / "mission", n=4, safes=(3, 4)) as embassy:
        embassy.write_registers(mib=0.1)
        embassy.deposit()
        said = run(
            "bag", "pack", "-c", embassy.write_config(), "--seat", 3, "--further", 4,
            "--folder", tmp_path / "bag", "--papers", tmp_path / "papers", expect=3,
        )  # fmt: skip
        assert "expected one seat, got 2" in said
        assert not (tmp_path / "bag").exists()


def test_no_vault_is_one_of_them(tmp_path: Path, packed: tuple[Embassy, Bag]) -> None:
    embassy, _ = packed
    said = run(
        "bag", "pack", "-c", embassy.write_config(), "--seat", 3, "--further", 2,
        "--folder", tmp_path / "bag", "--papers", tmp_path / "papers", expect=3,
    )  # fmt: skip
    assert "expected safes only, got a vault at 2" in said


def test_no_vault_lodges_it(packed: tuple[Embassy, Bag]) -> None:
    """A safe's folder would take its own seat's part: the bag is kept instead."""
    embassy, bag = packed
    said = run("bag", "lodge", embassy.vault_folder(3), *bag.places, expect=7)
    assert "expected one of seat 3 alone, got one of seats 3, 4" in said


def test_the_keepers_word_counts_for_all_of_it(packed: tuple[Embassy, Bag]) -> None:
    embassy, bag = packed
    run("bag", "seal", bag.papers, "--key", embassy.home / "keys" / "keys.json")
    key = embassy.vault_folder(3) / "keys" / "vault.key"
    run("bag", "store", bag.papers, *bag.places, "--key", key)
    spool = embassy.home / "state" / "spool"
    assert any((spool / "3").iterdir())
    assert any((spool / "4").iterdir())
    run("bag", "settle", bag.papers, "-c", embassy.write_config())
    assert not any((spool / "3").iterdir())
    assert not any((spool / "4").iterdir())


def test_limits_say_what_is_left(packed: tuple[Embassy, Bag]) -> None:
    charter = packed[0].home / "keys" / "charter.json"
    said = json.dumps(run("limits", charter))
    assert "one of 2 safes opens with the keys of these safes" in said


def test_control_both_keys_open_everything(tmp_path: Path, packed: tuple[Embassy, Bag]) -> None:
    """The standalone reader, from this one bag, with the cards; and with one key nothing.

    Last: everything else is lost then.
    """
    embassy, bag = packed
    cards, keys = keep(embassy, tmp_path, (3, 4))
    assert "whole at seats [3, 4]" in read(READER, "list", *bag.places)
    without = read(
        READER, "extract", "--cards", *cards, "--seat-keys", keys[0], "--out", tmp_path / "no",
        *bag.places, expect=2,
    )  # fmt: skip
    assert "TooFewShards" in without
    read(
        READER, "extract", "--cards", *cards, "--seat-keys", *keys, "--out", tmp_path / "out",
        *bag.places,
    )  # fmt: skip
    assert_same(tmp_path / "out", tmp_path / "kept")
