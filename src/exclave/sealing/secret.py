"""The five values that are ever sealed, each with its own info string (spec/sealing.md 2).

A deposit secret, the annex of names and a certificate to the recovery key, an unsealed secret to a
reader's one-time key, and a veil share to its seat's key. The label and the fields in `info`
make a value useless in any other mission, deposit, pack or seat.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from exclave.errors import AuthorityError, MalformedData
from exclave.ids import DepositId, Epoch, MissionId, PackRoot, Seat, StatementHash
from exclave.sealing.hpke import SEALED_OVERHEAD, SealedValueRejected, seal, unseal
from exclave.sealing.recovery import XWingPrivateKey, XWingPublicKey
from exclave.values import dataclass

__all__ = [
    "SEALED_SECRET_SIZE",
    "SECRET_SIZE",
    "DepositContext",
    "RecoveryKeyMismatch",
    "seal_annex",
    "seal_certificate",
    "seal_deposit_secret",
    "seal_for_reader",
    "seal_veil_share",
    "secret_id",
    "unseal_annex",
    "unseal_certificate",
    "unseal_deposit_secret",
    "unseal_for_reader",
    "unseal_veil_share",
]

SECRET_SIZE = 32
SEALED_SECRET_SIZE = SECRET_SIZE + SEALED_OVERHEAD
"""1,168: a deposit secret, an unsealed secret or a veil share, sealed."""

_DEPOSIT_LABEL = b"exclave/1/deposit-secret\x00"
_ANNEX_LABEL = b"exclave/1/annex\x00"
_READER_LABEL = b"exclave/1/unsealed\x00"
_VEIL_LABEL = b"exclave/1/veil-share\x00"
_ATTESTATION_LABEL = b"exclave/1/attestation\x00"


class RecoveryKeyMismatch(AuthorityError):
    """A deposit secret belongs to another recovery key (another epoch) than the one given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositContext:
    """What a deposit secret is bound to."""

    mission: MissionId
    deposit: DepositId
    epoch: Epoch
    key_hash: bytes

    def __post_init__(self) -> None:
        _require_size("mission", self.mission, 32)
        _require_size("deposit", self.deposit, 16)
        _require_size("recovery key hash", self.key_hash, 32)
        if not 1 <= self.epoch < 2**32:
            raise MalformedData(f"epoch: expected 1 to 2^32-1, got {self.epoch}")

    @property
    def info(self) -> bytes:
        """The info string of the deposit secret."""
        epoch = struct.pack(">I", self.epoch)
        return _DEPOSIT_LABEL + self.mission + self.deposit + epoch + self.key_hash


def secret_id(sealed: bytes) -> bytes:
    """Name of a deposit secret: SHA-256 of its sealed form, 32 bytes."""
    return hashlib.sha256(sealed).digest()


def seal_deposit_secret(public: XWingPublicKey, secret: bytes, context: DepositContext) -> bytes:
    """Seal a deposit secret to the recovery key, 1,168 bytes."""
    _require_size("deposit secret", secret, SECRET_SIZE)
    _require_key(public, context.key_hash)
    return seal(public, secret, context.info)


def unseal_deposit_secret(
    private: XWingPrivateKey, sealed: bytes, context: DepositContext
) -> bytes:
    """Open a deposit secret; raises `RecoveryKeyMismatch` or `SealedValueRejected`."""
    _require_key(private.public, context.key_hash)
    return _unseal_secret("deposit secret", private, sealed, context.info)


def seal_for_reader(
    reader: XWingPublicKey, secret: bytes, mission: MissionId, secret_id: bytes
) -> bytes:
    """Seal an unsealed deposit secret to a reader's one-time key, 1,168 bytes."""
    _require_size("deposit secret", secret, SECRET_SIZE)
    return seal(reader, secret, _reader_info(mission, secret_id))


