"""Bags of real deposits: what they hold, that lodging is sending, and what became of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.ledger.entry import EntryType
from exclave.vault.interface import State
from tests.support.bags import Bag, pack_folder, pack_volumes, run
from tests.support.embassy import Embassy, found_embassy

NOTES = b"exclave/"
"""How the checkpoint of a `witnessed` entry begins."""


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path / "mission") as made:
        made.write_registers(mib=1)
        made.stop_vault(3)
        yield made


def pack(embassy: Embassy, carrier: str, place: Path) -> Bag:
    return {"folder": pack_folder, "volumes": pack_volumes}[carrier](embassy, 3, place)


def objects(embassy: Embassy, seat: int) -> dict[str, bytes]:
    """What a vault stores, but for its log and its own words in it, whose times are its own."""
    folder = embassy.mission_folder(seat)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for kind in ("shards", "bodies")
        for path in (folder / kind).rglob("*")
        if path.is_file() and not path.read_bytes().startswith(NOTES)
    }


@pytest.mark.parametrize("carrier", ["folder", "volumes"])
def test_lodging_a_bag_equals_sending_over_the_line(
    tmp_path: Path, embassy: Embassy, carrier: str
) -> None:
    """The same objects bit for bit, and the same answer about the record."""
    outcome = embassy.deposit()
    assert set(outcome.late) == {3}
    twin = tmp_path / "twin"
    shutil.copytree(embassy.vault_folder(3), twin)
    packed = pack(embassy, carrier, tmp_path / "bag")
    if carrier == "volumes":
        assert len(packed.places) > 3
    run("bag", "verify", *packed.places)
    lodged = run("bag", "lodge", embassy.vault_folder(3), *packed.places)
    assert lodged["bad"] == 0
    assert set(lodged["records"].values()) == {State.LODGED.value}
    by_bag = objects(embassy, 3)
    shutil.rmtree(embassy.vault_folder(3))
    shutil.copytree(twin, embassy.vault_folder(3))
    embassy.start_vault(3)
    assert not embassy.catch_up()
    assert objects(embassy, 3) == by_bag
    assert len(by_bag) > 3


def test_lodging_beside_a_running_server_is_the_same(tmp_path: Path, embassy: Embassy) -> None:
    """The server takes it through its local door: the same objects, answers and papers."""
    embassy.deposit()
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    run("bag", "seal", packed.papers, "--key", embassy.home / "keys" / "keys.json")
    twin = tmp_path / "twin"
    shutil.copytree(embassy.vault_folder(3), twin)
    run("bag", "lodge", embassy.vault_folder(3), *packed.places)
    stopped = objects(embassy, 3)
    shutil.rmtree(embassy.vault_folder(3))
    shutil.copytree(twin, embassy.vault_folder(3))
    embassy.processes = True
    embassy.start_vault(3)
    lodged = run("bag", "lodge", embassy.vault_folder(3), *packed.places, "--papers", packed.papers)
    assert lodged["bad"] == 0
    assert set(lodged["records"].values()) == {State.LODGED.value}
    again = run("bag", "lodge", embassy.vault_folder(3), *packed.places)
    assert (again["new_shards"], again["bad"]) == (0, 0)
    embassy.stop_vault(3)
    assert not (embassy.vault_folder(3) / "local.sock").exists()
    served = objects(embassy, 3)
    papers = {path.read_bytes() for path in packed.papers.glob("[0-9][0-9]-*.json")}
    assert {data for data in served.values() if data not in stopped.values()} == papers
    assert stopped.items() <= served.items()


def test_a_bag_and_the_line_carry_parts_of_one_deposit(tmp_path: Path, embassy: Embassy) -> None:
    """Pending until both have come; the line sends nothing twice that matters."""
    embassy.deposit()
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    shards = sorted((tmp_path / "bag" / "shards").rglob("*/*"))
    assert len(shards) > 1
    shards[0].unlink()
    lodged = run("bag", "lodge", embassy.vault_folder(3), *packed.places, expect=7)
    assert set(lodged["records"].values()) == {State.PENDING.value}
    assert lodged["bad"] == 1
    assert shards[0].name in str(lodged["findings"])
    embassy.start_vault(3)
    assert not embassy.catch_up()
    record = embassy.survey([3]).newest
    state = embassy.loop.run(embassy.client(3).statement(record.statement_hash))
    assert state.state is State.LODGED


def test_lodging_twice_changes_nothing(tmp_path: Path, embassy: Embassy) -> None:
    embassy.deposit()
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    run("bag", "lodge", embassy.vault_folder(3), *packed.places)
    before = objects(embassy, 3)
    again = run("bag", "lodge", embassy.vault_folder(3), *packed.places)
    assert (again["new_shards"], again["bad"]) == (0, 0)
    assert objects(embassy, 3) == before


def test_papers_go_from_hand_to_hand_and_into_the_log(tmp_path: Path, embassy: Embassy) -> None:
    """Sealed, handed over, received, read, lodged; the seat's word clears the spool."""
    embassy.deposit()
    packed = pack_volumes(embassy, 3, tmp_path / "bag")
    keys = embassy.home / "keys" / "keys.json"
    vault_key = embassy.vault_folder(3) / "keys" / "vault.key"
    run("bag", "seal", packed.papers, "--key", keys, "--marks", "lead 4711")
    run("bag", "hand-over", packed.papers, "--key", keys, "--to", "seat 3")
    [under_way] = run("bag", "list", packed.papers)["bags"]
    assert (under_way["holder"], under_way["under_way_to"]) == (None, "seat 3")
    run("bag", "settle", packed.papers, "-c", embassy.write_config(), expect=3)
    said = run("bag", "receive", packed.papers, "--key", vault_key, expect=2)
    assert "expected --marks with the seals that are on it, got none" in said
    run("bag", "receive", packed.papers, "--key", vault_key, "--marks", "lead 4711")
    run("bag", "verify", *packed.places, "--papers", packed.papers, "--key", vault_key)
    run("bag", "lodge", embassy.vault_folder(3), *packed.places, "--papers", packed.papers)
    [there] = run("bag", "list", packed.papers)["bags"]
    assert (there["holder"], there["act"], there["troubles"]) == ("seat 3", "lodged", [])
    assert there["read"] is not None
    embassy.start_vault(3)
    logged = [e for e in embassy.log_entries(3) if e.type is EntryType.CUSTODY]
    assert len(logged) == 5
    spool = embassy.home / "state" / "spool" / "3"
    assert any(spool.iterdir())
    settled = run("bag", "settle", packed.papers, "-c", embassy.write_config())
    assert settled["settled"] > 0
    assert not any(spool.iterdir())
    charter = embassy.home / "keys" / "charter.json"
    embassy.stop_vault(1)
    embassy.stop_vault(2)
    [by_log] = run("bag", "list", "--charter", charter)["bags"]
    assert (by_log["holder"], by_log["sealed"]) == ("seat 3", there["sealed"])


def test_fsck_reads_what_a_bag_brought(tmp_path: Path, embassy: Embassy) -> None:
    embassy.deposit()
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    run("bag", "seal", packed.papers, "--key", embassy.home / "keys" / "keys.json")
    run("bag", "lodge", embassy.vault_folder(3), *packed.places, "--papers", packed.papers)
    [mission] = run("vault", "fsck", embassy.vault_folder(3))["missions"]
    assert mission["bad"] == []
