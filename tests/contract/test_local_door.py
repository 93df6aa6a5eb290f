"""The local door of a vault that is served: the vault's own verbs, for the vault's own account."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from exclave.engine.memory import MemoryEngine
from exclave.ids import ShardRoot
from exclave.vault.client.local_vault import LocalVault
from exclave.vault.interface import State, VaultRefused
from exclave.vault.line.local_door import SOCKET
from tests.support.carried_deposit import BagInMemory, carried
from tests.support.serving import SEAT, Served, serving
from tests.support.vault_world import World, new_world

ASK = """
import os, socket, sys
if sys.argv[2] != "-":
    os.setuid(int(sys.argv[2]))
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(sys.argv[3].encode())
print(line.makefile("rb").read().decode())
"""
OTHER = 65534


@pytest.fixture(scope="module")
def world() -> World:
    return new_world()


@pytest.fixture(scope="module")
def bag(world: World) -> BagInMemory:
    record, packs = world.deposit()
    return carried(world, [world.signed(record)], [pack.shards[SEAT] for pack in packs])


def served(
    world: World, folder: Path, body: Callable[[Served, LocalVault], Coroutine[None, None, None]]
) -> None:
    async def run() -> None:
        async with (
            serving(world, MemoryEngine(), local=folder) as made,
            LocalVault(folder, world.mission, SEAT) as vault,
        ):
            await body(made, vault)

    asyncio.run(run())


def test_a_folder_with_a_long_path_has_a_door(
    world: World, bag: BagInMemory, tmp_path: Path
) -> None:
    """The kernel takes 107 bytes for a socket's path."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()

    async def body(made: Served, vault: LocalVault) -> None:
        charter, record, *shards = bag.datas
        del charter
        assert (await vault.submit(record)).state is State.PENDING
        for item, data in zip(bag.inventory.items[2:], shards, strict=True):
            root = ShardRoot(bytes.fromhex(item.name))
            assert await vault.put_carried_shard("home", root, [data])
            assert not await vault.put_carried_shard("home", root, [data])
        assert (await vault.submit(record)).state is State.LODGED

    served(world, folder, body)
    assert not (folder / SOCKET).exists()


def test_what_no_record_names_is_not_taken(world: World, bag: BagInMemory, tmp_path: Path) -> None:
    """Else a host could use up what a depositor may have staged."""

    async def body(made: Served, vault: LocalVault) -> None:
        root, data = ShardRoot(bytes.fromhex(bag.inventory.items[2].name)), bag.datas[2]
        with pytest.raises(VaultRefused, match="no record here names it") as refusal:
            await vault.put_carried_shard("home", root, [data])
        assert refusal.value.cause == "not-found"
        await vault.submit(bag.datas[1])
        with pytest.raises(VaultRefused, match="no depositor 'nobody'") as refusal:
            await vault.put_carried_shard("nobody", root, [data])
        assert refusal.value.cause == "identity"
        with pytest.raises(VaultRefused) as refusal:
            await vault.put_carried_shard("home", root, [data[:-1] + b"?"])
        assert refusal.value.cause == "hash-mismatch"
        assert made.mission.status().shards == 0

    served(world, tmp_path, body)


def test_another_account_is_refused(
    world: World, bag: BagInMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where folder and socket were left open to it."""
    place = Path("/tmp") / f"door-{os.getpid()}"  # pytest's own folders are closed to others
    place.mkdir()
    head = "GET" + f" /v1/{world.mission.hex()}/statements/{'0' * 64}" + " HTTP/1.1\r\n"
    asked = head + "Host: vault\r\nConnection: close\r\n\r\n"

    async def ask(uid: str) -> str:
        line = [sys.executable, "-c", ASK, str(place / SOCKET), uid, asked]
        answer = await asyncio.to_thread(subprocess.run, line, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    async def body(made: Served, vault: LocalVault) -> None:
        del made, vault
        assert (place / SOCKET).stat().st_mode & 0o777 == 0o600
        assert "urn:exclave:problem:not-found" in await ask("-")  # positive control
        place.chmod(0o777)
        (place / SOCKET).chmod(0o777)
        if os.geteuid() == 0:
            assert "urn:exclave:problem:identity" in await ask(str(OTHER))
        else:  # who cannot be somebody else asks a server that is somebody else
            monkeypatch.setattr("exclave.vault.line.local_door.os.geteuid", lambda: OTHER)
            assert "urn:exclave:problem:identity" in await ask("-")

    try:
        served(world, place, body)
    finally:
        place.rmdir()


def test_it_gives_nothing_away(world: World, bag: BagInMemory, tmp_path: Path) -> None:
    """No verb of reading, of the record or of a witness: only what lodging needs."""

    async def body(made: Served, vault: LocalVault) -> None:
        await vault.submit(bag.datas[1])
        root = ShardRoot(bytes.fromhex(bag.inventory.items[2].name))
        await vault.put_carried_shard("home", root, [bag.datas[2]])
        m = world.mission.hex()
        paths = [
            f"/v1/{m}/shards/{root.hex()}", f"/v1/{m}/carried-shards/home/{root.hex()}",
            f"/v1/{m}/log/checkpoint", f"/v1/{m}/status", "/v1/status",
            f"/v1/{m}/missing/{root.hex()}",
        ]  # fmt: skip
        for path in paths:
            for verb in ("GET", "POST", "DELETE", "PATCH"):
                status = await asyncio.to_thread(_status, tmp_path / SOCKET, verb, path)
                assert status in {404, 405}, f"{verb} {path}: {status}"
        assert made.mission.status().shards == 1

    served(world, tmp_path, body)


def _status(door: Path, verb: str, path: str) -> int:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(door))
        line.sendall(f"{verb} {path} HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n".encode())
        return int(line.makefile("rb").read().split()[1])


def test_a_door_that_was_left_is_taken_over(world: World, bag: BagInMemory, tmp_path: Path) -> None:
    """Of a server that was killed: the lock says that nobody is behind it."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET))

    async def body(made: Served, vault: LocalVault) -> None:
        del made
        assert (await vault.submit(bag.datas[1])).state is State.PENDING

    served(world, tmp_path, body)


def test_answers_are_what_the_line_says(world: World, bag: BagInMemory, tmp_path: Path) -> None:
    async def body(made: Served, vault: LocalVault) -> None:
        answer = await vault.submit(bag.datas[1])
        assert answer == await made.client().statement(answer.statement)
        assert answer == await vault.statement(answer.statement)

    served(world, tmp_path, body)
