"""X-Wing key pairs: recovery keys, seat keys and one-time keys of readers (spec/sealing.md 1).

A private key is a 32-byte seed and nothing else; it is what the officials' shares recombine to.
This module expands and checks keys. It does not split seeds into shares, store or print them.

Rules: a seed never appears in an error or a repr; two values that must be equal are compared in
constant time; a public key that no sender could use is refused when it is read, not when it is
needed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exclave.errors import AuthorityError, MalformedData
from exclave.values import dataclass, field

__all__ = [
    "KEY_CHECK_SIZE",
    "PUBLIC_KEY_SIZE",
    "SEED_SIZE",
    "KeyCheckMismatch",
    "PublicKeyRejected",
    "XWingPrivateKey",
    "XWingPublicKey",
    "generate_seed",
    "key_check_value",
    "verify_key_check",
]

SEED_SIZE = 32
PUBLIC_KEY_SIZE = 1216
KEY_CHECK_SIZE = 16

_MLKEM_PUBLIC_SIZE = 1184
_MLKEM_SEED_SIZE = 64
_EXPANDED_SIZE = 96
_KEY_CHECK_LABEL = b"exclave/1/key-check"
# Any private key will do: the product with a point of small order is zero for all of them.
_PROBE = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"exclave/1/x25519-probe").digest())


class PublicKeyRejected(MalformedData):
    """Bytes that are not an X-Wing public key to which anything can be sealed."""


class KeyCheckMismatch(AuthorityError):
    """A recombined seed is not the seed of the published recovery key."""


@dataclass(frozen=True, slots=True)
class XWingPublicKey:
    """An X-Wing public key: ML-KEM-768 encapsulation key || X25519 public key, 1,216 bytes."""

    raw: bytes
    _key: MLKEM768X25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.raw) != PUBLIC_KEY_SIZE:
            raise PublicKeyRejected(
                f"x-wing public key: expected {PUBLIC_KEY_SIZE} bytes, got {len(self.raw)}"
            )
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(self.raw[:_MLKEM_PUBLIC_SIZE])
            x25519 = X25519PublicKey.from_public_bytes(self.raw[_MLKEM_PUBLIC_SIZE:])
            _PROBE.exchange(x25519)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PublicKeyRejected(
                "x-wing public key: expected reduced ML-KEM coefficients and a point of large "
                "order, got neither or one"
            ) from error
        object.__setattr__(self, "_key", MLKEM768X25519PublicKey(mlkem, x25519))

    @property
    def key_hash(self) -> bytes:
        """SHA-256 of the raw key, 32 bytes: names the key (spec/sealing.md 1)."""
        return hashlib.sha256(self.raw).digest()

    @property
    def hazmat(self) -> MLKEM768X25519PublicKey:
        """The library's key object, for `exclave.sealing.hpke` alone."""
        return self._key


class XWingPrivateKey:
    """An X-Wing private key, expanded from its seed; compares by identity, prints no secret."""

    __slots__ = ("_key", "_public", "_seed")

    def __init__(self, seed: bytes, key: MLKEM768X25519PrivateKey, public: XWingPublicKey) -> None:
        self._seed = seed
        self._key = key
        self._public = public

    @classmethod
    def from_seed(cls, seed: bytes) -> XWingPrivateKey:
        """Expand a 32-byte seed as X-Wing expands its decapsulation key."""
        if len(seed) != SEED_SIZE:
            raise MalformedData(f"x-wing seed: expected {SEED_SIZE} bytes, got {len(seed)}")
        expanded = hashlib.shake_256(seed).digest(_EXPANDED_SIZE)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_SIZE])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_SIZE:])
        raw = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        return cls(bytes(seed), MLKEM768X25519PrivateKey(mlkem, x25519), XWingPublicKey(raw))

    @property
    def public(self) -> XWingPublicKey:
        """The public half."""
        return self._public

    @property
    def seed(self) -> bytes:
        """The 32-byte seed: whoever has it has the key."""
        return self._seed

    @property
    def hazmat(self) -> MLKEM768X25519PrivateKey:
        """The library's key object, for `exclave.sealing.hpke` alone."""
        return self._key

    def __repr__(self) -> str:
        return f"XWingPrivateKey(key_hash={self._public.key_hash.hex()})"


def generate_seed(random: Callable[[int], bytes]) -> bytes:
    """Draw the seed of a new key; `random(n)` gives n unpredictable bytes."""
    seed = random(SEED_SIZE)
    if len(seed) != SEED_SIZE:
        raise MalformedData(f"x-wing seed: expected {SEED_SIZE} bytes, got {len(seed)}")
    return seed


def key_check_value(key: bytes | XWingPrivateKey, key_hash: bytes) -> bytes:
    """Value that tells the right seed from any other without revealing it, 16 bytes."""
    seed = key.seed if isinstance(key, XWingPrivateKey) else key
    info = _KEY_CHECK_LABEL + key_hash
    return HKDF(algorithm=SHA256(), length=KEY_CHECK_SIZE, salt=b"", info=info).derive(seed)


def verify_key_check(key: bytes | XWingPrivateKey, key_hash: bytes, expected: bytes) -> None:
    """Check a recombined seed against the charter's value; raises `KeyCheckMismatch`."""
    got = key_check_value(key, key_hash)
    if not hmac.compare_digest(got, expected):
        raise KeyCheckMismatch(
            f"recovery key: expected key-check value {expected.hex()}, got {got.hex()}",
            hint="a wrong passphrase, or shares of another share set; compare the set's number",
        )
