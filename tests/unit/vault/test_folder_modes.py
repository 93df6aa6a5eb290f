"""No other account of the machine reads a vault's folder: shards hold veil shares in the clear."""

from __future__ import annotations

import os
from pathlib import Path

from exclave.authority.enrolment import Enrolment, enrolment_envelope
from exclave.engine.file import FileEngine
from exclave.vault.installation.install import create_vault, enrol, open_missions
from exclave.vault.mission.intake import Intake
from tests.support.serving import SEAT
from tests.support.vault_world import START, new_world


def test_a_vaults_folder_is_its_own(tmp_path: Path) -> None:
    world = new_world()
    party = world.vaults[SEAT]
    for name in ("reader", "spec", "vectors"):
        (tmp_path / "kit" / name).mkdir(parents=True)
    before = os.umask(0o022)
    try:
        folder = create_vault(
            tmp_path / "vault",
            identity=party.identity,
            seat_request=b"{}",
            save_keys=lambda _: None,
            kit=tmp_path / "kit",
        )
        envelope = enrolment_envelope(
            Enrolment(mission=world.mission, seat=SEAT, vault="vault-1", charter=world.envelope)
        )
        charter = world.charter.seat(SEAT)
        enrol(
            folder,
            envelope.to_bytes(),
            log_key=charter.log_key,
            seat_key=charter.seat_key,
        )
        (folder.path / "missions").chmod(0o755)  # as an earlier version left it
        (mission,) = open_missions(folder, engine=FileEngine, keys=party.keys, clock=lambda: START)
        shard = world.pack().shards[SEAT]
        intake = Intake(mission, shard.root, sealed=False)
        intake.feed([shard.encode()])
        intake.finish()
        mission.close()
    finally:
        os.umask(before)
    closed = [folder.path, folder.tmp, folder.keys, folder.path / "missions"]
    inside = folder.mission(world.mission)
    closed += [place for place in (inside, *inside.rglob("*")) if place.is_dir()]
    assert {place.stat().st_mode & 0o777 for place in closed} == {0o700}
    shards = [place for place in (inside / "shards").rglob("*") if place.is_file()]
    assert [place.stat().st_mode & 0o777 for place in shards] == [0o400]
