"""A founded mission and the vaults that serve it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exclave import clock
from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope
from exclave.engine.file import FileEngine
from exclave.ids import MissionId, Seat
from exclave.lines import LoopThread
from exclave.signer.bundle import KeyBundle
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import VaultConfig
from exclave.vault.installation.install import VaultFolder, enrol, open_missions
from exclave.vault.line.addresses import Address
from exclave.vault.line.identity import Identity
from exclave.vault.server.server import VaultServer
from tests.support.embassy.processes import free_ports, serve_process
from tests.support.embassy.registers import AnyRegister
from tests.support.embassy.vault import TestVault, host_of, vault_of


@dataclass(kw_only=True)
class Served:
    """A mission: who takes part in it, where their files lie, its vaults' servers."""

    folder: Path
    charter: Charter
    envelope: Envelope
    officials: Mapping[str, KeyBundle]  # by label
    vaults: dict[Seat, TestVault]
    depositor: KeyBundle
    depositor_identity: Identity
    delay: int
    processes: bool
    registers: list[AnyRegister] = field(default_factory=list)
    servers: LoopThread = field(default_factory=LoopThread)
    loop: LoopThread = field(default_factory=LoopThread)
    clients: list[HttpVault] = field(default_factory=list)

    @property
    def mission(self) -> MissionId:
        """The mission's id."""
        return self.charter.mission_id

    @property
    def home(self) -> Path:
        """The depositing machine's folder."""
        return self.folder / "home"

    def vault_folder(self, seat: int) -> Path:
        """A vault's folder."""
        return self.vaults[Seat(seat)].folder

    def mission_folder(self, seat: int) -> Path:
        """The mission's folder at a vault (spec/vault-folder.md)."""
        return self.vault_folder(seat) / "missions" / self.mission.hex()

    def new_vault(self, seat: int) -> Path:
        """Set up a vault for a seat that a later charter will have; its seat request."""
        vault = vault_of(self.folder, host_of(seat), free_ports(2))
        vault.create()
        self.vaults[vault.seat] = vault
        return vault.folder / "seat-request.json"

    def enrol_vault(self, seat: int, enrolment: Path) -> None:
        """Pin the mission there, as `exclave vault enrol` does."""
        vault = self.vaults[Seat(seat)]
        log, seat_key = vault.keys.public[:2]
        data = enrolment.read_bytes()
        enrol(VaultFolder.open(vault.folder), data, log_key=log, seat_key=seat_key)

    def start_vault(self, seat: int) -> None:
        """Serve a vault's folder; again after `stop_vault`."""
        vault = self.vaults[Seat(seat)]
        if self.processes:
            vault.process = serve_process(vault.folder)
            return
        (vault.mission,) = open_missions(
            VaultFolder.open(vault.folder), engine=FileEngine, keys=vault.seat_keys, clock=clock.now
        )
        vault.server = VaultServer(
            identity=vault.identity,
            missions=[vault.mission],
            config=VaultConfig(data=vault.address.data, public=vault.address.public),
            clock=clock.now,
        )
        self.servers.run(vault.server.start())

    def stop_vault(self, seat: int) -> None:
        """Stop a vault's server; nothing if it does not run."""
        vault = self.vaults[Seat(seat)]
        if vault.server is not None:
            self.servers.run(vault.server.stop())
        if vault.process is not None:
            vault.process.terminate()
            vault.process.communicate(timeout=20)
        vault.server = vault.mission = vault.process = None

    def kill_vault(self, seat: int) -> None:
        """End a vault's process with kill -9; only with `processes`. Its folder stays."""
        vault = self.vaults[Seat(seat)]
        assert vault.process is not None
        vault.process.kill()
        vault.process.communicate()
        vault.process = None

    def lose_vault(self, seat: int) -> None:
        """A receiving state is lost: server and disk."""
        self.stop_vault(seat)
        shutil.rmtree(self.vault_folder(seat))

    def client(self, seat: int, identity: Identity | None = None) -> HttpVault:
        """A client of a vault; without identity for the public record only."""
        vault = self.vaults[Seat(seat)]
        made = HttpVault(
            mission=self.mission,
            seat=vault.seat,
            anchor=vault.identity.certificate,
            public=address_of(vault.address.public),
            data=None if identity is None else address_of(vault.address.data),
            identity=identity,
            clock=clock.now,
        )
        self.clients.append(made)
        return made

    def running(self) -> tuple[Seat, ...]:
        """Seats whose server runs."""
        return tuple(seat for seat, vault in self.vaults.items() if vault.server or vault.process)

    def close(self) -> None:
        """Stop everything."""
        for client in self.clients:
            self.loop.run(client.close())
        self.clients.clear()
        for seat in self.vaults:
            self.stop_vault(seat)
        self.loop.close()
        self.servers.close()


def address_of(text: str) -> Address:
    """An address of a charter as the client takes it."""
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port))