def unseal_for_reader(
    reader: XWingPrivateKey, sealed: bytes, mission: MissionId, secret_id: bytes
) -> bytes:
    """Open what officials sealed to this reader; raises `SealedValueRejected`."""
    return _unseal_secret("unsealed secret", reader, sealed, _reader_info(mission, secret_id))


def seal_veil_share(
    seat_public: XWingPublicKey, share: bytes, mission: MissionId, pack_root: PackRoot, seat: Seat
) -> bytes:
    """Seal a veil share to its seat's key, 1,168 bytes."""
    _require_size("veil share", share, SECRET_SIZE)
    return seal(seat_public, share, _veil_info(mission, pack_root, seat))


def unseal_veil_share(
    seat_private: XWingPrivateKey,
    sealed: bytes,
    mission: MissionId,
    pack_root: PackRoot,
    seat: Seat,
) -> bytes:
    """Open a veil share with its seat's key; raises `SealedValueRejected`."""
    info = _veil_info(mission, pack_root, seat)
    return _unseal_secret("veil share", seat_private, sealed, info)


def seal_annex(public: XWingPublicKey, annex: bytes) -> bytes:
    """Seal the annex of names (canonical JSON, spec/authority.md 7) to the recovery key."""
    return seal(public, annex, _ANNEX_LABEL + public.key_hash)


def unseal_annex(private: XWingPrivateKey, sealed: bytes) -> bytes:
    """Open the annex of names; raises `SealedValueRejected`."""
    return unseal(private, sealed, _ANNEX_LABEL + private.public.key_hash)


def seal_certificate(
    public: XWingPublicKey,
    packed: bytes,
    *,
    mission: MissionId,
    certificate: StatementHash,
    epoch: Epoch,
) -> bytes:
    """Seal a packed certificate to the recovery key (spec/certificates.md 5)."""
    return seal(public, packed, _attestation_info(mission, certificate, epoch))


def unseal_certificate(
    private: XWingPrivateKey,
    sealed: bytes,
    *,
    mission: MissionId,
    certificate: StatementHash,
    epoch: Epoch,
) -> bytes:
    """Open a packed certificate; raises `SealedValueRejected`."""
    return unseal(private, sealed, _attestation_info(mission, certificate, epoch))


def _attestation_info(mission: MissionId, certificate: StatementHash, epoch: Epoch) -> bytes:
    _require_size("mission", mission, 32)
    _require_size("certificate", certificate, 32)
    return _ATTESTATION_LABEL + mission + certificate + struct.pack(">I", epoch)


def _reader_info(mission: MissionId, secret_id: bytes) -> bytes:
    _require_size("mission", mission, 32)
    _require_size("secret id", secret_id, 32)
    return _READER_LABEL + mission + secret_id


def _veil_info(mission: MissionId, pack_root: PackRoot, seat: Seat) -> bytes:
    _require_size("mission", mission, 32)
    _require_size("pack root", pack_root, 32)
    if not 1 <= seat <= 255:
        raise MalformedData(f"seat: expected 1 to 255, got {seat}")
    return _VEIL_LABEL + mission + pack_root + bytes([seat])


def _unseal_secret(subject: str, private: XWingPrivateKey, sealed: bytes, info: bytes) -> bytes:
    if len(sealed) != SEALED_SECRET_SIZE:
        raise SealedValueRejected(
            f"sealed {subject}: expected {SEALED_SECRET_SIZE} bytes, got {len(sealed)}"
        )
    return unseal(private, sealed, info)


def _require_key(public: XWingPublicKey, key_hash: bytes) -> None:
    got = public.key_hash
    if not hmac.compare_digest(got, key_hash):
        raise RecoveryKeyMismatch(
            f"recovery key: expected key hash {key_hash.hex()}, got {got.hex()}",
            hint="the deposit was sealed in another epoch; its shares are another set",
        )


def _require_size(subject: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise MalformedData(f"{subject}: expected {size} bytes, got {len(value)}")
