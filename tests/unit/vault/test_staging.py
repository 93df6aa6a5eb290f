"""Staged shards are charged to whoever brought them: nobody fills another's room (P9, P13)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from exclave.authority.charter_settings import Quotas
from exclave.engine.memory import MemoryEngine
from exclave.vault.interface import VaultRefused
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.serving import SEAT, open_mission, serving
from tests.support.vault_world import Pack, World, new_depositor, new_world, next_charter

SMALL = Quotas(reserve=0, staging=20_000, staging_days=1)


def two_depositors(world: World, mission: Mission) -> bytes:
    """A second depositor's identity, in force."""
    other = new_depositor()
    first = world.charter.depositors[0]
    second = replace(first, id="other", keys=other.public, identity=other.identity.certificate)
    submit(mission, next_charter(world, depositors=(first, second))[1])
    return second.identity


def staged(mission: Mission, pack: Pack, identity: bytes) -> None:
    shard = pack.shards[SEAT]
    intake = Intake(mission, shard.root, sealed=False, uploader=identity)
    intake.feed([shard.encode()])
    assert intake.finish()


def test_each_depositor_has_his_own_room_and_it_outlives_a_restart() -> None:
    world, store = new_world(quotas=SMALL, daily=30_000), MemoryEngine()
    mission = open_mission(world, store)
    second = two_depositors(world, mission)
    first = world.charter.depositors[0].identity
    packs = [world.pack(40_000), world.pack(50_000)]
    for pack in packs:
        staged(mission, pack, first)
    full = mission.staging.of(first)
    assert full == sum(pack.shards[SEAT].header.shard_length for pack in packs)
    assert mission.reserve_room(10, second).staged == 0
    assert mission.reserve_room(0, second).arriving == 10
    assert mission.reserve_room(0, first).arriving == 0
    assert mission.staging_limit(first) == 50_000
    mission.close()
    for again in (open_mission(world, store), open_mission(world, store)):
        assert (again.staging.of(first), again.staging.of(second)) == (full, 0)
        again.rebuild()
        assert again.staging.of(first) == full


def test_what_a_record_names_is_staged_no_more() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    first = world.charter.depositors[0].identity
    record, packs = world.deposit()
    for pack in packs:
        staged(mission, pack, first)
    assert mission.staging.of(first) > 0
    submit(mission, world.signed(record))
    assert mission.staging.of(first) == 0


def test_a_fellow_vault_stages_nothing() -> None:
    async def body() -> None:
        world = new_world()
        async with serving(world, MemoryEngine()) as served:
            fellow = served.client(world.vaults[SEAT].identity)
            shard = world.pack().shards[SEAT]
            for put in (fellow.put_shard, fellow.put_sealed_shard):
                with pytest.raises(VaultRefused) as caught:
                    await put(shard.root, [shard.encode()])
                assert caught.value.cause == "identity"
            assert (await fellow.status()).shards == 0

    asyncio.run(body())


def test_a_first_deposit_may_be_larger_than_staging() -> None:
    async def body() -> None:
        world = new_world(quotas=Quotas(reserve=0, staging=1, staging_days=1))
        async with serving(world, MemoryEngine()) as served:
            shard = world.pack(300_000).shards[SEAT]
            assert await served.depositor.put_shard(shard.root, [shard.encode()])

    asyncio.run(body())
