"""Programs of two neighbouring versions work together; others say which they are.

An older program is played by a server or client that speaks as it would: protocol 1 alone, with
the status of protocol 1, frozen below as it was sent. A later one speaks versions that nobody
knows yet.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from exclave import clock
from exclave.authority.agreement import WitnessDuties
from exclave.authority.charter_parts import Address as SeatAddress
from exclave.engine.memory import MemoryEngine
from exclave.errors import ExclaveError, MalformedData
from exclave.ids import Seat
from exclave.vault.client.asked import Asked, ask_answer
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import VaultConfig
from exclave.vault.interface import State, VaultRefused
from exclave.vault.line.addresses import Address, parse_address
from exclave.vault.line.protocol import (
    PROTOCOLS,
    SOFTWARE,
    ProtocolsApart,
    Spoken,
    choose_protocol,
    read_spoken,
)
from exclave.vault.line.wire import read_status, write_status
from exclave.vault.server.server import VaultServer
from tests.support.agreements import agreement, signed
from tests.support.embassy import free_ports
from tests.support.serving import SEAT, open_mission
from tests.support.vault_world import SEATS, World, new_world

STATUS_1 = (
    b'{"alarms":[{"began":"2026-01-02T03:04:05Z","cause":"clock-ahead","detail":"by 400 s"}],'
    b'"charter":"' + b"11" * 32 + b'","charters":1,"conflicts":[],"expiry":"2026-01-02T03:04:05Z",'
    b'"forks":[],"free_bytes":9,"frozen":false,"locked":false,"log_size":4,"mission":"'
    + b"22" * 32 + b'","quarantined":[],"quota_bytes":7,"records":[],"seat":1,"service":1000,'
    b'"shard_bytes":8192,"shards":2,"staged_bytes":0,"standing":[],"state":"XA","warrants":[]}'
)  # fmt: skip
"""What a vault of protocol 1 sent; never to be changed."""


def server_of(
    world: World,
    protocols: tuple[int, ...],
    *,
    seat: Seat = SEAT,
    address: SeatAddress | None = None,
    mirror: bool = False,
) -> VaultServer:
    """A vault that speaks these."""
    return VaultServer(
        identity=world.vaults[seat].identity,
        missions=[open_mission(world, MemoryEngine(), seat=seat)],
        config=VaultConfig(
            data=address.data if address else "127.0.0.1:0",
            public=address.public if address else "127.0.0.1:0",
        ),
        clock=clock.now,
        mirror=mirror,
        protocols=protocols,
    )


def client_of(
    world: World, public: Address | None, data: Address | None = None, *,
    protocols: tuple[int, ...] = PROTOCOLS, seat: Seat = SEAT,
) -> HttpVault:  # fmt: skip
    """A depositor's line."""
    assert public is not None
    return HttpVault(
        mission=world.mission,
        seat=seat,
        anchor=world.vaults[seat].identity.certificate,
        public=public,
        data=data,
        identity=world.depositor.identity,
        clock=clock.now,
        idle_seconds=20,
        protocols=protocols,
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "chosen"),
    [((1, 2), (1, 2), 2), ((1,), (1, 2), 1), ((2, 3), (1, 2), 2), ((0, 1), (1, 2), 1)],
)
def test_the_highest_that_both_speak(
    theirs: tuple[int, ...], ours: tuple[int, ...], chosen: int
) -> None:
    assert choose_protocol(Spoken(protocols=theirs, software="x"), ours=ours, party="v") == chosen


@pytest.mark.parametrize(
    ("theirs", "behind"), [((3, 4), "this program is more"), ((0,), "the vault is more")]
)
def test_more_than_one_version_apart(theirs: tuple[int, ...], behind: str) -> None:
    """Both are named, with their programs, and who has to be upgraded."""
    spoken = Spoken(protocols=theirs, software="exclave 9.8")
    with pytest.raises(ProtocolsApart) as refused:
        choose_protocol(spoken, ours=(1, 2), party="seat 3")
    text = " or ".join(map(str, theirs))
    assert refused.value.message == (
        f"seat 3: expected protocol 1 or 2 ({SOFTWARE}), got {text} (exclave 9.8)"
    )
    assert behind in str(refused.value.hint)
    assert "one version at a time" in str(refused.value.hint)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"protocol":[],"software":"x"}', b'{"protocol":[true],"software":"x"}',
     b'{"protocol":[1]}', b'{"protocol":["1"],"software":"x"}',
     b'{"protocol":[1],"software":"x\\n"}'],
)  # fmt: skip
def test_an_answer_that_names_no_version(data: bytes) -> None:
    with pytest.raises(ExclaveError):
        read_spoken(data)


def test_what_later_versions_add_is_passed_over() -> None:
    data = b'{"later":{},"protocol":[2,3],"software":"exclave 2"}'
    assert read_spoken(data).protocols == (2, 3)


