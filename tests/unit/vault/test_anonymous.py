"""What somebody who does not say who he is may cost a vault is little (P9)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from exclave.engine.memory import MemoryEngine
from exclave.vault.interface import VaultRefused
from exclave.vault.line.wire import MAX_ANONYMOUS
from tests.support.serving import SEAT, serving
from tests.support.vault_world import new_world


def test_large_statements_come_from_known_parties_only() -> None:
    async def body() -> None:
        world = new_world()
        large = b"{" * (MAX_ANONYMOUS + 1)
        causes = []
        async with serving(world, MemoryEngine()) as served:
            fellow = served.client(world.vaults[SEAT].identity)
            for vault in (served.client(), served.depositor, fellow):
                with pytest.raises(VaultRefused) as caught:
                    await vault.submit(large)
                causes.append(caught.value.cause)
            with pytest.raises(VaultRefused) as caught:
                await served.client().submit(large[:-1])
            causes.append(caught.value.cause)
        assert causes == ["too-large", "malformed", "malformed", "malformed"]

    asyncio.run(body())


def test_a_held_mission_lock_does_not_stop_the_listeners() -> None:
    async def body() -> None:
        world = new_world()
        async with serving(world, MemoryEngine()) as served:
            held, end = threading.Event(), threading.Event()

            def hold() -> None:
                with served.mission.lock:
                    held.set()
                    end.wait(20)

            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            try:
                async with asyncio.timeout(10):  # far more than an answer takes
                    assert await served.depositor.checkpoint() == served.mission.log.note
                    shard = world.pack().shards[SEAT]
                    waits = asyncio.ensure_future(
                        served.depositor.put_shard(shard.root, [shard.encode()])
                    )
                    while not served.server._hosting.leaves:
                        await asyncio.sleep(0)
                    assert await served.client().checkpoint() == served.mission.log.note
            finally:
                end.set()
                await asyncio.to_thread(thread.join)
            assert await waits

    asyncio.run(body())
