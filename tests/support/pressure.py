"""Who signs under pressure: orders, charters and three vaults of a small world, for attacks.

    order(world, Lockdown(head=head(world)), 3)        bytes, signed by the fourth official
    async with ring(world, stores) as vaults:          three served vaults that mirror and cosign
        await vaults[1].tell(data)                     handed in at seat 1
        await everywhere(vaults, is_locked)

Officials of `vault_world` by number: 0 to 2 are home (govern, read, alarm, release; 2 of 3), 3
and 4 exile_1, 5 and 6 exile_2 (1 of 2 each).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from exclave import clock
from exclave.authority.charter import Charter, charter_payload
from exclave.authority.charter_parts import Address as SeatAddress
from exclave.authority.charter_parts import Role, RoleName
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.orders import Order, OrderHead, kind_of, order_payload
from exclave.ids import Seat, StatementHash
from exclave.ledger.entry import LogEntry
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import VaultConfig
from exclave.vault.interface import MissionStatus, State
from exclave.vault.kept.storage import ObjectStore
from exclave.vault.line.addresses import parse_address
from exclave.vault.line.identity import Identity
from exclave.vault.mission.mission import Mission
from exclave.vault.server.server import VaultServer
from tests.support.embassy import free_ports
from tests.support.serving import open_mission, passed
from tests.support.vault_world import SEATS, START, World

__all__ = [
    "Post",
    "addresses",
    "everywhere",
    "head",
    "later_charter",
    "order",
    "ring",
    "rosters",
    "until",
]


def head(world: World, **changes: object) -> OrderHead:
    """What every order has."""
    made = OrderHead(
        mission=world.mission,
        charter=world.envelope.statement_hash,
        nonce=os.urandom(16),
        issued=START,
        reason="under pressure",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def order(world: World, value: Order, *people: int) -> Envelope:
    """An order with the signatures of these officials."""
    return world.officials_sign(Envelope(payload=order_payload(value), kind=kind_of(value)), people)


def rosters(
    charter: Charter, name: RoleName, **changes: object
) -> tuple[tuple[RoleName, Role], ...]:
    """A charter's rosters, of which one is another."""
    return tuple(
        (key, replace(role, **changes) if key is name else role)  # type: ignore[arg-type]
        for key, role in charter.rosters
    )


def later_charter(
    world: World,
    before: Charter,
    people: Sequence[int],
    *,
    era: int | None = None,
    **changes: object,
) -> tuple[Charter, Envelope]:
    """The next version after a charter, or with `era` the first of that era; signed."""
    opens = era is not None
    charter = replace(
        before,
        mission=world.mission,
        era=era if era is not None else before.era,
        version=1 if opens else before.version + 1,
        previous=StatementHash(before.statement_hash),
        **changes,  # type: ignore[arg-type]
    )
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    return charter, world.officials_sign(envelope, people)


def addresses() -> dict[Seat, SeatAddress]:
    """Free loopback addresses for three vaults: for `new_world`."""
    ports = free_ports(2 * len(SEATS))
    return {
        seat: SeatAddress(
            data=f"127.0.0.1:{ports[2 * place]}", public=f"127.0.0.1:{ports[2 * place + 1]}"
        )
        for place, seat in enumerate(SEATS)
    }


@dataclass(kw_only=True)
class Post:
    """One vault of a ring: its folder, and its server while that runs."""

    world: World
    seat: Seat
    store: ObjectStore
    index: str = ":memory:"
    mirror: bool = True
    mission: Mission | None = None
    server: VaultServer | None = None
    clients: list[HttpVault] = field(default_factory=list)

    async def start(self) -> None:
        """Open the mission from its objects and serve it."""
        entry = self.world.charter.seat(self.seat).addresses[0]
        self.mission = open_mission(self.world, self.store, seat=self.seat, index=self.index)
        self.server = VaultServer(
            identity=self.world.vaults[self.seat].identity,
            missions=[self.mission],
            config=VaultConfig(data=entry.data, public=entry.public),
            clock=clock.now,
            mirror=self.mirror,
        )
        await self.server.start()

    async def stop(self) -> None:
        """Close clients and server; the objects stay."""
        for client in self.clients:
            await client.close()
        self.clients.clear()
        if self.server is not None:
            await self.server.stop()
        self.server = self.mission = None

    def client(self, identity: Identity | None = None) -> HttpVault:
        """A client of this vault."""
        entry = self.world.charter.seat(self.seat).addresses[0]
        made = HttpVault(
            mission=self.world.mission,
            seat=self.seat,
            anchor=self.world.vaults[self.seat].identity.certificate,
            public=parse_address(entry.public),
            data=None if identity is None else parse_address(entry.data),
            identity=identity,
            clock=clock.now,
            idle_seconds=20,
        )
        self.clients.append(made)
        return made

    @property
    def here(self) -> Mission:
        """The mission, while it is open."""
        assert self.mission is not None
        return self.mission

    async def tell(self, envelope: Envelope) -> State:
        """Hand a statement in over the line."""
        return (await self.client().submit(envelope.to_bytes())).state

    async def state(self, statement: StatementHash) -> State:
        """Where a statement stands, over the line."""
        return (await self.client().statement(statement)).state

    async def status(self) -> MissionStatus:
        """The mission's status, over the line."""
        return await self.client().status()

    def pass_time(self, seconds: float) -> None:
        """Let service time pass, as if the vault had served all the while."""
        with self.here.lock:
            passed(self.here, timedelta(seconds=seconds))

    def entries(self) -> list[tuple[int, LogEntry]]:
        """The log as it stands."""
        with self.here.lock:
            return list(self.here.log.entries())


@asynccontextmanager
async def ring(
    world: World,
    stores: Mapping[Seat, ObjectStore],
    *,
    mirror: bool = True,
    started: Sequence[Seat] = SEATS,
) -> AsyncIterator[dict[Seat, Post]]:
    """Three vaults on loopback; `world` was made with `addresses`."""
    posts = {
        seat: Post(world=world, seat=seat, store=stores[seat], mirror=mirror) for seat in SEATS
    }
    try:
        for seat in started:
            await posts[seat].start()
        yield posts
    finally:
        for post in posts.values():
            await post.stop()


async def until(what: Callable[[], bool], why: str) -> None:
    """Wait until something is so."""
    for _ in range(600):
        if what():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within thirty seconds: {why}")


async def everywhere(posts: Mapping[Seat, Post], what: Callable[[Mission], bool], why: str) -> None:
    """Wait until something is so at every vault that runs."""

    def all_say_so() -> bool:
        for post in posts.values():
            if post.mission is not None:
                with post.mission.lock:
                    if not what(post.mission):
                        return False
        return True

    await until(all_say_so, why)