def test_a_status_of_the_version_before() -> None:
    """Read as it was sent; what was added since is not in it, and not written into it."""
    status = read_status(STATUS_1, 1)
    assert (status.capacity_bytes, status.ailing) == (None, ("clock-ahead",))
    assert write_status(status, 1) == STATUS_1
    with pytest.raises(MalformedData, match="capacity_bytes"):
        read_status(STATUS_1, 2)
    later = STATUS_1.replace(b"clock-ahead", b"witness-duty")
    with pytest.raises(MalformedData, match="causes of protocol 1"):
        read_status(later, 1)
    liar = write_status(status, 2).replace(b'"healthy":false', b'"healthy":true')
    with pytest.raises(MalformedData, match="expected what its alarms say"):
        read_status(liar, 2)


@pytest.mark.parametrize(
    ("server", "client"), [((1,), PROTOCOLS), (PROTOCOLS, (1,)), ((2, 3), PROTOCOLS)]
)
def test_neighbours_deposit_and_read_alike(
    server: tuple[int, ...], client: tuple[int, ...]
) -> None:
    """An older vault, an older depositor, a later vault: all verbs of a deposit."""

    async def body() -> None:
        world = new_world()
        async with (
            server_of(world, server) as vault,
            client_of(world, vault.public, vault.data, protocols=client) as line,
        ):
            terms = agreement(world, capacity=2**30, witness=WitnessDuties(seats=(), freshness=60))
            await line.submit(signed(world, terms))
            record, packs = world.deposit()
            for pack in packs:
                shard = pack.shards[SEAT]
                assert await line.put_shard(shard.root, [shard.prefix(), shard.body])
            assert (await line.submit(world.signed(record))).state is State.LODGED
            assert await line.missing(record.statement_hash) == ()
            status = await line.status()
            assert len(status.records) == 1
            assert status.capacity_bytes == (2**30 if 2 in server and 2 in client else None)
            assert await line.checkpoint()

    asyncio.run(body())


def test_a_vault_that_is_too_far_away_is_asked_nothing_else() -> None:
    async def body() -> None:
        world = new_world()
        async with server_of(world, (3, 4)) as vault:
            assert vault.public is not None
            async with client_of(world, vault.public, vault.data) as line:
                record, _ = world.deposit()
                for question in (line.status(), line.submit(world.signed(record))):
                    with pytest.raises(ProtocolsApart, match="got 3 or 4"):
                        await question
                own = world.vaults[SEAT].identity.certificate
                asked = Asked(seat=SEAT, public=vault.public, anchor=own)
                with pytest.raises(ProtocolsApart, match="seat 1: expected protocol 1 or 2"):
                    await asyncio.to_thread(ask_answer, world.mission, asked, seconds=20)

    asyncio.run(body())


def test_a_path_of_a_version_that_is_not_spoken() -> None:
    """Named as that, and not as something that is not there; a vault upgraded meanwhile says so."""

    async def body() -> None:
        world = new_world()
        async with (
            server_of(world, (2, 3)) as vault,
            client_of(world, vault.public) as line,
        ):
            line._protocol = 1  # as it was agreed before the vault was upgraded
            with pytest.raises(VaultRefused) as refused:
                await line.status()
            assert refused.value.cause == "unknown-version"
            assert "expected protocol 2 or 3" in refused.value.message
            assert (await line.status()).seat == SEAT, "asked anew by the next request"
            assert line._protocol == 2

    asyncio.run(body())


def test_vaults_are_upgraded_one_at_a_time() -> None:
    """Three vaults, first all of version 1; after each upgrade a record still reaches them all."""
    ports = free_ports(6)
    addresses = {
        seat: SeatAddress(data=f"127.0.0.1:{ports.pop()}", public=f"127.0.0.1:{ports.pop()}")
        for seat in SEATS
    }
    world = new_world(addresses=addresses)

    async def known(line: HttpVault, count: int) -> None:
        while len((await line.status()).records) < count:
            await asyncio.sleep(0.02)

    async def body() -> None:
        async with AsyncExitStack() as stack:
            servers = {
                seat: server_of(world, (1,), seat=seat, address=addresses[seat], mirror=True)
                for seat in SEATS
            }
            stores = {seat: server._hosted()[0].mission.store for seat, server in servers.items()}
            for server in servers.values():
                await server.start()
            lines = [
                await stack.enter_async_context(
                    client_of(world, parse_address(addresses[seat].public), seat=seat)
                )
                for seat in SEATS
            ]
            for count, seat in enumerate([None, *SEATS], start=1):
                if seat is not None:
                    await servers[seat].stop()
                    servers[seat] = VaultServer(
                        identity=world.vaults[seat].identity,
                        missions=[open_mission(world, stores[seat], seat=seat)],
                        config=VaultConfig(
                            data=addresses[seat].data, public=addresses[seat].public
                        ),
                        clock=clock.now,
                    )
                    await servers[seat].start()
                record, _ = world.deposit()
                await lines[count % 3].submit(world.signed(record))
                await asyncio.gather(*(known(line, count) for line in lines))
            for server in servers.values():
                await server.stop()

    asyncio.run(asyncio.wait_for(body(), 60))
