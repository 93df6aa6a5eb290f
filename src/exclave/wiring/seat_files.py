"""What stands in the folder of a seat, read: its keys, its request, its addresses.

Keys never leave `keys/`; `vault.toml` has the first seat's addresses, `seat.toml` a further one's.
"""

from __future__ import annotations

from exclave.authority.charter import parse_charter
from exclave.authority.enrolment import parse_enrolment
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.keys import ED25519
from exclave.authority.seat_request import SeatRequest, parse_seat_request
from exclave.config import load_toml
from exclave.errors import ConfigurationError
from exclave.ids import KeyId
from exclave.ledger.cosignature import CosigningKey
from exclave.ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44
from exclave.signer.bundle import KeyBundle, PrivateKey
from exclave.signer.file import load_key_file
from exclave.vault.installation.config import SeatConfig, VaultConfig
from exclave.vault.installation.install import VaultFolder
from exclave.vault.installation.seat_folder import SeatFolder
from exclave.vault.mission.mission import SeatKeys
from exclave.wiring.files import read_file

__all__ = [
    "KEYS",
    "SETTINGS",
    "StateKeyMissing",
    "keys_of",
    "log_and_seat",
    "named_state_key",
    "request_of",
    "seat_config",
    "seat_keys",
    "seat_named",
    "vault_config",
]

KEYS = "vault.key"
SETTINGS = "vault.toml"
_COSIGNING = (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)


class StateKeyMissing(ConfigurationError):
    """A vault that asks for agreements has no receiving state's key."""


def vault_config(folder: VaultFolder) -> VaultConfig:
    return load_toml(folder.path / SETTINGS, VaultConfig)


def seat_config(seat: SeatFolder, config: VaultConfig) -> SeatConfig:
    """Where a seat listens."""
    if seat.name is not None:
        return load_toml(seat.settings, SeatConfig)
    return SeatConfig(
        unsafe_public_bind=config.unsafe_public_bind, data=config.data, public=config.public
    )


def seat_named(folder: VaultFolder, enrolment: bytes) -> SeatFolder:
    """The seat whose identity the enrolment's charters name; the first where none is."""
    found = parse_enrolment(parse_envelope(enrolment, kinds=[Kind.ENROLMENT]))
    charters = [found.charter, *(one for one in found.history if one.kind is Kind.CHARTER)]
    named = {
        entry.identity
        for charter in map(parse_charter, charters)
        for entry in charter.seats
        if entry.seat == found.seat
    }
    for seat in folder.seats:
        if seat.identity().certificate in named:
            return seat
    return folder.first  # refused there, with what was expected


def request_of(seat: SeatFolder) -> SeatRequest:
    return parse_seat_request(parse_envelope(read_file(seat.request), kinds=[Kind.SEAT_REQUEST]))


def named_state_key(seat: SeatFolder) -> KeyId:
    request = request_of(seat)
    if request.receiving_state_key is None:
        raise StateKeyMissing(
            f"{SETTINGS}: require_agreement: expected a seat request with the receiving state's "
            "key, got one without",
            hint="set require_agreement = false, or set the vault up with --state-key",
        )
    return request.receiving_state_key.key_id


def keys_of(seat: SeatFolder) -> KeyBundle:
    return load_key_file(seat.keys / KEYS)


def log_and_seat(keys: KeyBundle) -> tuple[PrivateKey, PrivateKey]:
    # In the order of `new_vault_key`.
    log, seat = keys.keys[:2]
    if log.alg != ED25519:
        raise ConfigurationError(f"keys of {keys.id}: expected a vault's, got a {keys.purpose}'s")
    return log, seat


def seat_keys(keys: KeyBundle) -> SeatKeys:
    """What a mission needs of a vault's keys."""
    log, seat = log_and_seat(keys)
    # In the order of `new_vault_key`, as in the seat request.
    first, second = (
        CosigningKey(key_type=kind, public_key=key.key.raw, sign=key.sign)
        for kind, key in zip(_COSIGNING, keys.keys[2:4], strict=True)
    )
    return SeatKeys(
        log_public=log.key.raw,
        sign=log.sign,
        cosigning=(first, second),
        seat_private=seat.xwing,
    )
