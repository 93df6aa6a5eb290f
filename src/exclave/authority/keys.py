"""Typed public keys and the check of a signature (spec/statements.md 3).

A key's id derives from its algorithm and bytes, so one key has one id. Nothing here signs: private
keys live behind `exclave.signer`. Rules: a key that could never verify or seal anything is
refused when it is read; verification raises, and never says more than which key failed.
"""

from __future__ import annotations

import hashlib

from exclave.authority.ecdsa import P256, P384
from exclave.authority.fields import Node
from exclave.authority.signatures import (
    HolderUnverified,
    NamespaceForeign,
    SignatureInvalid,
    check,
)
from exclave.authority.sshsig import decode_security_key
from exclave.encoding import JsonObject, JsonValue, b64encode
from exclave.errors import MalformedData
from exclave.ids import KeyId
from exclave.sealing.recovery import XWingPublicKey
from exclave.values import dataclass

__all__ = [
    "ECDSA_P256",
    "ECDSA_P384",
    "ED25519",
    "ML_DSA_44",
    "ML_DSA_65",
    "OFFICIAL_ALGORITHMS",
    "SSHSIG_ED25519",
    "SSHSIG_SK_ED25519",
    "X_WING",
    "AlgorithmUnknown",
    "HolderUnverified",
    "KeyInvalid",
    "NamespaceForeign",
    "SignatureInvalid",
    "TypedKey",
    "read_key",
    "verify_signature",
]

ED25519 = "ed25519"
ML_DSA_44 = "ml-dsa-44"
ML_DSA_65 = "ml-dsa-65"
ECDSA_P256 = "ecdsa-p256"
ECDSA_P384 = "ecdsa-p384"
SSHSIG_ED25519 = "sshsig-ed25519"
SSHSIG_SK_ED25519 = "sshsig-sk-ed25519"
X_WING = "x-wing"

OFFICIAL_ALGORITHMS = (
    ED25519,
    ML_DSA_65,
    ECDSA_P256,
    ECDSA_P384,
    SSHSIG_ED25519,
    SSHSIG_SK_ED25519,
)
"""What an official's key set is made of (spec/statements.md 3)."""

_KEY_SIZES = {
    ED25519: 32,
    ML_DSA_44: 1312,
    ML_DSA_65: 1952,
    ECDSA_P256: P256.point_size,
    ECDSA_P384: P384.point_size,
    SSHSIG_ED25519: 32,
    SSHSIG_SK_ED25519: None,  # it ends with a text
    X_WING: 1216,
}
_LABEL = b"exclave/1/key\x00"


class AlgorithmUnknown(MalformedData):
    """A key names an algorithm that this version does not know."""


class KeyInvalid(MalformedData):
    """A public key's bytes are not a key of its algorithm."""


@dataclass(frozen=True, slots=True)
class TypedKey:
    """A public key and its algorithm."""

    alg: str
    raw: bytes

    def __post_init__(self) -> None:
        if self.alg not in _KEY_SIZES:
            raise AlgorithmUnknown(
                f"key: expected one of {', '.join(_KEY_SIZES)}, got unknown {self.alg[:40]!r}"
            )
        size = _KEY_SIZES[self.alg]
        if size is not None and len(self.raw) != size:
            raise KeyInvalid(f"{self.alg} key: expected {size} bytes, got {len(self.raw)}")
        _check_raw(self.alg, self.raw)

    @property
    def key_id(self) -> KeyId:
        """Hex of H("exclave/1/key" || 0x00 || alg || 0x00 || raw key)."""
        digest = hashlib.sha256(_LABEL + self.alg.encode("ascii") + b"\x00" + self.raw)
        return KeyId(digest.hexdigest())

    @property
    def material(self) -> bytes:
        """What makes two keys one, whatever they are called: the curve key of a security key."""
        if self.alg == SSHSIG_SK_ED25519:
            return decode_security_key(self.raw).curve_key
        return self.raw

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
    check(key.alg, key.raw, message, signature, subject=f"{key.alg} key {key.key_id}")


def _check_raw(alg: str, raw: bytes) -> None:
    if alg == X_WING:
        XWingPublicKey(raw)
    try:
        if alg == ECDSA_P256:
            P256.read_point(raw)
        elif alg == ECDSA_P384:
            P384.read_point(raw)
        elif alg == SSHSIG_SK_ED25519:
            decode_security_key(raw)
    except MalformedData as error:
        raise KeyInvalid(error.message, hint=error.hint) from error
