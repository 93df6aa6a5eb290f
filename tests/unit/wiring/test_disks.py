"""Folders carried to the restoring machine: a broken one keeps no other back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from exclave.engine.file import FileEngine
from exclave.errors import IntegrityError
from exclave.ids import Seat
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.submission import submit
from exclave.vault.survey.survey import survey
from exclave.wiring.disks import NoFolderReadable, open_disks
from tests.support.serving import open_mission
from tests.support.vault_world import Pack, World, new_world


def disk(world: World, place: Path, seat: int) -> tuple[Path, Pack]:
    """A vault's folder that has one lodged deposit, and a pack of it."""
    folder = place / f"disk-{seat}" / "missions" / world.mission.hex()
    folder.mkdir(parents=True)
    tmp = place / f"tmp-{seat}"
    tmp.mkdir()
    mission = open_mission(world, FileEngine(folder, tmp), seat=Seat(seat))
    record, packs = world.deposit()
    for pack in packs:
        shard = pack.shards[Seat(seat)]
        intake = Intake(mission, shard.root, sealed=False)
        intake.feed([shard.encode()])
        intake.finish()
    submit(mission, world.signed(record))
    mission.close()
    return place / f"disk-{seat}", packs[0]


def broken(world: World, place: Path, how: str) -> Path:
    """A folder whose checkpoint is no use."""
    folder = place / f"broken-{how}"
    log = folder / "missions" / world.mission.hex() / "log"
    log.mkdir(parents=True)
    checkpoint = log / "checkpoint"
    match how:
        case "garbage":
            checkpoint.write_bytes(b"garbage")
        case "pipe":
            os.mkfifo(checkpoint)
        case "endless":
            with checkpoint.open("wb") as stream:
                stream.truncate(2**40)
        case "device":
            checkpoint.symlink_to("/dev/zero")
        case _:
            pass
    return folder


@pytest.mark.parametrize("how", ["garbage", "pipe", "endless", "device", "nothing"])
def test_a_broken_folder_is_named_and_left_out(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = new_world()
    good, _ = disk(world, tmp_path, 2)
    bad = broken(world, tmp_path, how)
    disks = open_disks([bad, good], world.mission)
    assert [vault.seat for vault in disks.vaults] == [Seat(2)]
    assert [fault.folder for fault in disks.faults] == [bad]
    assert str(bad) in caplog.text
    view = asyncio.run(survey(disks.vaults, world.mission))
    assert [deposit.lodged for deposit in view.deposits] == [(Seat(2),)]


def test_only_broken_folders_are_refused_with_every_reason(tmp_path: Path) -> None:
    world = new_world()
    folders = [broken(world, tmp_path, "garbage"), broken(world, tmp_path, "nothing")]
    with pytest.raises(NoFolderReadable) as caught:
        open_disks(folders, world.mission)
    assert caught.value.hint is not None
    assert all(str(folder) in caught.value.hint for folder in folders)


def test_a_folder_that_claims_anothers_seat_hides_no_shard(tmp_path: Path) -> None:
    world = new_world()
    good, pack = disk(world, tmp_path, 2)
    liar = broken(world, tmp_path, "liar")
    inside = Path("missions") / world.mission.hex() / "log" / "checkpoint"
    (liar / inside).write_bytes((good / inside).read_bytes())
    for order in ([good, liar], [liar, good]):
        disks = open_disks(order, world.mission)
        root = pack.shards[Seat(2)].root
        assert asyncio.run(disks.stores[Seat(2)].get_shard(root)) == pack.shards[Seat(2)].encode()
        view = asyncio.run(survey(disks.vaults, world.mission))
        assert [deposit.lodged for deposit in view.deposits] == [(Seat(2),)]
        with pytest.raises(IntegrityError):
            asyncio.run(disks.stores[Seat(2)].get_shard(pack.shards[Seat(3)].root))
