"""One process for all seats: what one of them lacks stops no other."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket

import pytest

from exclave import clock
from exclave.engine.memory import MemoryEngine
from exclave.errors import ConfigurationError
from exclave.vault.installation.config import VaultConfig
from exclave.vault.server import server as vault_server
from exclave.vault.server.server import VaultServer, serve
from tests.support.serving import SEAT, Served, open_mission
from tests.support.vault_world import World, new_world


def server_of(world: World, address: str, name: str | None = None) -> VaultServer:
    """A seat's server, its public listener at a free port."""
    return VaultServer(
        identity=world.vaults[SEAT].identity,
        missions=[open_mission(world, MemoryEngine())],
        config=VaultConfig(data=address, public="127.0.0.1:0"),
        clock=clock.now,
        mirror=False,
        name=name,
    )


def test_a_line_that_comes_up_late(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its guest waits, the others are served meanwhile; then so is he."""
    monkeypatch.setattr(vault_server, "_HOUSEKEEPING_SECONDS", 0.01)
    worlds = new_world(), new_world()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        servers = [server_of(worlds[0], "127.0.0.1:0"), server_of(worlds[1], address, "late")]

        async def play() -> None:
            while "seat late is not served" not in caplog.text:
                await asyncio.sleep(0)
            first = Served(
                world=worlds[0], mission=open_mission(worlds[0], MemoryEngine()), server=servers[0]
            )
            while servers[0].public is None:
                await asyncio.sleep(0)
            async with first.client() as line:
                assert (await line.status()).mission == worlds[0].mission
            taken.close()
            while not servers[1]._tasks:
                await asyncio.sleep(0)
            second = Served(world=worlds[1], mission=first.mission, server=servers[1])
            async with second.client() as line:
                assert (await line.status()).mission == worlds[1].mission
            os.kill(os.getpid(), signal.SIGTERM)

        async def both() -> None:
            await asyncio.gather(vault_server._serve(servers), play())

        asyncio.run(both())
    ready = json.loads(capsys.readouterr().out)["ready"]
    assert ready["data"] == str(servers[0].data)
    assert "seats" not in ready


def test_the_only_seat_that_cannot_be_bound() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"listener {address}: cannot be bound"):
            serve(server_of(new_world(), address))
