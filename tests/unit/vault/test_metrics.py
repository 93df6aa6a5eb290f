"""A vault's figures: what the host's Prometheus reads, and what nobody else does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiohttp
import pytest

from exclave.config import ConfigurationInvalid, parse_toml
from exclave.engine.memory import MemoryEngine
from exclave.errors import ConfigurationError
from exclave.exposition import exposition
from exclave.ids import DepositId
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import VaultConfig
from exclave.vault.interface import VaultRefused
from exclave.vault.line.tls import client_context
from exclave.vault.mission.submission import submit
from exclave.vault.server.metrics import mission_families
from exclave.vault.server.server import VaultServer
from tests.support.figures import Figures, figures, label_names
from tests.support.serving import SEAT, fellows, open_mission, passed
from tests.support.vault_world import SEATS, START, new_world, witnessed


class Hub:
    """One vault of two guests."""

    def __init__(self, metrics: str = "127.0.0.1:0") -> None:
        self.first = new_world()
        self.second = new_world(vaults=self.first.vaults)
        self.missions = [open_mission(world, MemoryEngine()) for world in (self.first, self.second)]
        self.server = VaultServer(
            identity=self.first.vaults[SEAT].identity,
            missions=self.missions,
            config=VaultConfig(data="127.0.0.1:0", public="127.0.0.1:0", metrics=metrics),
            clock=self.missions[0].clock,
            mirror=False,
        )

    async def figures(self, path: str = "/metrics") -> Figures:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.server.metrics}{path}") as answer,
        ):
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return figures(await answer.text())

    def client(self) -> HttpVault:
        """The first guest's depositor."""
        assert self.server.public is not None
        return HttpVault(
            mission=self.first.mission,
            seat=SEAT,
            anchor=self.first.vaults[SEAT].identity.certificate,
            public=self.server.public,
            data=self.server.data,
            identity=self.first.depositor.identity,
            clock=self.missions[0].clock,
            idle_seconds=20,
        )


def on_hub(play: Callable[[Hub], Awaitable[None]]) -> None:
    async def body() -> None:
        hub = Hub()
        async with hub.server:
            await play(hub)

    asyncio.run(body())


def test_requests_are_counted_by_kind_and_outcome() -> None:
    async def play(hub: Hub) -> None:
        record, packs = hub.first.deposit()
        async with hub.client() as client:
            for pack in packs:
                shard = pack.shards[SEAT]
                await client.put_shard(shard.root, [shard.encode()])
            await client.submit(hub.first.signed(record))
            with pytest.raises(VaultRefused):
                await client.get_shard(packs[0].shards[SEAT].root)
        found = await hub.figures()
        counted = found["exclave_vault_requests_total"]
        mission = hub.first.mission.hex()
        assert {
            (dict(labels)["kind"], dict(labels)["outcome"]): number
            for labels, number in counted.items()
        } == {
            ("get status", "ok"): 1,  # which version of the protocol is spoken
            ("put shards", "ok"): 2,
            ("post statements", "ok"): 1,
            ("get shards", "identity"): 1,
        }
        # Which version is spoken is asked of the vault, and counts for no mission.
        assert {dict(labels)["mission"] for labels in counted} == {"", mission}
        assert found["process_resident_memory_bytes"][()] > 2**20
        assert found["exclave_vault_shards"][(("mission", mission),)] == 2

    on_hub(play)


def test_labels_are_missions_and_causes_and_name_nothing_else() -> None:
    """P1, and what no operator needs: neither depositors nor deposits nor titles."""

    async def play(hub: Hub) -> None:
        submit(hub.missions[0], hub.first.signed(hub.first.deposit()[0]))
        found = await hub.figures()
        assert label_names(found) == {"mission", "seat", "state", "version"}
        assert {dict(labels)["mission"] for labels in found["exclave_vault_log_entries"]} == {
            hub.first.mission.hex(),
            hub.second.mission.hex(),
        }
        mine = await hub.figures(f"/metrics/{hub.first.mission.hex()}")
        assert {dict(labels)["mission"] for samples in mine.values() for labels in samples} == {
            hub.first.mission.hex()
        }

    on_hub(play)


