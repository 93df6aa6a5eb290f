"""Three vaults set up from nothing as an operator would: enrolment, mirroring, orderly restart."""

from __future__ import annotations

import asyncio
import socket
import stat
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from exclave import clock
from exclave.authority.charter import charter_payload
from exclave.authority.charter_parts import Address as SeatAddress
from exclave.authority.enrolment import Enrolment, SeatKeysForeign, enrolment_envelope
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import X_WING, TypedKey
from exclave.engine.file import FileEngine
from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import Seat
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import VaultConfig
from exclave.vault.installation.install import (
    VaultExists,
    VaultFolder,
    VaultMissing,
    create_vault,
    enrol,
    find_kit,
    open_missions,
)
from exclave.vault.interface import State
from exclave.vault.kept.storage import ENROLMENT
from exclave.vault.line.addresses import parse_address
from exclave.vault.mission.mission import Mission
from exclave.vault.server.server import VaultServer
from exclave.vault.survey.survey import survey
from tests.support.vault_world import SEATS, World, new_world


def make_vault(world: World, seat: Seat, path: Path) -> VaultFolder:
    kit = path.parent / "kit"
    (kit / "spec").mkdir(parents=True, exist_ok=True)
    (kit / "spec" / "page.md").write_text("words", encoding="utf-8")

    def save_keys(folder: Path) -> None:
        (folder / "vault.key").write_bytes(b"k")

    return create_vault(
        path,
        identity=world.vaults[seat].identity,
        seat_request=b"{}",
        save_keys=save_keys,
        kit=kit,
    )


def enrolment(world: World, seat: Seat) -> bytes:
    return enrolment_envelope(
        Enrolment(mission=world.mission, seat=seat, vault=f"vault-{seat}", charter=world.envelope)
    ).to_bytes()


def enrolled(world: World, seat: Seat, path: Path) -> VaultFolder:
    folder = make_vault(world, seat, path)
    party = world.vaults[seat]
    seat_key = TypedKey(X_WING, party.seat_private.public.raw)
    for _ in range(2):  # again is no harm
        enrol(folder, enrolment(world, seat), log_key=party.log.public, seat_key=seat_key)
    return VaultFolder.open(path)


def server_of(world: World, seat: Seat, folder: VaultFolder, address: SeatAddress) -> VaultServer:
    missions = open_missions(
        folder, engine=FileEngine, keys=world.vaults[seat].keys, clock=clock.now
    )
    config = VaultConfig(data=address.data, public=address.public)
    return VaultServer(
        identity=folder.identity(), missions=missions, config=config, clock=clock.now
    )


def test_statements_reach_all_fellows_and_outlive_a_restart(tmp_path: Path) -> None:
    # Ports are needed before the charter is made; these are asked of the system.
    ports = free_ports(6)
    addresses = {
        seat: SeatAddress(data=f"127.0.0.1:{ports.pop()}", public=f"127.0.0.1:{ports.pop()}")
        for seat in SEATS
    }
    world = new_world(addresses=addresses)
    folders = {seat: enrolled(world, seat, tmp_path / f"vault-{seat}") for seat in SEATS}
    record, _ = world.deposit()

    def client(seat: Seat) -> HttpVault:
        return HttpVault(
            mission=world.mission,
            seat=seat,
            anchor=world.vaults[seat].identity.certificate,
            public=parse_address(addresses[seat].public),
            clock=clock.now,
        )

    async def until_known(vault: HttpVault) -> None:
        while not (await vault.status()).records:
            await asyncio.sleep(0.05)

    async def body() -> None:
        async with AsyncExitStack() as stack:
            clients = {seat: await stack.enter_async_context(client(seat)) for seat in SEATS}
            for seat in SEATS[:2]:
                await stack.enter_async_context(
                    server_of(world, seat, folders[seat], addresses[seat])
                )
            await clients[Seat(1)].submit(world.signed(record))
            await until_known(clients[Seat(2)])
            # The third was down: it gets what it missed.
            await stack.enter_async_context(
                server_of(world, SEATS[2], folders[SEATS[2]], addresses[SEATS[2]])
            )
            await until_known(clients[Seat(3)])
            view = await survey(list(clients.values()), world.mission)
            assert view.problems == ()
            assert view.deposits[0].mirrored == SEATS
        restarted = server_of(world, SEATS[0], folders[SEATS[0]], addresses[SEATS[0]])
        async with restarted, client(SEATS[0]) as again:
            assert (await again.statement(record.statement_hash)).state is State.PENDING

    asyncio.run(asyncio.wait_for(body(), 60))


def test_a_mission_that_cannot_be_opened_keeps_no_other_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, path = new_world(), tmp_path / "vault-1"
    folder, party = enrolled(world, SEATS[0], path), world.vaults[SEATS[0]]
    other = replace(new_world(), vaults=world.vaults)
    charter = replace(world.charter, notice="another mission", state_name="Elsewhere")
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    other = replace(other, charter=charter, envelope=world.officials_sign(envelope, (0, 1)))
    # As earlier versions enrolled several missions at one seat.
    folder.mission(other.mission).mkdir()
    (folder.mission(other.mission) / ENROLMENT).write_bytes(enrolment(other, SEATS[0]))

    def opened() -> list[Mission]:
        return open_missions(folder, engine=FileEngine, keys=party.keys, clock=clock.now)

    assert len(opened()) == 2
    (folder.mission(other.mission) / "log" / "checkpoint").write_bytes(b"torn")
    assert [mission.mission for mission in opened()] == [world.mission]
    assert other.mission.hex() in caplog.text
    (folder.mission(world.mission) / "log" / "checkpoint").write_bytes(b"torn")
    with pytest.raises(ExclaveError):
        opened()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def test_a_vault_is_made_once_and_keeps_its_keys_to_itself(tmp_path: Path) -> None:
    world, path = new_world(), tmp_path / "vault-1"
    with pytest.raises(VaultMissing):
        VaultFolder.open(path)
    folder = make_vault(world, SEATS[0], path)
    assert stat.S_IMODE(folder.keys.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.keys / "identity.pem").stat().st_mode) == 0o600
    assert (path / "KIT" / "spec" / "page.md").is_file()
    with pytest.raises(VaultExists):
        make_vault(world, SEATS[0], path)
    assert (find_kit() / "spec").is_dir()


def test_an_enrolment_for_other_keys_or_another_charter_is_refused(tmp_path: Path) -> None:
    world, other = new_world(), new_world()
    folder = enrolled(world, SEATS[0], tmp_path / "vault-1")
    party = world.vaults[SEATS[0]]
    seat_key = TypedKey(X_WING, party.seat_private.public.raw)
    for data in (enrolment(other, SEATS[0]), enrolment(world, SEATS[1])):
        with pytest.raises(SeatKeysForeign):
            enrol(folder, data, log_key=party.log.public, seat_key=seat_key)
    signed_more = world.officials_sign(world.envelope, (0, 1, 2))
    again = enrolment_envelope(
        Enrolment(mission=world.mission, seat=SEATS[0], vault="vault-1", charter=signed_more)
    ).to_bytes()
    with pytest.raises(ConfigurationError, match="already"):
        enrol(folder, again, log_key=party.log.public, seat_key=seat_key)
