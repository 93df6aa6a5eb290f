"""One vault: its keys, its folder, its server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exclave import clock
from exclave.authority.charter_parts import Address as SeatAddress
from exclave.authority.envelope import envelope_for
from exclave.authority.seat_request import SeatRequest, seat_request_payload
from exclave.demo.founding import Host
from exclave.encoding import parse_canonical_json
from exclave.ids import Seat
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import save_key_file
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_vault_key
from exclave.vault.installation.install import create_vault
from exclave.vault.installation.seat_folder import SeatFolder, make_seat
from exclave.vault.line.identity import Identity, new_identity
from exclave.vault.mission.mission import Mission, SeatKeys
from exclave.vault.server.server import VaultServer
from exclave.wiring.seat_files import seat_keys


@dataclass(kw_only=True)
class TestVault:
    """One vault: its keys, its folder and, while it runs, its server."""

    __test__ = False  # not a test class, whatever its name

    host: Host
    folder: Path
    keys: KeyBundle
    identity: Identity
    address: SeatAddress
    guest: str | None = None  # the name of a further seat of an installation that is there
    mission: Mission | None = None
    server: VaultServer | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def seat(self) -> Seat:
        """The seat's number."""
        return Seat(self.host.seat)

    @property
    def seat_keys(self) -> SeatKeys:
        """What the mission needs of the keys."""
        return seat_keys(self.keys)

    @property
    def place(self) -> SeatFolder:
        """Where the seat's own files lie."""
        further = None if self.guest is None else self.folder / "seats" / self.guest
        return SeatFolder(further or self.folder, self.guest)

    def create(self) -> None:
        """Set up the folder as `exclave vault init` or `vault seat` does; its kit says nothing."""
        text = f'data = "{self.address.data}"\npublic = "{self.address.public}"\n'

        def save_keys(folder: Path) -> None:
            save_key_file(folder / "vault.key", self.keys, passphrase=None, random=os.urandom)

        if self.guest is not None:
            make_seat(
                self.folder,
                self.guest,
                identity=self.identity,
                seat_request=self.request(),
                settings=text,
                save_keys=save_keys,
            )
            return
        kit = self.folder.parent / ".kit"
        (kit / "spec").mkdir(parents=True, exist_ok=True)
        (kit / "spec" / "README.md").write_text("a kit for tests\n")
        create_vault(
            self.folder,
            identity=self.identity,
            seat_request=self.request(),
            save_keys=save_keys,
            kit=kit,
        )
        (self.folder / "vault.toml").write_text(text)

    def request(self) -> bytes:
        """The seat request that `found` consumes."""
        log, seat, first, second = self.keys.public
        request = SeatRequest(
            vault=self.host.vault,
            state=self.host.state,
            operator=self.host.operator,
            addresses=() if self.host.safe else (self.address,),
            identity=self.identity.certificate,
            log_key=log,
            seat_key=seat,
            witness_keys=(first, second),
            receiving_state_key=None,
            created=clock.now(),
        )
        payload = parse_canonical_json(seat_request_payload(request))
        assert isinstance(payload, dict)
        return sign_envelope(envelope_for(payload), self.keys.signers[:1]).to_bytes()


def vault_at(folder: Path, seat: int, address: SeatAddress) -> TestVault:
    """A vault that listens there; its folder is made when a mission is founded."""
    made = vault_of(folder, host_of(seat), (0, 0))
    made.address = address
    return made


def seat_beside(vault: TestVault, guest: str, address: SeatAddress) -> TestVault:
    """A further seat of a vault's installation, for another mission."""
    made = vault_of(vault.folder.parent.parent, vault.host, (0, 0))
    made.folder, made.guest, made.address = vault.folder, guest, address
    return made


def host_of(seat: int, *, safe: bool = False) -> Host:
    """Who keeps a seat."""
    return Host(
        seat=seat,
        vault=f"vault-{seat}",
        state=f"X{chr(64 + seat)}",
        operator=f"host {seat}",
        safe=safe,
    )


def vault_of(folder: Path, host: Host, ports: Sequence[int]) -> TestVault:
    """A vault with new keys that listens at these ports; its folder is not made yet."""
    return TestVault(
        host=host,
        folder=folder / "vaults" / host.vault,
        keys=new_vault_key(host.vault, os.urandom),
        identity=new_identity(host.vault, clock.now()),
        address=SeatAddress(data=f"127.0.0.1:{ports[0]}", public=f"127.0.0.1:{ports[1]}"),
    )