def test_no_guest_reads_figures_on_the_vaults_own_listeners() -> None:
    async def play(hub: Hub) -> None:
        anchor = hub.first.vaults[SEAT].identity.certificate
        async with aiohttp.ClientSession() as session:
            for path in ("/metrics", "/v1/metrics", f"/metrics/{hub.second.mission.hex()}"):
                url = f"https://{hub.server.public}{path}"
                async with session.get(url, ssl=client_context(anchor)) as answer:
                    assert answer.status == 404
        requests = (await hub.figures())["exclave_vault_requests_total"]
        assert {dict(labels)["kind"] for labels in requests} == {"unknown unknown"}

    on_hub(play)


def test_a_mission_that_cannot_answer_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(hub: Hub) -> None:
        def broken() -> None:
            raise VaultRefused("its disk is gone", cause="unavailable", status=503)

        monkeypatch.setattr(hub.missions[0], "status", broken)
        up = (await hub.figures())["exclave_vault_mission_up"]
        assert sorted(up.values()) == [0, 1]

    on_hub(play)


def test_health_and_witnesses() -> None:
    world = new_world()
    moments = [START]

    def now() -> object:
        return moments[-1]

    mission = open_mission(world, MemoryEngine(), now=now, witnesses=fellows(now))  # type: ignore[arg-type]
    record, _ = world.deposit()
    submit(mission, world.signed(record))
    again = world.deposit()[0]
    submit(mission, world.signed(again))  # a fork
    key = (("mission", world.mission.hex()),)
    found = figures(exposition(mission_families(mission)))
    assert found["exclave_vault_uncosigned_entries"][key] == 3
    assert "exclave_vault_witness_lag_seconds" not in found
    assert found["exclave_vault_forks"][key] == 1
    assert found["exclave_vault_records"][(*key, ("state", "pending"))] == 1
    witnessed(world, mission, fellows=SEATS[1:], moment=START)
    moments.append(START + timedelta(seconds=90))
    passed(mission, timedelta(hours=30))
    mission.watch()
    found = figures(exposition(mission_families(mission)))
    assert found["exclave_vault_uncosigned_entries"][key] == 2  # that they did, and an alarm
    assert found["exclave_vault_witness_lag_seconds"][key] == 90
    assert {dict(labels)["cause"] for labels in found["exclave_vault_alarm"]} == {"wall-clock-jump"}


SETTINGS = 'data = "127.0.0.1:1"\npublic = "127.0.0.1:2"\n'


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "10.0.0.5:9464", "198.51.100.7:9464"])
def test_an_address_that_others_reach_is_refused(address: str) -> None:
    text = f'{SETTINGS}metrics = "{address}"\n'
    with pytest.raises(ConfigurationInvalid, match=r"metrics: expected a loopback address, got"):
        parse_toml(text.encode(), VaultConfig, name="vault.toml")
    unsafe = parse_toml(f"{text}unsafe_public_metrics = true\n".encode(), VaultConfig, name="x")
    assert unsafe.metrics == address


def test_an_address_in_use_is_named() -> None:
    async def play() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            server = Hub(address).server
            with pytest.raises(ConfigurationError, match=f"listener {address}: cannot be bound"):
                await server.start()
            await server.stop()

    asyncio.run(play())


def test_no_figure_has_an_id_of_a_deposit() -> None:
    """The types say so too, but texts of alarms could hold one."""
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    record, _ = world.deposit()
    submit(mission, world.signed(record))
    text = exposition(mission_families(mission))
    assert isinstance(record.deposit, bytes)
    assert DepositId(record.deposit).hex() not in text
    assert record.depositor not in text.replace("depositors", "")
