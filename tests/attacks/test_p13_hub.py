"""P13, P1 and P9 at a hub whose guests have a seat each: addresses, keys and turns of their own.

The attacker's powers: everything of guest A (depositor, officials, their keys), and the line to A's
two addresses, which he may flood; of guest B he has, in the first part, the depositor's identity
and all officials too, but no way to B's addresses. He wants what is B's, or only to know that B is
there, or that B's turn does not come. Both are served by one process, as `exclave vault serve`
does it. Positive controls: each credential works at its own address, and one address for both
missions, as installations of the first format have it, does tell of the other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from exclave import clock
from exclave.errors import VaultUnreachable
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import Limits, VaultConfig
from exclave.vault.line.addresses import Address
from exclave.vault.line.identity import Identity, issue_leaf
from exclave.vault.line.tls import client_context
from exclave.vault.server.server import VaultServer
from tests.attacks.test_p3_agreements import engine_at
from tests.attacks.test_p9_hub import Guest
from tests.structure.sources import ROOT
from tests.support.serving import SEAT, open_mission
from tests.support.vault_world import World, new_world

OPERATIONS = yaml.safe_load((ROOT / "spec" / "openapi.yaml").read_text(encoding="utf-8"))["paths"]
NOBODY = "5a" * 32
"""A mission that is nowhere."""
FEW = 8
GRANTED = 2**30
"""Bytes for each guest in all: less than the disk has."""


@asynccontextmanager
async def hub(folder: Path, limits: Limits | None = None) -> AsyncIterator[tuple[Guest, Guest]]:
    """Two missions, nothing shared but the process; both may deposit without an agreement."""
    guests: list[Guest] = []
    for name in ("a", "b"):
        world = new_world(total=GRANTED)
        mission = open_mission(world, engine_at(folder / name))
        server = VaultServer(
            identity=world.vaults[SEAT].identity,
            missions=[mission],
            config=VaultConfig(data="127.0.0.1:0", public="127.0.0.1:0", limits=limits or Limits()),
            clock=clock.now,
            mirror=False,
            name=name,
        )
        await server.start()
        guests.append(Guest(world=world, mission=mission, folder=folder / name, server=server))
    try:
        yield guests[0], guests[1]
    finally:
        for guest in guests:
            for client in guest.clients:
                await client.close()
            await guest.server.stop()


def secrets_of(world: World) -> list[bytes]:
    """By which a mission, its vault or its host would be told."""
    vault = world.vaults[SEAT]
    raw = [world.mission, vault.keys.log_public, *(key.public_key for key in vault.keys.cosigning)]
    return [*(item.hex().encode() for item in raw), vault.identity.certificate]


async def asked(
    address: Address, anchor: bytes, identity: Identity | None, requests: list[tuple[str, str]]
) -> list[tuple[int, bytes]]:
    """Every request's status and body over one connection."""
    leaf = None if identity is None else issue_leaf(identity, server=False, now=clock.now())
    context = client_context(anchor, leaf)
    found: list[tuple[int, bytes]] = []
    async with aiohttp.ClientSession() as session:
        for verb, path in requests:
            body = b"x" * 40 if verb in {"PUT", "POST"} else None
            async with session.request(
                verb, f"https://{address}{path}", ssl=context, data=body
            ) as answer:
                found.append((answer.status, await answer.read()))
    return found


def requests_for(mission: str) -> list[tuple[str, str]]:
    """Every verb and path of the specification, about a mission."""
    return [
        (verb.upper(), path.replace("{mission}", mission)
         .replace("{hash}", "0" * 64).replace("{type}", "record")
         .replace("{tile}", "tile/entries/000").replace("{level}", "0").replace("{index}", "000"))
        for path, operations in OPERATIONS.items()
        if "{mission}" in path
        for verb in operations
        if verb in {"get", "put", "post"}
    ]  # fmt: skip


