"""Signatures as `ssh-keygen -Y sign` makes them, without the armour (spec/statements.md 3.2).

Reads and writes OpenSSH's form of keys and signatures (PROTOCOL.sshsig, PROTOCOL.u2f) and says
what is signed; it knows no typed keys and verifies nothing (`signatures` does). Rules: one
namespace, one hash, nothing reserved, nothing after the end, so that a signature has one form; a
decoder never accepts what it would not write again.
"""

from __future__ import annotations

import hashlib
import re

from exclave.errors import MalformedData
from exclave.values import dataclass

__all__ = [
    "NAMESPACE",
    "PERSON_PRESENT",
    "PERSON_VERIFIED",
    "SecurityKey",
    "SshSigMalformed",
    "SshSigNamespace",
    "SshSignature",
    "decode_plain_key",
    "decode_security_key",
    "parse_sshsig",
    "plain_public",
    "signed_data",
]

NAMESPACE = "exclave-statement"
"""What `ssh-keygen -n` is given: what was signed for another program counts nowhere here."""
PERSON_PRESENT = 0x01
PERSON_VERIFIED = 0x04

_MAGIC = b"SSHSIG"
_VERSION = 1
_HASH = b"sha512"
_PLAIN = b"ssh-ed25519"
_SECURITY_KEY = b"sk-ssh-ed25519@openssh.com"
_APPLICATION = re.compile(rb"ssh:[\x21-\x7e]{0,60}")
_MAX_STRING = 4096


class SshSigMalformed(MalformedData):
    """Bytes that are no SSH signature or key of the one form that is allowed."""


class SshSigNamespace(MalformedData):
    """An SSH signature that was made for something else than a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityKey:
    """The public key of a security key: the curve's key and what it was made for."""

    curve_key: bytes
    application: bytes

    def encode(self) -> bytes:
        """OpenSSH's form of the key."""
        return _string(_SECURITY_KEY) + _string(self.curve_key) + _string(self.application)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSignature:
    """A decoded SSH signature, not verified; `flags` and `counter` are a security key's."""

    public: bytes
    signature: bytes
    flags: int | None = None
    counter: int | None = None

    def encode(self) -> bytes:
        """The one encoding."""
        inner = _string(_PLAIN) + _string(self.signature)
        if self.flags is not None and self.counter is not None:
            tail = bytes([self.flags]) + self.counter.to_bytes(4, "big")
            inner = _string(_SECURITY_KEY) + _string(self.signature) + tail
        head = _MAGIC + _VERSION.to_bytes(4, "big") + _string(self.public)
        return head + _string(NAMESPACE.encode()) + _string(b"") + _string(_HASH) + _string(inner)


def plain_public(curve_key: bytes) -> bytes:
    """OpenSSH's form of an Ed25519 key."""
    return _string(_PLAIN) + _string(curve_key)


def signed_data(message: bytes) -> bytes:
    """What the key signs for `message`; a security key signs a hash of it and more."""
    digest = hashlib.sha512(message).digest()
    return _MAGIC + _string(NAMESPACE.encode()) + _string(b"") + _string(_HASH) + _string(digest)


def decode_plain_key(blob: bytes) -> bytes:
    """The curve key in what `plain_public` gives; raises `SshSigMalformed`."""
    cursor = _Cursor(blob, "ssh public key")
    cursor.expect(_PLAIN, "type")
    curve_key = cursor.string("key", 32)
    cursor.end()
    return curve_key


def decode_security_key(raw: bytes) -> SecurityKey:
    """Read a security key's public key; raises `SshSigMalformed`."""
    cursor = _Cursor(raw, "security key")
    cursor.expect(_SECURITY_KEY, "type")
    key = SecurityKey(curve_key=cursor.string("key", 32), application=cursor.string("application"))
    cursor.end()
    if not _APPLICATION.fullmatch(key.application):
        raise SshSigMalformed(
            f"security key: expected an application 'ssh:...', got {key.application[:40]!r}"
        )
    return key


def parse_sshsig(data: bytes) -> SshSignature:
    """Read a signature; raises `SshSigMalformed` or `SshSigNamespace`."""
    cursor = _Cursor(data, "ssh signature")
    if cursor.take(len(_MAGIC), "magic") != _MAGIC:
        raise SshSigMalformed("ssh signature: expected it to begin with SSHSIG, got other bytes")
    version = cursor.integer(4, "version")
    if version != _VERSION:
        raise SshSigMalformed(f"ssh signature: expected version {_VERSION}, got {version}")
    public = cursor.string("public key")
    namespace = cursor.string("namespace")
    if namespace != NAMESPACE.encode():
        raise SshSigNamespace(
            f"ssh signature: expected namespace {NAMESPACE!r}, got {_shown(namespace)}",
            hint=f"sign with ssh-keygen -Y sign -n {NAMESPACE}",
        )
    cursor.expect(b"", "reserved")
    cursor.expect(_HASH, "hash algorithm")
    inner = _Cursor(cursor.string("signature"), "ssh signature")
    cursor.end()
    kind = inner.string("algorithm")
    if kind not in {_PLAIN, _SECURITY_KEY}:
        raise SshSigMalformed(f"ssh signature: expected an Ed25519 one, got {_shown(kind)}")
    signature = inner.string("curve signature", 64)
    flags = counter = None
    if kind == _SECURITY_KEY:
        flags, counter = inner.integer(1, "flags"), inner.integer(4, "counter")
    inner.end()
    return SshSignature(public=public, signature=signature, flags=flags, counter=counter)


class _Cursor:
    """Reads SSH's wire form from front to back."""

    __slots__ = ("_at", "_data", "_subject")

    def __init__(self, data: bytes, subject: str) -> None:
        self._data = data
        self._at = 0
        self._subject = subject

    def take(self, size: int, what: str) -> bytes:
        """The next bytes."""
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise SshSigMalformed(
                f"{self._subject}: {what}: expected {size} bytes, got {len(piece)}"
            )
        self._at += size
        return piece

    def integer(self, size: int, what: str) -> int:
        """An unsigned integer, big-endian."""
        return int.from_bytes(self.take(size, what), "big")

    def string(self, what: str, size: int | None = None) -> bytes:
        """Bytes behind their length, which is `size` when given."""
        length = self.integer(4, what)
        if length > _MAX_STRING or (size is not None and length != size):
            expected = f"at most {_MAX_STRING}" if size is None else size
            raise SshSigMalformed(f"{self._subject}: {what}: expected {expected}, got {length}")
        return self.take(length, what)

    def expect(self, value: bytes, what: str) -> None:
        """A string that can only be this one."""
        found = self.string(what)
        if found != value:
            raise SshSigMalformed(
                f"{self._subject}: {what}: expected {value.decode()!r}, got {_shown(found)}"
            )

    def end(self) -> None:
        """Nothing may follow."""
        left = len(self._data) - self._at
        if left:
            raise SshSigMalformed(f"{self._subject}: expected its end, got {left} bytes more")


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _shown(data: bytes) -> str:
    return repr(data[:40].decode("ascii", "replace"))
