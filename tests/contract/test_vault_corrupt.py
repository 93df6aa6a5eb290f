"""An engine that gives back other bytes than it took: named, an alarm, and never served whole."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from exclave.authority.envelope import parse_envelope
from exclave.engine.memory import MemoryEngine
from exclave.errors import IntegrityError, VaultError
from exclave.ledger.entry import EntryType
from exclave.vault.interface import VaultRefused
from exclave.vault.kept.log import LogBroken
from exclave.vault.kept.storage import body_key, shard_key
from exclave.vault.line.identity import new_identity
from exclave.vault.mission.mission import Mission
from tests.support.serving import SEAT, open_mission, serving
from tests.support.vault_world import START, new_world


def alarms(mission: Mission) -> list[str]:
    mission.watch()
    found = [entry for _, entry in mission.log.entries() if entry.type is EntryType.ALARM]
    texts = [parse_envelope(mission.log.body(entry.hash)).payload.decode() for entry in found]
    return [text for text in texts if "engine-corrupt" in text]


def spoilt(engine: MemoryEngine, key: Any, at: int) -> None:
    data = bytearray(engine.get(key))
    data[at] ^= 1
    engine.spoil(key, bytes(data))


@pytest.mark.parametrize("size", [10_000, 5_000_000])
@pytest.mark.parametrize("lost", [False, True])
def test_a_shard_that_changed_is_never_served(size: int, lost: bool) -> None:
    async def body() -> None:
        world, engine = new_world(), MemoryEngine()
        async with serving(world, engine) as served:
            record, packs = world.deposit(size)
            for pack in packs:
                shard = pack.shards[SEAT]
                await served.depositor.put_shard(shard.root, [shard.encode()])
            await served.depositor.submit(world.signed(record))
            identity = new_identity("reader", START)
            await served.depositor.submit(world.warrant(identity))
            reader, root = served.client(identity), packs[0].shards[SEAT].root
            assert await reader.get_shard(root)
            if lost:
                engine.spoil(shard_key(root), None)  # type: ignore[arg-type]
            else:
                spoilt(engine, shard_key(root), 200)
            with pytest.raises(VaultError):
                await reader.get_shard(root)
            assert len(alarms(served.mission)) == 1
            assert [item.cause for item in (await reader.status()).alarms] == ["engine-corrupt"]
            assert await reader.get_shard(packs[1].shards[SEAT].root)

    asyncio.run(body())


def test_a_body_that_changed_is_never_served() -> None:
    async def body() -> None:
        world, engine = new_world(), MemoryEngine()
        async with serving(world, engine) as served:
            digest = hashlib.sha256(world.envelope.to_bytes()).digest()
            assert await served.depositor.body(digest)
            spoilt(engine, body_key(digest), 40)
            with pytest.raises(VaultRefused) as caught:
                await served.depositor.body(digest)
            assert caught.value.cause == "unavailable"
            assert len(alarms(served.mission)) == 1
            with pytest.raises(LogBroken, match="not what they were"):
                served.mission.log.body(digest)

    asyncio.run(body())


def test_a_log_whose_tiles_changed_does_not_start() -> None:
    world, engine = new_world(), MemoryEngine()
    open_mission(world, engine).close()
    spoilt(engine, "log/tile/0/000.p/1", 3)
    with pytest.raises(IntegrityError, match=r"tile|leaf"):
        open_mission(world, engine)