def test_nothing_of_one_guest_is_at_the_others_address(tmp_path: Path) -> None:
    """With A's credentials and with B's: to the letter as if there were no B."""

    async def body() -> None:
        async with hub(tmp_path) as (a, b):
            assert await b.lodges()
            anchor = a.world.vaults[SEAT].identity.certificate
            assert a.server.data is not None
            assert a.server.public is not None
            ways = [(a.server.data, a.world.depositor.identity), (a.server.public, None)]
            wanted = requests_for(b.world.mission.hex())
            assert len(wanted) > 10
            for address, identity in ways:
                found = await asked(address, anchor, identity, wanted)
                none = await asked(address, anchor, identity, requests_for(NOBODY))
                assert found == none
                assert {status for status, _ in found} == {404}
            for identity in (b.world.depositor.identity, b.world.vaults[SEAT].identity):
                with pytest.raises((ssl.SSLError, aiohttp.ClientError)):
                    await asked(a.server.data, anchor, identity, wanted)
            assert await a.lodges()

    asyncio.run(body())


def test_an_address_says_nothing_of_another_guest(tmp_path: Path) -> None:
    """Certificates, software, status, log: nothing names B, nor changes when B deposits."""

    async def body() -> None:
        async with hub(tmp_path) as (a, b):
            assert a.server.public is not None
            anchor = a.world.vaults[SEAT].identity.certificate
            paths = [("GET", "/v1/status")]
            paths += [
                ("GET", f"/v2/{a.world.mission.hex()}/{what}")
                for what in ("status", "log/checkpoint")
            ]
            before = await asked(a.server.public, anchor, None, paths)
            assert await b.lodges()
            after = await asked(a.server.public, anchor, None, paths)
            said = b"".join(text for _, text in after)
            assert a.world.mission.hex().encode() in said
            assert not [secret for secret in secrets_of(b.world) if secret in said]
            assert before[0] == after[0]
            assert a.mission.status().free_bytes == GRANTED, "and not what the disk has left"
            # The line itself: another guest's pinned identity is not behind this address.
            stranger = HttpVault(
                mission=a.world.mission, seat=SEAT, public=a.server.public, clock=clock.now,
                anchor=b.world.vaults[SEAT].identity.certificate,
            )  # fmt: skip
            async with stranger:
                with pytest.raises(VaultUnreachable, match="expected the pinned identity"):
                    await stranger.status()

    asyncio.run(body())


def test_one_address_for_both_does_tell(tmp_path: Path) -> None:
    """Positive control: what the test before would find."""

    async def body() -> None:
        first = new_world()
        worlds = [first, new_world(vaults=first.vaults)]
        server = VaultServer(
            identity=first.vaults[SEAT].identity,
            missions=[
                open_mission(one, engine_at(tmp_path / str(i))) for i, one in enumerate(worlds)
            ],
            config=VaultConfig(data="127.0.0.1:0", public="127.0.0.1:0"),
            clock=clock.now,
            mirror=False,
        )
        async with server:
            assert server.public is not None
            anchor = first.vaults[SEAT].identity.certificate
            ((_, said),) = await asked(server.public, anchor, None, [("GET", "/v1/status")])
            assert secrets_of(worlds[1])[0] in said

    asyncio.run(body())


def test_a_flood_at_one_address_leaves_the_other_its_turn(tmp_path: Path) -> None:
    """More connections than a listener takes, half of them never shake hands."""

    async def body() -> None:
        async with hub(tmp_path, Limits(connections=FEW)) as (a, b):
            flood: list[asyncio.StreamWriter] = []
            idle = client_context(a.world.vaults[SEAT].identity.certificate)
            for address in (a.server.data, a.server.public):
                assert address is not None
                for number in range(2 * FEW):
                    secure = idle if number % 2 and address == a.server.public else None
                    opening = asyncio.open_connection(address.host, address.port, ssl=secure)
                    try:
                        _, writer = await asyncio.wait_for(opening, 0.2)
                    except TimeoutError:
                        continue  # the listener has its fill
                    flood.append(writer)
            for listener in a.server._listeners:
                held = len(listener._shaking) + len(listener._server.connections)
                assert held == FEW
            assert await b.lodges()
            for writer in flood:
                writer.transport.abort()
            assert await a.lodges(), "and its own turn comes when the flood ends"

    asyncio.run(body())
