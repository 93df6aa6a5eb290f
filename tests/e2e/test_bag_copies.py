"""What can be packed: shards kept for a bag on purpose, and a vault's own copy of its seat."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.vault.interface import State
from tests.support.bags import pack_folder, run
from tests.support.embassy import Embassy, found_embassy


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path / "mission") as made:
        made.write_registers(mib=0.3)
        yield made


def shards(embassy: Embassy, seat: int) -> dict[str, bytes]:
    folder = embassy.mission_folder(seat) / "shards"
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copy(embassy: Embassy, seat: int, place: Path, *more: object) -> tuple[Path, Path]:
    papers = place.with_name(f"{place.name}-papers")
    run("bag", "copy", embassy.vault_folder(seat), "--folder", place, "--papers", papers, *more)
    return place, papers


def test_a_deposit_keeps_a_seats_shards_for_a_bag(tmp_path: Path, embassy: Embassy) -> None:
    """Its line is up and nothing is sent to it; the bag brings all of the deposit."""
    said = run("deposit", "-c", embassy.write_config(), "--bag-for", 3)
    assert said["lodged"] == [1, 2]
    assert list(said["late"]) == ["3"]
    assert shards(embassy, 3) == {}
    packed = pack_folder(embassy, 3, tmp_path / "bag")
    assert packed.said["absent"] == 0
    embassy.stop_vault(3)
    lodged = run("bag", "lodge", embassy.vault_folder(3), *packed.places)
    assert set(lodged["records"].values()) == {State.LODGED.value}
    assert len(shards(embassy, 3)) == lodged["new_shards"] > 0


def test_what_was_kept_for_a_bag_may_go_over_the_line_after_all(embassy: Embassy) -> None:
    run("deposit", "-c", embassy.write_config(), "--bag-for", 3)
    run("deposit", "-c", embassy.write_config(), "--catch-up")
    record = embassy.survey([3]).newest
    state = embassy.loop.run(embassy.client(3).statement(record.statement_hash))
    assert state.state is State.LODGED


def test_a_copy_brings_a_lost_vault_back(tmp_path: Path, embassy: Embassy) -> None:
    """Packed beside its server, lodged into a folder with the same keys and nothing else."""
    empty = tmp_path / "empty"
    embassy.stop_vault(3)
    shutil.copytree(embassy.vault_folder(3), empty)
    embassy.start_vault(3)
    embassy.deposit()
    embassy.write_registers(mib=0.2, seed=9)
    embassy.deposit()
    before = shards(embassy, 3)
    place, papers = copy(embassy, 3, tmp_path / "copy")
    verified = run("bag", "verify", place)
    assert (verified["bad"], len(verified["deposits"])) == (0, 2)
    key = embassy.vault_folder(3) / "keys" / "vault.key"
    run("bag", "seal", papers, "--key", key, "--marks", "lead 1")
    embassy.lose_vault(3)
    shutil.copytree(empty, embassy.vault_folder(3))
    lodged = run("bag", "lodge", embassy.vault_folder(3), place, "--papers", papers)
    assert set(lodged["records"].values()) == {State.LODGED.value}
    assert shards(embassy, 3) == before
    [mission] = run("vault", "fsck", embassy.vault_folder(3))["missions"]
    assert mission["bad"] == []


def test_a_copy_of_one_deposit_holds_what_it_needs(tmp_path: Path, embassy: Embassy) -> None:
    embassy.deposit()
    [first] = embassy.survey([3]).records
    early = set(shards(embassy, 3))
    embassy.write_registers(mib=0.2, seed=9)
    embassy.deposit()
    place, _ = copy(embassy, 3, tmp_path / "copy", "--deposit", first.deposit.hex())
    assert {path.name for path in (place / "shards").rglob("*/*")} == early
    assert run("bag", "verify", place)["deposits"] == [first.deposit.hex()]
    said = run(
        "bag", "copy", embassy.vault_folder(3), "--folder", tmp_path / "none",
        "--papers", tmp_path / "p", "--deposit", "00" * 16, expect=3,
    )  # fmt: skip
    assert "expected one that this vault was told of" in said


def test_a_copy_is_sealed_by_its_own_seat(tmp_path: Path, embassy: Embassy) -> None:
    embassy.deposit()
    _, papers = copy(embassy, 3, tmp_path / "copy")
    other = embassy.vault_folder(2) / "keys" / "vault.key"
    said = run("bag", "seal", papers, "--key", other, expect=7)
    assert "expected a depositor for sealed, got seat 2" in said


def test_a_damaged_shard_is_not_copied(tmp_path: Path, embassy: Embassy) -> None:
    embassy.deposit()
    embassy.stop_vault(3)
    victim = next(path for path in (embassy.mission_folder(3) / "shards").rglob("*/*"))
    victim.chmod(0o600)
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    said = run(
        "bag", "copy", embassy.vault_folder(3), "--folder", tmp_path / "copy",
        "--papers", tmp_path / "papers", expect=7,
    )  # fmt: skip
    assert victim.name[:16] in said
    assert not (tmp_path / "copy").exists()


def test_no_copy_that_opens_alone_unless_the_charter_says_so(tmp_path: Path) -> None:
    with found_embassy(tmp_path / "mission", n=1, k=1) as embassy:
        embassy.write_registers(mib=0.1)
        embassy.deposit()
        said = run(
            "bag", "copy", embassy.vault_folder(1), "--folder", tmp_path / "copy",
            "--papers", tmp_path / "papers", expect=3,
        )  # fmt: skip
        assert "expected packs of which one shard is not enough" in said
