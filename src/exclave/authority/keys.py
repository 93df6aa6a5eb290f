"""Typed public keys and the check of a signature (spec/statements.md 3).

A key's id derives from its algorithm and bytes, so one key has one id. Nothing here signs: private
keys live behind `exclave.signer`. Rules: a key that could never verify or seal anything is
refused when it is read; verification raises, and never says more than which key failed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey

from exclave.authority.fields import Node
from exclave.encoding import JsonObject, JsonValue, b64encode
from exclave.errors import AuthorityError, MalformedData
from exclave.ids import KeyId
from exclave.sealing.recovery import XWingPublicKey

__all__ = [
    "ED25519",
    "ML_DSA_44",
    "ML_DSA_65",
    "SIGNATURE_SIZES",
    "X_WING",
    "AlgorithmUnknown",
    "KeyInvalid",
    "SignatureInvalid",
    "TypedKey",
    "read_key",
    "verify_signature",
]

ED25519 = "ed25519"
ML_DSA_44 = "ml-dsa-44"
ML_DSA_65 = "ml-dsa-65"
X_WING = "x-wing"

SIGNATURE_SIZES = {ED25519: 64, ML_DSA_44: 2420, ML_DSA_65: 3309}
"""Bytes of a signature by algorithm (spec/statements.md 3)."""

_KEY_SIZES = {ED25519: 32, ML_DSA_44: 1312, ML_DSA_65: 1952, X_WING: 1216}
_RESERVED = {"sshsig-ed25519", "sshsig-sk-ed25519", "ecdsa-p256", "ecdsa-p384"}
_LABEL = b"exclave/1/key\x00"


class AlgorithmUnknown(MalformedData):
    """A key names an algorithm that this version does not know."""


class KeyInvalid(MalformedData):
    """A public key's bytes are not a key of its algorithm."""


class SignatureInvalid(AuthorityError):
    """A known key's signature does not verify: the whole statement is refused."""


@dataclass(frozen=True, slots=True)
class TypedKey:
    """A public key and its algorithm."""

    alg: str
    raw: bytes

    def __post_init__(self) -> None:
        size = _KEY_SIZES.get(self.alg)
        if size is None:
            what = "reserved" if self.alg in _RESERVED else "unknown"
            raise AlgorithmUnknown(
                f"key: expected one of {', '.join(_KEY_SIZES)}, got {what} {self.alg[:40]!r}"
            )
        if len(self.raw) != size:
            raise KeyInvalid(f"{self.alg} key: expected {size} bytes, got {len(self.raw)}")
        if self.alg == X_WING:
            XWingPublicKey(self.raw)

    @property
    def key_id(self) -> KeyId:
        """Hex of H("exclave/1/key" || 0x00 || alg || 0x00 || raw key)."""
        digest = hashlib.sha256(_LABEL + self.alg.encode("ascii") + b"\x00" + self.raw)
        return KeyId(digest.hexdigest())

    @property
    def key_hash(self) -> bytes:
        """H(raw key): how sealing names an X-Wing key (spec/sealing.md 1)."""
        return hashlib.sha256(self.raw).digest()

    @property
    def xwing(self) -> XWingPublicKey:
        """The key for sealing; raises `KeyInvalid` for a key that signs."""
        if self.alg != X_WING:
            raise KeyInvalid(f"key: expected {X_WING}, got {self.alg}")
        return XWingPublicKey(self.raw)

    def to_json(self) -> JsonObject:
        """The key as it stands in a payload."""
        return {"alg": self.alg, "key": b64encode(self.raw)}

    @classmethod
    def from_json(cls, value: JsonValue, *, path: str = "key") -> TypedKey:
        """Read a key of any algorithm that this version knows."""
        return read_key()(Node(value, path))


class _KeyReader:
    """Reads a typed key and holds it to the algorithms allowed at its place."""

    __slots__ = ("_allowed",)

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed

    def __call__(self, node: Node) -> TypedKey:
        fields = node.fields("alg", "key")
        alg = fields["alg"].string()
        if self._allowed and alg in _KEY_SIZES and alg not in self._allowed:
            raise fields["alg"].refuse(" or ".join(self._allowed))
        try:
            return TypedKey(alg, fields["key"].base64())
        except (AlgorithmUnknown, KeyInvalid) as error:
            raise type(error)(f"{node.path}: {error.message}") from error


def read_key(*allowed: str) -> _KeyReader:
    """A reader of typed keys for `Node.each` and friends; no `allowed` means any algorithm."""
    return _KeyReader(allowed)


def verify_signature(key: TypedKey, message: bytes, signature: bytes) -> None:
    """Check a signature over `message` (the PAE of a statement); raises `SignatureInvalid`."""
    refused = SignatureInvalid(f"signature: expected a valid one of {key.alg} key {key.key_id}")
    if len(signature) != SIGNATURE_SIZES.get(key.alg):
        raise refused
    try:
        if key.alg == ED25519:
            Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
        elif key.alg == ML_DSA_65:
            MLDSA65PublicKey.from_public_bytes(key.raw).verify(signature, message)
        else:
            MLDSA44PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise refused from error
