"""Making a vault and its further seats: keys, folders, settings, signed seat requests.

Everything is refused before anything is made, and made once. Private keys are written for their own
account only and never leave their folder.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from exclave.authority.charter_parts import Address
from exclave.authority.envelope import envelope_for
from exclave.authority.keys import TypedKey
from exclave.authority.seat_request import SeatRequest, seat_request_payload
from exclave.clock import now
from exclave.config import parse_toml
from exclave.durable import replace_file
from exclave.encoding import parse_canonical_json
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import save_key_file, write_once
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_vault_key
from exclave.values import dataclass
from exclave.vault.installation.config import SeatConfig, VaultConfig
from exclave.vault.installation.install import VaultFolder, add_seat, create_vault, find_kit
from exclave.vault.installation.seat_folder import SeatExists, SeatFolder
from exclave.vault.line.identity import Identity, new_identity
from exclave.wiring.seat_files import KEYS, SETTINGS, request_of, seat_config, vault_config

__all__ = ["NewVault", "add_seat_to_vault", "init_vault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVault:
    """A vault that was set up."""

    seat_request: Path
    identity_hash: bytes
    log_key: TypedKey


def init_vault(
    path: Path,
    *,
    vault: str,
    state: str,
    operator: str,
    data: str,
    public: str,
    state_key: Path | None = None,
) -> NewVault:
    """Make keys, folder, `vault.toml` and the signed seat request.

    With `state_key`, the receiving state's public keys file, the request names its key, which signs
    it later, and missions enrolled here deposit under an agreement only.
    """
    from exclave.found.terms import read_state_key

    receiving = None if state_key is None else read_state_key(state_key)
    asks = "true" if receiving else "false"
    text = f'data = "{data}"\npublic = "{public}"\nrequire_agreement = {asks}\n'
    # Refused before anything is made: addresses that a vault may not have.
    parse_toml(text.encode(), VaultConfig, name=SETTINGS)
    made = _new_seat(vault, state, operator, Address(data=data, public=public), receiving)
    create_vault(
        path,
        identity=made.identity,
        seat_request=made.request,
        save_keys=made.save_keys,
        kit=find_kit(),
    )
    write_once(path / SETTINGS, text.encode())
    return made.exported(path / "seat-request.json")


def add_seat_to_vault(path: Path, name: str, *, data: str, public: str) -> NewVault:
    """Make one more seat, for another guest, with keys and addresses of its own.

    Vault, state, operator and the receiving state's key are those of the first seat.
    """
    folder = VaultFolder.open(path)
    config = vault_config(folder)
    text = f'data = "{data}"\npublic = "{public}"\n'
    if config.unsafe_public_bind:
        text = f"unsafe_public_bind = true\n{text}"
    wanted = parse_toml(text.encode(), SeatConfig, name="seat.toml")
    first = request_of(folder.first)
    # A running server need not stop: it takes the seat up when it has a mission and starts again.
    for seat in folder.seats:
        _require_apart(wanted, seat_config(seat, config), seat)
    made = _new_seat(
        first.vault,
        first.state,
        first.operator,
        Address(data=data, public=public),
        first.receiving_state_key,
    )
    seat = add_seat(
        folder,
        name,
        identity=made.identity,
        seat_request=made.request,
        settings=text,
        save_keys=made.save_keys,
        replace=lambda file, data: replace_file(file, [data]),
    )
    return made.exported(seat.request)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewSeat:
    """Keys that were made, and the request that names them."""

    keys: KeyBundle
    identity: Identity
    request: bytes

    def save_keys(self, folder: Path) -> None:
        save_key_file(folder / KEYS, self.keys, passphrase=None, random=os.urandom)

    def exported(self, request: Path) -> NewVault:
        return NewVault(
            seat_request=request,
            identity_hash=hashlib.sha256(self.identity.certificate).digest(),
            log_key=self.keys.keys[0].key,
        )


def _new_seat(
    vault: str, state: str, operator: str, address: Address, receiving: TypedKey | None
) -> _NewSeat:
    keys, identity = new_vault_key(vault, os.urandom), new_identity(vault, now())
    log, seat, first, second = keys.keys
    request = SeatRequest(
        vault=vault,
        state=state,
        operator=operator,
        addresses=(address,),
        identity=identity.certificate,
        log_key=log.key,
        seat_key=seat.key,
        witness_keys=(first.key, second.key),
        receiving_state_key=receiving,
        created=now().replace(microsecond=0),
    )
    payload = parse_canonical_json(seat_request_payload(request))
    assert isinstance(payload, dict)
    envelope = sign_envelope(envelope_for(payload), [log])
    return _NewSeat(keys=keys, identity=identity, request=envelope.to_bytes())


def _require_apart(wanted: SeatConfig, other: SeatConfig, seat: SeatFolder) -> None:
    shared = {wanted.data, wanted.public} & {other.data, other.public}
    if shared:
        raise SeatExists(
            f"address {min(shared)}: {seat.label} has it already",
            hint="each seat has addresses of its own, inside the line of its own guest",
        )
