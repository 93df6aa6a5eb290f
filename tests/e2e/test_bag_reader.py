"""Bags of safes and the standalone reader: nothing else is left, and everything comes back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from exclave.carried.blocks import BLOCK_SIZE
from tests.support.bags import Bag, pack_folder, pack_volumes, run
from tests.support.embassy import Embassy, found_embassy

READER = Path(__file__).resolve().parents[2] / "reader" / "exclave_reader.py"


def read(reader: Path, *arguments: object, expect: int = 0) -> str:
    """A reader in an empty environment and isolated mode: nothing of Exclave is on its path."""
    done = subprocess.run(
        [sys.executable, "-I", str(reader), *map(str, arguments)],
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def keep(embassy: Embassy, tmp_path: Path, seats: Sequence[int]) -> tuple[list[Path], list[Path]]:
    """Cards and seat keys as files, and a copy of the registers; then home and vaults are lost."""
    (tmp_path / "desk").mkdir()
    cards, keys = [], []
    for number, text in enumerate(embassy.card_files()):
        cards.append(tmp_path / "desk" / f"card-{number}.txt")
        cards[-1].write_text(text)
    for seat in seats:
        keys.append(tmp_path / "desk" / f"seat-{seat}.key")
        shutil.copy(embassy.vault_folder(seat) / "keys" / "vault.key", keys[-1])
    shutil.copytree(embassy.home / "registers", tmp_path / "kept")
    embassy.lose_home()
    for seat in list(embassy.vaults):
        embassy.lose_vault(seat)
    return cards, keys


def assert_same(restored: Path, kept: Path) -> None:
    """Every file of the registers is in what was restored, byte for byte."""
    found = {path.name: path for path in restored.rglob("*") if path.is_file()}
    originals = [path for path in kept.rglob("*") if path.is_file()]
    assert originals
    for original in originals:
        assert found[original.name].read_bytes() == original.read_bytes(), original


def damage(volume: Path, block: int) -> None:
    """Flip a bit in a block of a volume."""
    volume.chmod(0o600)
    data = bytearray(volume.read_bytes())
    data[block * BLOCK_SIZE + 4000] ^= 1
    volume.write_bytes(data)


def test_the_bags_of_two_safes_and_cards_are_enough(tmp_path: Path) -> None:
    """Two deposits went out, each bag with what its safe lacked; the reader is the bag's own."""
    with found_embassy(tmp_path / "mission", n=4, safes=(3, 4)) as embassy:
        bags: list[Bag] = []
        for number in (1, 2):
            embassy.write_registers(mib=1, seed=number)
            outcome = embassy.deposit()
            assert set(outcome.late) == {3, 4}
            for seat, pack in ((3, pack_folder), (4, pack_volumes)):
                bags.append(pack(embassy, seat, tmp_path / f"bag-{seat}-{number}"))
                settle(embassy, seat, bags[-1])
        assert bags[2].said["bytes"] < bags[0].said["bytes"], "the second has what is new alone"
        cards, keys = keep(embassy, tmp_path, (3, 4))
    places = [place for bag in bags for place in bag.places]
    reader = tmp_path / "bag-3-1" / "KIT" / "reader" / "exclave_reader.py"
    listed = read(reader, "list", *places)
    assert "whole at seats [3, 4]" in listed
    read(
        reader, "extract", "--cards", *cards, "--seat-keys", *keys, "--out", tmp_path / "out",
        *places,
    )  # fmt: skip
    assert_same(tmp_path / "out", tmp_path / "kept")
    without = read(
        reader, "extract", "--cards", *cards, "--seat-keys", keys[0], "--out", tmp_path / "no",
        *places, expect=2,
    )  # fmt: skip
    assert "TooFewShards" in without


def settle(embassy: Embassy, seat: int, bag: Bag) -> None:
    """The safe's keeper says that all of it is there, and home forgets its copy."""
    key = embassy.vault_folder(seat) / "keys" / "vault.key"
    run("bag", "seal", bag.papers, "--key", embassy.home / "keys" / "keys.json")
    run("bag", "store", bag.papers, *bag.places, "--key", key)
    config = embassy.write_config()
    assert run("bag", "settle", bag.papers, "-c", config)["settled"]
    found = run("status", "-c", config, "--offline", expect=None)["seats"]
    states = {item["seat"]: item["health"] for item in found}
    assert states[seat] == "good", "its keeper's word stands for a receipt"


@pytest.mark.parametrize("torn", [False, True])
def test_a_tape_with_a_damaged_volume_is_made_up_for_by_the_others(
    tmp_path: Path, torn: bool
) -> None:
    """2-of-3 safes: one's tape has lost a volume's middle, or its end; packs have two others."""
    with found_embassy(tmp_path / "mission", n=5, safes=(3, 4, 5)) as embassy:
        embassy.write_registers(mib=2)
        embassy.deposit()
        bags = [pack_volumes(embassy, seat, tmp_path / f"bag-{seat}") for seat in (3, 4, 5)]
        cards, keys = keep(embassy, tmp_path, (3, 4, 5))
    hurt = bags[1].places[-2]
    if torn:
        hurt.chmod(0o600)
        with hurt.open("r+b") as stream:
            stream.truncate(6 * BLOCK_SIZE + 100)
    else:
        damage(hurt, 7)
    said = run("bag", "verify", *bags[1].places, expect=7)
    assert said["bad"] >= 1
    assert said["good"] > 100, "what stands in other blocks counts"
    places = [place for bag in bags for place in bag.places]
    told = read(
        READER, "extract", "--cards", *cards, "--seat-keys", *keys, "--out", tmp_path / "out",
        *places,
    )  # fmt: skip
    assert "blocks are damaged" in told or "not whole" in told
    assert_same(tmp_path / "out", tmp_path / "kept")
