"""A party's private keys in memory: what a key file holds (spec/keyfiles.md 2).

Every private key is a 32-byte seed, so a bundle is a list of algorithms and seeds and, for a
depositor, named secrets. Rules: no secret in a repr; public keys are derived, never believed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey

from exclave.authority.fields import Node
from exclave.authority.keys import ED25519, ML_DSA_44, ML_DSA_65, X_WING, TypedKey
from exclave.encoding import JsonObject, canonical_json, parse_canonical_json
from exclave.errors import AuthorityError, MalformedData
from exclave.sealing.recovery import XWingPrivateKey
from exclave.values import dataclass, field

__all__ = [
    "SEED_SIZE",
    "KeyAbsent",
    "KeyBundle",
    "NamedSecret",
    "PrivateKey",
    "Purpose",
    "new_bundle",
]

SEED_SIZE = 32
_ALGORITHMS = (ED25519, ML_DSA_65, ML_DSA_44, X_WING)


class KeyAbsent(AuthorityError):
    """A bundle has no key of the kind asked for."""


class Purpose(enum.StrEnum):
    """Whose keys these are: one key, one purpose."""

    OFFICIAL = "official"
    DEPOSITOR = "depositor"
    VAULT = "vault"
    READER = "reader"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """One private key; a `Signer` unless it is an X-Wing key."""

    alg: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.alg not in _ALGORITHMS:
            raise MalformedData(f"private key: expected {', '.join(_ALGORITHMS)}, got another")
        if len(self.seed) != SEED_SIZE:
            raise MalformedData(f"seed: expected {SEED_SIZE} bytes, got {len(self.seed)}")

    @property
    def key(self) -> TypedKey:
        """The public key, derived from the seed."""
        if self.alg == ED25519:
            public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
            return TypedKey(self.alg, public.public_bytes_raw())
        if self.alg == ML_DSA_65:
            raw = MLDSA65PrivateKey.from_seed_bytes(self.seed).public_key().public_bytes_raw()
            return TypedKey(self.alg, raw)
        if self.alg == ML_DSA_44:
            raw = MLDSA44PrivateKey.from_seed_bytes(self.seed).public_key().public_bytes_raw()
            return TypedKey(self.alg, raw)
        return TypedKey(self.alg, self.xwing.public.raw)

    @property
    def xwing(self) -> XWingPrivateKey:
        """The X-Wing key; raises `KeyAbsent` for a key that signs."""
        if self.alg != X_WING:
            raise KeyAbsent(f"private key: expected {X_WING}, got {self.alg}")
        return XWingPrivateKey.from_seed(self.seed)

    def sign(self, message: bytes) -> bytes:
        """Sign; raises `KeyAbsent` for an X-Wing key."""
        if self.alg == ED25519:
            return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)
        if self.alg == ML_DSA_65:
            return MLDSA65PrivateKey.from_seed_bytes(self.seed).sign(message)
        if self.alg == ML_DSA_44:
            return MLDSA44PrivateKey.from_seed_bytes(self.seed).sign(message)
        raise KeyAbsent("private key: expected one that signs, got x-wing")


@dataclass(frozen=True, slots=True)
class NamedSecret:
    """A secret that is no key pair, such as a depositor's dedup key."""

    name: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBundle:
    """All private keys of one party."""

    purpose: Purpose
    id: str
    keys: tuple[PrivateKey, ...]
    secrets: tuple[NamedSecret, ...] = ()

    @property
    def public(self) -> tuple[TypedKey, ...]:
        """The public keys, in the bundle's order."""
        return tuple(key.key for key in self.keys)

    @property
    def signers(self) -> tuple[PrivateKey, ...]:
        """The keys that sign statements."""
        return tuple(key for key in self.keys if key.alg != X_WING)

    def only(self, alg: str) -> PrivateKey:
        """The bundle's one key of that algorithm; raises `KeyAbsent`."""
        matching = [key for key in self.keys if key.alg == alg]
        if len(matching) != 1:
            raise KeyAbsent(f"keys of {self.id}: expected one {alg} key, got {len(matching)}")
        return matching[0]

    def secret(self, name: str) -> bytes:
        """A named secret; raises `KeyAbsent`."""
        for secret in self.secrets:
            if secret.name == name:
                return secret.value
        raise KeyAbsent(f"keys of {self.id}: expected a secret {name!r}, got none")

    def plaintext(self) -> bytes:
        """What a key file encrypts."""
        payload: JsonObject = {
            "keys": [{"alg": key.alg, "seed": key.seed.hex()} for key in self.keys],
            "secrets": [{"name": item.name, "value": item.value.hex()} for item in self.secrets],
        }
        return canonical_json(payload)

    @classmethod
    def from_plaintext(cls, purpose: Purpose, id: str, data: bytes) -> KeyBundle:
        """Read what `plaintext` gave."""
        node = Node(parse_canonical_json(data, subject="key file secrets"), "secrets")
        fields = node.fields("keys", "secrets")
        return cls(
            purpose=purpose,
            id=id,
            keys=fields["keys"].each(_read_key, least=1, most=64),
            secrets=fields["secrets"].each(_read_secret, most=64),
        )


def new_bundle(
    purpose: Purpose,
    id: str,
    algorithms: tuple[str, ...],
    *,
    random: Callable[[int], bytes],
    secrets: tuple[str, ...] = (),
) -> KeyBundle:
    """Draw fresh keys, and a fresh secret of 32 bytes for each name in `secrets`."""
    return KeyBundle(
        purpose=purpose,
        id=id,
        keys=tuple(PrivateKey(alg, random(SEED_SIZE)) for alg in algorithms),
        secrets=tuple(NamedSecret(name, random(SEED_SIZE)) for name in secrets),
    )


# Values are read without their text in messages: a bad seed is still most of a secret.
def _read_key(node: Node) -> PrivateKey:
    fields = node.fields("alg", "seed")
    return PrivateKey(fields["alg"].string(), fields["seed"].hex(SEED_SIZE))


def _read_secret(node: Node) -> NamedSecret:
    fields = node.fields("name", "value")
    return NamedSecret(fields["name"].slug(), fields["value"].hex(SEED_SIZE))
