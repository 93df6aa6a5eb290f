"""A party's long-lived identity and the short-lived TLS leaves that it issues for itself.

An identity is a self-signed certificate that peers pin whole (spec/vault-http.md 1); there is no
other certificate authority. This module makes, stores and recognises identities. It opens no
connection: `exclave.vault.line.tls` does.

Rules: a leaf lives seven days or less and its key never reaches a disk; an identity's file is
written once, for its owner only; times are passed in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exclave.durable import NameTaken, write_new_file
from exclave.errors import AuthorityError, ConfigurationError, MalformedData
from exclave.values import dataclass, field

__all__ = [
    "LEAF_LIFETIME",
    "Identity",
    "IdentityUnknown",
    "Leaf",
    "check_identity",
    "expiry",
    "identity_hash",
    "issue_leaf",
    "issuing_anchor",
    "load_identity",
    "new_identity",
    "save_identity",
]

LEAF_LIFETIME = timedelta(days=7)
IDENTITY_LIFETIME = timedelta(days=365 * 40)
# Peers' clocks are not ours: both kinds of certificate start a little before they are made.
_SKEW = timedelta(hours=12)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class IdentityUnknown(AuthorityError):
    """A certificate that no pinned identity has issued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An identity certificate (DER, what a charter pins) with its private key."""

    certificate: bytes
    key: Ed25519PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A TLS leaf: the chain leaf + identity and the leaf's key, both PEM; memory only."""

    chain: bytes
    key: bytes = field(repr=False)
    expires: datetime


def identity_hash(certificate: bytes) -> bytes:
    """What cards and logs name an identity by: H(DER), 32 bytes."""
    return hashlib.sha256(certificate).digest()


def new_identity(slug: str, now: datetime) -> Identity:
    """A fresh Ed25519 identity for the party `slug`, valid for forty years."""
    if not _SLUG.fullmatch(slug):
        raise ConfigurationError(f"identity: expected a name like 'vault-1', got {slug[:70]!r}")
    key = Ed25519PrivateKey.generate()
    name = _name(f"exclave {slug}")
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + IDENTITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, None)
    )
    return Identity(certificate=built.public_bytes(serialization.Encoding.DER), key=key)


def issue_leaf(
    identity: Identity, *, server: bool, now: datetime, lifetime: timedelta = LEAF_LIFETIME
) -> Leaf:
    """A leaf with a fresh key for one side of a TLS connection."""
    if not timedelta(0) < lifetime <= LEAF_LIFETIME:
        raise ConfigurationError(f"tls leaf: expected a life of up to 7 days, got {lifetime}")
    parent = x509.load_der_x509_certificate(identity.certificate)
    key = Ed25519PrivateKey.generate()
    common = parent.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    use = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    expires = min(now + lifetime - _skew(lifetime), parent.not_valid_after_utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(f"{common!s} tls"))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _skew(lifetime))
        .not_valid_after(expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key(identity.key.public_key()), critical=False)
        .sign(identity.key, None)
    )
    pem = serialization.Encoding.PEM
    return Leaf(
        chain=built.public_bytes(pem) + parent.public_bytes(pem),
        key=_pem_key(key),
        expires=expires,
    )


def check_identity(certificate: bytes, subject: str = "identity") -> None:
    """Refuse what is not a self-signed Ed25519 identity of spec/vault-http.md 1."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        constraints = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
        parsed.verify_directly_issued_by(parsed)
    except (ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature) as error:
        raise MalformedData(f"{subject}: not a self-signed certificate") from error
    if not isinstance(parsed.public_key(), Ed25519PublicKey):
        raise MalformedData(f"{subject}: expected an Ed25519 certificate")
    if not constraints.ca or constraints.path_length != 0:
        raise MalformedData(f"{subject}: expected a CA certificate with path length 0")


def issuing_anchor(leaf: bytes, anchors: Iterable[bytes]) -> bytes:
    """Which of the pinned identities issued this leaf; raises `IdentityUnknown`."""
    try:
        parsed = x509.load_der_x509_certificate(leaf)
    except ValueError as error:
        raise IdentityUnknown("client certificate: not X.509") from error
    for anchor in anchors:
        try:
            parsed.verify_directly_issued_by(x509.load_der_x509_certificate(anchor))
        except (ValueError, TypeError, InvalidSignature):
            continue
        return anchor
    raise IdentityUnknown("client certificate: no pinned identity issued it")


def expiry(leaf: bytes) -> datetime:
    """When a leaf that `issuing_anchor` has recognised runs out."""
    return x509.load_der_x509_certificate(leaf).not_valid_after_utc


def save_identity(identity: Identity, path: Path) -> None:
    """Write certificate and key to a new file that only its owner reads."""
    certificate = x509.load_der_x509_certificate(identity.certificate)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    try:
        write_new_file(path, [pem, _pem_key(identity.key)], mode=0o600)
    except NameTaken as error:
        raise ConfigurationError(
            f"{path.name}: there already", hint="private keys are never overwritten"
        ) from error


def load_identity(path: Path) -> Identity:
    """Read what `save_identity` wrote; raises `ConfigurationError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path.name}: cannot be read: {error.strerror}") from error
    try:
        certificate = x509.load_pem_x509_certificate(data)
        key = serialization.load_pem_private_key(data[data.index(b"-----BEGIN PRIV") :], None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path.name}: not an identity file") from error
    if not isinstance(key, Ed25519PrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigurationError(f"{path.name}: certificate and key do not belong together")
    return Identity(certificate=certificate.public_bytes(serialization.Encoding.DER), key=key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _skew(lifetime: timedelta) -> timedelta:
    # Part of the life, so that the certificate as a whole keeps within its limit.
    return min(_SKEW, lifetime / 4)


def _authority_key(key: Ed25519PublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_key(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
