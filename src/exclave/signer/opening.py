"""From what `--key` names to signers, wherever the private key lies.

A key file of ours, an SSH key (its public or its private file), or a `pkcs11:` URI. Which it is
shows in the argument and the file's first bytes, not in its name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from exclave.authority.keys import TypedKey
from exclave.errors import ConfigurationError
from exclave.signer.bundle import Purpose
from exclave.signer.file import load_key_file
from exclave.signer.interface import Signer
from exclave.signer.parties import official_id
from exclave.signer.pkcs11 import TokenSigner, find_token_key
from exclave.signer.pkcs11_uri import SCHEME, read_pkcs11_uri
from exclave.signer.ssh import SshSigner, load_ssh_key
from exclave.values import dataclass

__all__ = ["Asking", "KeyPlace", "SigningKeys", "find_public_keys", "open_keys", "place_of"]

_SSH_PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_SSH_PUBLIC = (b"ssh-", b"sk-", b"ecdsa-")
_PEM = b"-----BEGIN "


class KeyPlace(enum.StrEnum):
    """Where a private key lies."""

    FILE = "file"
    SSH = "ssh"
    PKCS11 = "pkcs11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a signer reaches the person: `secret` makes a source from a question, `tell` shows."""

    secret: Callable[[str], Callable[[], bytes]]
    tell: Callable[[str], None]


class SigningKeys(Protocol):
    """Keys of one party that can sign; a key file's bundle is one, too."""

    @property
    def purpose(self) -> Purpose:
        """Whose keys these are."""

    @property
    def id(self) -> str:
        """What the party is called."""

    @property
    def public(self) -> tuple[TypedKey, ...]:
        """The public keys."""

    @property
    def signers(self) -> Sequence[Signer]:
        """What signs, one for each key that can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A key that another program or a token holds: an official's, since nobody else may have it."""

    purpose: Purpose
    id: str
    public: tuple[TypedKey, ...]
    signers: tuple[Signer, ...]


def place_of(argument: str) -> KeyPlace:
    """Where the key of this argument lies; raises `ConfigurationError` for an unreadable file."""
    if argument.startswith(SCHEME):
        return KeyPlace.PKCS11
    try:
        with Path(argument).open("rb") as stream:
            head = stream.read(len(_SSH_PRIVATE))
    except OSError as error:
        raise ConfigurationError(f"{argument}: cannot be read: {error.strerror}") from error
    # Private keys in other PEM forms go the same way, where their public file says what they are.
    return KeyPlace.SSH if head.startswith((_PEM, *_SSH_PUBLIC)) else KeyPlace.FILE


def open_keys(argument: str, asking: Asking) -> SigningKeys:
    """The keys that an argument names; raises what their place raises."""
    return _OPENERS[place_of(argument)](argument, asking)


def find_public_keys(argument: str) -> tuple[TypedKey, ...]:
    """The public key of an SSH key or a token, for the founders; asks for nothing."""
    if place_of(argument) is KeyPlace.PKCS11:
        return (find_token_key(read_pkcs11_uri(argument))[0],)
    return (load_ssh_key(_ssh_public(argument)),)


def _open_file(argument: str, asking: Asking) -> SigningKeys:
    return load_key_file(Path(argument), asking.secret(f"passphrase of {argument}"))


def _open_ssh(argument: str, asking: Asking) -> SigningKeys:
    path = _ssh_public(argument)
    return _held(SshSigner(path=path, key=load_ssh_key(path), tell=asking.tell))


def _open_token(argument: str, asking: Asking) -> SigningKeys:
    uri = read_pkcs11_uri(argument)
    key, place = find_token_key(uri)
    return _held(TokenSigner(uri=uri, key=key, place=place, pin=asking.secret(f"PIN of {place}")))


def _held(signer: Signer) -> SigningKeys:
    key = signer.key
    return _Held(purpose=Purpose.OFFICIAL, id=official_id(key), public=(key,), signers=(signer,))


def _ssh_public(argument: str) -> Path:
    """The public key's file: a private one is never opened here, its neighbour says what it is."""
    path = Path(argument)
    with path.open("rb") as stream:
        private = stream.read(len(_PEM)) == _PEM
    return path.with_name(path.name + ".pub") if private else path


_OPENERS: Mapping[KeyPlace, Callable[[str, Asking], SigningKeys]] = MappingProxyType(
    {KeyPlace.FILE: _open_file, KeyPlace.SSH: _open_ssh, KeyPlace.PKCS11: _open_token}
)
