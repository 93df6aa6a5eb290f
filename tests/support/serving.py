"""A real vault in this process: engine, mission, both listeners on loopback, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from exclave import clock
from exclave.clock import Clock
from exclave.ids import KeyId, Seat
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import Limits, VaultConfig
from exclave.vault.kept.expiry import WitnessTimes
from exclave.vault.kept.storage import ObjectStore
from exclave.vault.line.identity import Identity
from exclave.vault.mission.mission import Mission
from exclave.vault.server.server import VaultServer
from exclave.wiring.local_door import open_door
from tests.support.vault_world import World

SEAT = Seat(1)


def open_mission(
    world: World,
    store: ObjectStore,
    *,
    seat: Seat = SEAT,
    index: str = ":memory:",
    now: Clock = clock.now,
    min_free: int = 0,
    witnesses: WitnessTimes = dict,
    agreement_key: KeyId | None = None,
) -> Mission:
    """The mission at a seat; charter 1 is logged when the store is new."""
    return Mission(
        mission=world.mission,
        seat=seat,
        store=store,
        index_path=index,
        keys=world.vaults[seat].keys,
        clock=now,
        charter=world.envelope.to_bytes(),
        min_free_bytes=min_free,
        agreement_key=agreement_key,
        witness_times=witnesses,
    )


def passed(mission: Mission, span: timedelta) -> None:
    """Let service time pass, as if the vault had served all the while."""
    mission.service._now += int(span.total_seconds() * 1000)


def fellows(now: Clock) -> WitnessTimes:
    """Two honest witnesses besides the vault, whose clocks are `now`."""
    return lambda: {"fellow 2": now(), "fellow 3": now()}


@dataclass(kw_only=True)
class Served:
    world: World
    mission: Mission
    server: VaultServer
    clients: list[HttpVault] = field(default_factory=list)

    def client(self, identity: Identity | None = None, anchor: bytes | None = None) -> HttpVault:
        assert self.server.public is not None
        made = HttpVault(
            mission=self.world.mission,
            seat=self.mission.seat,
            anchor=anchor or self.world.vaults[self.mission.seat].identity.certificate,
            public=self.server.public,
            data=self.server.data if identity is not None else None,
            identity=identity,
            clock=clock.now,
            idle_seconds=20,
        )
        self.clients.append(made)
        return made

    @property
    def depositor(self) -> HttpVault:
        return self.client(self.world.depositor.identity)


@asynccontextmanager
async def serving(
    world: World,
    store: ObjectStore,
    *,
    limits: Limits | None = None,
    min_free: int = 0,
    now: Clock = clock.now,
    agreement_key: KeyId | None = None,
    local: Path | None = None,
) -> AsyncIterator[Served]:
    """A served mission; everything is closed at the end."""
    mission = open_mission(world, store, min_free=min_free, now=now, agreement_key=agreement_key)
    config = VaultConfig(
        data="127.0.0.1:0", public="127.0.0.1:0", limits=limits or Limits(), min_free_bytes=min_free
    )
    with nullcontext() if local is None else open_door(local) as door:
        server = VaultServer(
            identity=world.vaults[SEAT].identity,
            missions=[mission],
            config=config,
            clock=now,
            mirror=False,
            local=door,
        )
        async with server:
            served = Served(world=world, mission=mission, server=server)
            try:
                yield served
            finally:
                for client in served.clients:
                    await client.close()
