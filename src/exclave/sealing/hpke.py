"""One-message HPKE to an X-Wing key (spec/sealing.md 2): the only public-key encryption we have.

RFC 9180 base mode, HKDF-SHA256, AES-256-GCM, empty AAD: everything that a value is bound to
stands in `info`. A sealed value is enc (1,120 bytes) || ciphertext. Nothing here says who sealed
a value; authenticity comes from signed statements. The ephemeral keys are drawn by the library.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from exclave.errors import IntegrityError
from exclave.sealing.recovery import XWingPrivateKey, XWingPublicKey

__all__ = ["ENC_SIZE", "SEALED_OVERHEAD", "SealedValueRejected", "seal", "unseal"]

ENC_SIZE = 1120
SEALED_OVERHEAD = ENC_SIZE + 16

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class SealedValueRejected(IntegrityError):
    """A sealed value is damaged, sealed to another key, or bound to another context."""


def seal(public: XWingPublicKey, plaintext: bytes, info: bytes) -> bytes:
    """Seal a value to a key, bound to `info`; the result is 1,136 bytes longer."""
    return _SUITE.encrypt(plaintext, public.hazmat, info)


def unseal(private: XWingPrivateKey, sealed: bytes, info: bytes) -> bytes:
    """Open what `seal` made; raises `SealedValueRejected`."""
    if len(sealed) < SEALED_OVERHEAD:
        raise SealedValueRejected(
            f"sealed value: expected at least {SEALED_OVERHEAD} bytes, got {len(sealed)}"
        )
    try:
        return _SUITE.decrypt(sealed, private.hazmat, info)
    except (InvalidTag, ValueError) as error:
        raise SealedValueRejected(
            "sealed value: does not open with this key and context",
            hint="damaged, sealed to another key, or taken from another mission or deposit",
        ) from error
