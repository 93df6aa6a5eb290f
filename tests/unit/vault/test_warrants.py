"""Warrants at a vault: one official cannot hold reading up, a raised threshold starts the delay."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from exclave.authority import keys, persons
from exclave.authority.charter_parts import RoleName
from exclave.authority.envelope import parse_envelope
from exclave.engine.memory import MemoryEngine
from exclave.standing.admission import PLACES
from exclave.vault.interface import State, VaultRefused
from exclave.vault.line.identity import new_identity
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.serving import fellows, open_mission, passed
from tests.support.vault_world import START, World, new_world, next_charter

READER = new_identity("reader", START)


class Hands:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


def flooded(world: World, mission: Mission, person: int) -> None:
    for _ in range(PLACES):
        submit(mission, world.warrant(new_identity("flood", START), people=(person,)))


def test_one_official_takes_only_his_own_places() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    flooded(world, mission, 0)
    for _ in range(3):
        with pytest.raises(VaultRefused) as caught:
            submit(mission, world.warrant(READER, people=(0,)))
        assert caught.value.cause == "quota"
    # Reading goes on as soon as another signs too, in one or in two steps, whoever is first.
    assert submit(mission, world.warrant(READER, people=(0, 1))).state is State.RELEASED
    second = world.warrant(READER, people=(1,))
    assert submit(mission, second).state is State.INCOMPLETE
    joined = world.officials_sign(parse_envelope(second), (0,)).to_bytes()
    assert submit(mission, joined).state is State.RELEASED
    assert len(mission.released(READER.certificate)) == 2


def test_places_come_back_a_day_after_they_were_taken() -> None:
    world, now = new_world(), Hands()
    mission = open_mission(world, MemoryEngine(), now=now, witnesses=fellows(now))
    soon = START + timedelta(minutes=1)
    for _ in range(PLACES):
        submit(mission, world.warrant(READER, people=(0,), expires=soon))
    now.time = START + timedelta(hours=1)
    passed(mission, timedelta(hours=1))
    late = START + timedelta(days=9)
    with pytest.raises(VaultRefused):
        submit(mission, world.warrant(READER, people=(0,), expires=late))
    passed(mission, timedelta(hours=24))
    assert submit(mission, world.warrant(READER, people=(0,), expires=late)).entry > PLACES


def test_signatures_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    flooded(world, mission, 0)
    submit(mission, world.warrant(READER))
    calls: list[bytes] = []

    def counted(key: keys.TypedKey, message: bytes, signature: bytes) -> None:
        calls.append(signature)
        keys.verify_signature(key, message, signature)

    monkeypatch.setattr(persons, "verify_signature", counted)
    for _ in range(10):
        assert len(mission.released(READER.certificate)) == 1
    assert not calls


def raised(world: World, mission: Mission) -> None:
    """Charter 2 in force at once: three must sign instead of two."""
    rosters = tuple(
        (name, replace(role, threshold=3) if name is RoleName.READ else role)
        for name, role in world.charter.rosters
    )
    submit(mission, next_charter(world, rosters=rosters)[1])
    assert mission.charter().version == 2


def test_the_delay_starts_again_at_a_larger_threshold() -> None:
    world = new_world(read_delay=3600)
    mission = open_mission(world, MemoryEngine())
    data = world.warrant(READER)
    assert submit(mission, data).state is State.WAITING
    raised(world, mission)
    mission.service._now += 3 * 3600_000
    assert submit(mission, data).state is State.INCOMPLETE
    third = submit(mission, world.officials_sign(parse_envelope(data), (2,)).to_bytes())
    assert (third.state, third.seconds) == (State.WAITING, 3 * 3600)
    before = mission.index.dump()
    mission.rebuild()
    assert mission.index.dump() == before


def test_a_warrant_names_the_charter_in_force() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    old = world.warrant(READER)
    raised(world, mission)
    with pytest.raises(VaultRefused) as caught:
        submit(mission, old)
    assert caught.value.cause == "conflict"
    new = world.warrant(READER, people=(0, 1, 2), charter=mission.charter().statement_hash)
    assert submit(mission, new).state is State.RELEASED


def test_a_charter_that_is_not_in_force_yet_gives_no_warrant() -> None:
    world = new_world(read_delay=3600)
    mission = open_mission(world, MemoryEngine())
    rosters = tuple(
        (name, replace(role, delay=3600) if name is RoleName.GOVERN else role)
        for name, role in world.charter.rosters
    )
    charter, data = next_charter(world, rosters=rosters)
    submit(mission, data)
    early = world.warrant(READER, charter=charter.statement_hash)
    with pytest.raises(VaultRefused) as caught:
        submit(mission, early)
    assert caught.value.cause == "charter-gap"  # which mirroring tries again
    mission.service._now += 3 * 3600_000  # unseen by any witness
    assert submit(mission, early).state is State.WAITING
