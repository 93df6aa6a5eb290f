"""Agreed capacities of all missions against the disk: a warning, with the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from exclave.engine.memory import MemoryEngine
from exclave.ids import MissionId, Seat
from exclave.vault.interface import MissionStatus
from exclave.vault.mission.submission import submit
from exclave.wiring import capacity
from exclave.wiring.capacity import DiskRoom, disk_room
from exclave.wiring.new_vaults import init_vault
from tests.support.agreements import agreement, signed
from tests.support.serving import open_mission
from tests.support.vault_world import World, new_world

GIB = 2**30
OTHER = MissionId(b"\x05" * 32)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose disk has 10 GiB left."""
    path = tmp_path / "vault"
    init_vault(
        path, vault="hub", state="LU", operator="o", data="127.0.0.1:1", public="127.0.0.1:2"
    )
    config = path / "vault.toml"
    config.write_text(f"min_free_bytes = {GIB}\n{config.read_text()}")
    disk = SimpleNamespace(free=10 * GIB)
    monkeypatch.setattr(capacity.shutil, "disk_usage", lambda _: disk)
    return path


def agreed(world: World, size: int) -> MissionStatus:
    """A mission's status once both states have agreed."""
    mission = open_mission(world, MemoryEngine())
    submit(mission, signed(world, agreement(world, capacity=size)))
    status = mission.status()
    mission.close()
    return status


def test_what_is_still_to_come_counts(vault: Path) -> None:
    one = replace(agreed(new_world(), 6 * GIB), shard_bytes=GIB)
    other = replace(one, mission=OTHER, capacity_bytes=3 * GIB, shard_bytes=0)
    nothing = replace(one, mission=OTHER, capacity_bytes=None)
    assert disk_room(vault, [one, nothing]) == DiskRoom(free=10 * GIB, kept=GIB, promised=5 * GIB)
    assert disk_room(vault, [one, other]).warning is None
    full = replace(other, capacity_bytes=5 * GIB)
    said = disk_room(vault, [one, full]).warning
    assert (
        said == "agreed: 10.0 GiB may still come, and the disk has room for 9.0 GiB: 1.0 GiB short"
    )


def test_an_agreement_that_is_about_to_be_signed(vault: Path) -> None:
    """It takes the place of the mission's own before; of a guest that is new it is added."""
    world = new_world()
    one = agreed(world, 6 * GIB)
    larger = agreement(world, capacity=9 * GIB)
    assert disk_room(vault, [one], accepting=larger).short == 0
    assert disk_room(vault, [one], accepting=replace(larger, capacity=11 * GIB)).short == 2 * GIB
    assert disk_room(vault, [one], accepting=agreement(new_world(), capacity=4 * GIB)).short == GIB
    elsewhere = agreement(world, 2, capacity=9 * GIB)
    assert Seat(2) in elsewhere.numbers
    assert disk_room(vault, [one], accepting=elsewhere).promised == 6 * GIB
