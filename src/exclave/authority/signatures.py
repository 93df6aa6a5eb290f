"""How a signature of each algorithm is checked (spec/statements.md 3).

Takes raw keys, so that typed keys can rest on it. Rules: everything that is wrong with a signature
is a `SignatureInvalid`, by whatever step it was found; a security key that nobody unlocked does not
count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey

from exclave.authority.ecdsa import P256, P384
from exclave.authority.sshsig import (
    PERSON_PRESENT,
    PERSON_VERIFIED,
    SshSigNamespace,
    SshSignature,
    decode_security_key,
    parse_sshsig,
    plain_public,
    signed_data,
)
from exclave.errors import AuthorityError, MalformedData

__all__ = ["VERIFIERS", "HolderUnverified", "NamespaceForeign", "SignatureInvalid", "check"]


class SignatureInvalid(AuthorityError):
    """A known key's signature does not verify: the whole statement is refused."""


class NamespaceForeign(SignatureInvalid):
    """An SSH signature that was made for another program."""


class HolderUnverified(SignatureInvalid):
    """A security key signed, but did not check who touched it."""


def check(alg: str, raw: bytes, message: bytes, signature: bytes, *, subject: str) -> None:
    """Check a signature over `message`; raises `SignatureInvalid`, its message about `subject`."""
    verify = VERIFIERS.get(alg)
    try:
        if verify is None:
            raise InvalidSignature
        verify(raw, message, signature)
    except _Unverified as error:
        raise HolderUnverified(
            f"signature: expected {subject} to have asked for PIN or finger, got a mere touch",
            hint="make the key with ssh-keygen -t ed25519-sk -O verify-required",
        ) from error
    except SshSigNamespace as error:
        raise NamespaceForeign(f"{error.message} of {subject}", hint=error.hint) from error
    except (InvalidSignature, MalformedData, ValueError) as error:
        raise SignatureInvalid(f"signature: expected a valid one of {subject}") from error


class _Unverified(Exception):
    pass


def _ed25519(raw: bytes, message: bytes, signature: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)


def _ml_dsa_65(raw: bytes, message: bytes, signature: bytes) -> None:
    MLDSA65PublicKey.from_public_bytes(raw).verify(signature, message)


def _ml_dsa_44(raw: bytes, message: bytes, signature: bytes) -> None:
    MLDSA44PublicKey.from_public_bytes(raw).verify(signature, message)


def _sshsig(raw: bytes, message: bytes, signature: bytes) -> None:
    parsed = _parse(signature, plain_public(raw))
    if parsed.flags is not None:
        raise InvalidSignature
    _ed25519(raw, signed_data(message), parsed.signature)


def _sshsig_sk(raw: bytes, message: bytes, signature: bytes) -> None:
    key = decode_security_key(raw)
    parsed = _parse(signature, raw)
    if parsed.flags is None or parsed.counter is None:
        raise InvalidSignature
    signed = (
        hashlib.sha256(key.application).digest()
        + bytes([parsed.flags])
        + parsed.counter.to_bytes(4, "big")
        + hashlib.sha256(signed_data(message)).digest()
    )
    _ed25519(key.curve_key, signed, parsed.signature)
    # Only now: what the flags say is true only of a signature that holds.
    needed = PERSON_PRESENT | PERSON_VERIFIED
    if parsed.flags & needed != needed:
        raise _Unverified


def _parse(signature: bytes, public: bytes) -> SshSignature:
    parsed = parse_sshsig(signature)
    if parsed.public != public:
        raise InvalidSignature
    return parsed


VERIFIERS: Mapping[str, Callable[[bytes, bytes, bytes], None]] = MappingProxyType(
    {
        "ed25519": _ed25519,
        "ml-dsa-44": _ml_dsa_44,
        "ml-dsa-65": _ml_dsa_65,
        "ecdsa-p256": P256.verify,
        "ecdsa-p384": P384.verify,
        "sshsig-ed25519": _sshsig,
        "sshsig-sk-ed25519": _sshsig_sk,
    }
)
"""From algorithm to what checks raw key, message and signature."""
