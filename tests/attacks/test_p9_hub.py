"""P9 and P1 at a hub: one installation, two guest states; neither takes anything from the other.

The attacker's powers: everything of guest A, with its depositor's keys and identity, all its
officials and its host state's signature on A's agreements; and, in the last part, the eyes of the
operator and of the other guest on what the vault says of itself. B shares the vault, its host state
and its key, the address, and even its officials with A.
He wants B's room, B's turn, B's end, or to know of B more than volumes and health.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from exclave import clock
from exclave.authority.agreement import Agreement
from exclave.cli.vault import _status_json, _status_lines
from exclave.encoding import canonical_json
from exclave.ledger.entry import EntryType
from exclave.standing.agreed import in_effect
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import Limits, VaultConfig
from exclave.vault.interface import State, VaultRefused
from exclave.vault.mission.mission import Mission
from exclave.vault.server.server import VaultServer
from tests.attacks.test_p3_agreements import engine_at, objects, put
from tests.support.agreements import agreement, signed, terminate
from tests.support.serving import SEAT, open_mission, passed
from tests.support.vault_world import World, new_world

ROOM = 64 * 1024
"""Bytes that A has agreed on: a handful of shards."""
PLANTED = ("births", "Õnne Põder", "land register")


@dataclass(kw_only=True)
class Guest:
    """One state's mission at the hub."""

    world: World
    mission: Mission
    folder: Path
    server: VaultServer
    clients: list[HttpVault] = field(default_factory=list)

    @property
    def depositor(self) -> HttpVault:
        """A line of its depositor."""
        made = HttpVault(
            mission=self.world.mission,
            seat=SEAT,
            anchor=self.world.vaults[SEAT].identity.certificate,
            public=self.server.public or ("", 0),
            data=self.server.data,
            identity=self.world.depositor.identity,
            clock=clock.now,
            idle_seconds=20,
        )
        self.clients.append(made)
        return made

    async def lodges(self) -> bool:
        """Whether a whole deposit goes through."""
        record, packs = self.world.deposit()
        if await put(self.depositor, packs) is not None:
            return False
        return (await self.depositor.submit(self.world.signed(record))).state is State.LODGED


@asynccontextmanager
async def hub(folder: Path, limits: Limits | None = None) -> AsyncIterator[tuple[Guest, Guest]]:
    """A has agreed on little, B on enough; both may deposit."""
    first = new_world()
    worlds = {"a": first, "b": new_world(vaults=first.vaults)}
    missions = {
        name: open_mission(
            world,
            engine_at(folder / name),
            agreement_key=world.vaults[SEAT].state.public.key_id,
        )
        for name, world in worlds.items()
    }
    server = VaultServer(
        identity=first.vaults[SEAT].identity,
        missions=list(missions.values()),
        config=VaultConfig(data="127.0.0.1:0", public="127.0.0.1:0", limits=limits or Limits()),
        clock=clock.now,
        mirror=False,
    )
    async with server:
        guests = [
            Guest(world=worlds[name], mission=mission, folder=folder / name, server=server)
            for name, mission in missions.items()
        ]
        for guest, capacity in zip(guests, (ROOM, 2**40), strict=True):
            terms = agreement(guest.world, capacity=capacity)
            await guest.depositor.submit(signed(guest.world, terms))
        try:
            yield guests[0], guests[1]
        finally:
            for client in (client for guest in guests for client in guest.clients):
                await client.close()


def test_one_guest_stores_what_it_agreed_on_and_no_more(tmp_path: Path) -> None:
    """Also with many uploads at once; the other's room is not touched, nor a byte of its folder."""

    async def body() -> None:
        async with hub(tmp_path) as (a, b):
            before = objects(b.folder)
            packs = [a.world.pack(20_000) for _ in range(12)]
            causes = await asyncio.gather(*(put(a.depositor, [pack]) for pack in packs))
            assert set(causes) == {None, "agreement-capacity"}
            assert a.mission.status().shard_bytes <= ROOM
            assert objects(b.folder) == before
            assert await b.lodges()
            assert a.mission.status().shard_bytes <= ROOM

    asyncio.run(body())


def test_one_guests_end_is_not_the_others(tmp_path: Path) -> None:
    """A's agreement is ended by the host, whose key has signed B's as well."""

    async def body() -> None:
        async with hub(tmp_path) as (a, b):
            item = in_effect(a.mission.standing(), SEAT)
            assert item is not None
            assert isinstance(item.value, Agreement)
            end = signed(a.world, terminate(a.world, item.value), (), (1,))
            await a.depositor.submit(end)
            with pytest.raises(VaultRefused) as refused:
                await b.depositor.submit(end)
            assert refused.value.cause == "conflict"
            for guest in (a, b):
                passed(guest.mission, timedelta(days=1))
            assert await put(a.depositor, [a.world.pack()]) == "agreement-terminated"
            assert await b.lodges()

    asyncio.run(body())


def test_one_guests_flood_does_not_take_the_others_turn(tmp_path: Path) -> None:
    """Uploads are counted by identity; refusals are counted in the log of whose they are."""

    async def body() -> None:
        async with hub(tmp_path, Limits(uploads_per_peer=1)) as (a, b):
            flood = [put(a.depositor, [a.world.pack(5_000)]) for _ in range(24)]
            causes, lodged = await asyncio.gather(asyncio.gather(*flood), b.lodges())
            assert lodged
            assert "rate" in causes
            kinds = {entry.type for _, entry in b.mission.log.entries()}
            assert EntryType.REFUSALS not in kinds

    asyncio.run(body())


def test_what_the_operator_and_the_other_guest_see(tmp_path: Path) -> None:
    """Volumes and health, mission by mission; of B's statements nothing under A's name."""

    async def body() -> None:
        async with hub(tmp_path) as (a, b):
            assert await b.lodges()
            shown = {
                guest.world.mission.hex(): canonical_json(
                    {key: str(value) for key, value in _status_json(guest.mission.status()).items()}
                ).decode()
                + "\n".join(_status_lines(guest.mission.status()))
                for guest in (a, b)
            }
            for guest, other in ((a, b), (b, a)):
                text = shown[guest.world.mission.hex()]
                assert not any(word in text for word in PLANTED)
                secret = [other.world.mission.hex()]
                secret += [item.statement.hex() for item in other.mission.status().records]
                secret += list(other.world.officials)
                assert not any(word in text for word in secret)
            line = a.depositor
            record = b.mission.status().records[0].statement
            for question in (line.missing(record), line.statement(record)):
                with pytest.raises(VaultRefused) as refused:
                    await question
                assert refused.value.cause == "not-found"

    asyncio.run(body())
