"""P13 on bags: papers of one mission make no other mission's home forget anything.

The attacker's powers: a mission of his own with all its keys, a seat of the number that he aims at
among them, and the names of the victim's shards, which any bag of theirs shows. He writes papers by
which "seat 3 lodged everything", rightly signed by his own charter, and hands them to the victim's
custodian. Positive control: the same words of the mission's own seat are believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exclave.authority.custody import Act
from exclave.carried.inventory import Inventory
from exclave.clock import now
from exclave.wiring.papers import add_paper, open_papers, papers_of
from tests.support.bags import Bag, pack_folder, run
from tests.support.embassy import Embassy, found_embassy


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Embassy, Bag]]:
    """A mission whose seat 3 is late, and the bag that is under way to it."""
    folder = tmp_path_factory.mktemp("waiting")
    with found_embassy(folder / "mission") as embassy:
        embassy.write_registers(mib=0.1)
        embassy.stop_vault(3)
        embassy.deposit()
        yield embassy, pack_folder(embassy, 3, folder / "bag")


def spooled(embassy: Embassy) -> int:
    return len(list((embassy.home / "state" / "spool" / "3").iterdir()))


def lodged_by(signer: Embassy, inventory: Inventory, folder: Path, *, good: int) -> Path:
    """Papers of a bag with this inventory, all signed by that mission's own parties."""
    with papers_of(folder, inventory, [signer.envelope]):
        pass
    run("bag", "seal", folder, "--key", signer.home / "keys" / "keys.json")
    keys = signer.vaults[3].keys
    add_paper(open_papers(folder), keys, Act.LODGED, now=now(), good=good, bad=0)
    return folder


def test_papers_of_another_mission_settle_nothing(
    tmp_path: Path, waiting: tuple[Embassy, Bag]
) -> None:
    embassy, bag = waiting
    before = spooled(embassy)
    assert before
    victim = open_papers(bag.papers).inventory
    with found_embassy(tmp_path / "attacker") as attacker:
        inventory = replace(victim, mission=attacker.mission)
        forged = lodged_by(attacker, inventory, tmp_path / "forged", good=len(inventory.items))
    said = run("bag", "settle", forged, "-c", embassy.write_config(), expect=3)
    assert f"expected papers of mission {embassy.mission.hex()}" in said
    assert spooled(embassy) == before


def test_a_seat_that_has_a_part_only_settles_nothing(
    tmp_path: Path, waiting: tuple[Embassy, Bag]
) -> None:
    """None of what it has is bad, and some of the bag is neither good nor bad."""
    embassy, bag = waiting
    before = spooled(embassy)
    inventory = open_papers(bag.papers).inventory
    part = lodged_by(embassy, inventory, tmp_path / "part", good=len(inventory.items) - 1)
    said = run("bag", "settle", part, "-c", embassy.write_config(), expect=3)
    assert "expected a paper by which seat 3 lodged all of it" in said
    assert spooled(embassy) == before


def test_control_the_seats_own_word(tmp_path: Path, waiting: tuple[Embassy, Bag]) -> None:
    """Last: then the spool is empty."""
    embassy, bag = waiting
    inventory = open_papers(bag.papers).inventory
    own = lodged_by(embassy, inventory, tmp_path / "own", good=len(inventory.items))
    run("bag", "settle", own, "-c", embassy.write_config())
    assert not spooled(embassy)
