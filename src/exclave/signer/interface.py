"""What signs a statement, wherever the private key lies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from exclave.authority.envelope import Envelope
from exclave.authority.keys import TypedKey

__all__ = ["Signer", "sign_envelope"]


class Signer(Protocol):
    """One private key.

    `sign` gives a signature that verifies under `key`, or raises an `ExclaveError`; it may ask a
    person (a token's touch) and is not retried by callers. The key never leaves its place.
    """

    @property
    def key(self) -> TypedKey:
        """The public key."""

    def sign(self, message: bytes) -> bytes:
        """Sign the PAE of a statement."""


def sign_envelope(envelope: Envelope, signers: Iterable[Signer]) -> Envelope:
    """Add the signers' signatures; each is verified before it is added."""
    message = envelope.pae
    for signer in signers:
        envelope = envelope.with_signature(signer.key, signer.sign(message))
    return envelope
