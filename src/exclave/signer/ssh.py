"""Signing through `ssh-keygen`: keys in files, agents and security keys (spec/statements.md 3.2).

The private key is OpenSSH's business: this names the public key's file, hands over what is to be
signed, and passes on what `ssh-keygen` says, since it may ask for a touch. Rules: no secret goes
into an argument or through this program; `ssh-keygen` asks for passphrase or PIN at the terminal.
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

from exclave.authority.keys import SSHSIG_ED25519, SSHSIG_SK_ED25519, KeyInvalid, TypedKey
from exclave.authority.sshsig import NAMESPACE, SshSigMalformed, decode_plain_key
from exclave.errors import AuthorityError, ConfigurationError, MalformedData
from exclave.values import dataclass, field

__all__ = [
    "SshKeyUnusable",
    "SshKeygenMissing",
    "SshSigner",
    "SshSigningFailed",
    "decode_ssh_public",
    "load_ssh_key",
]

PROGRAM = "ssh-keygen"
_TYPES = {b"ssh-ed25519": SSHSIG_ED25519, b"sk-ssh-ed25519@openssh.com": SSHSIG_SK_ED25519}
_ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n?"
)
_MAX_FILE = 64 * 1024
_CHATTER = "Signing "  # what is signed stands in our own words before
_MAKE = "make one with ssh-keygen -t ed25519-sk -O verify-required, or -t ed25519"


class SshKeyUnusable(ConfigurationError):
    """A file holds no SSH public key that can sign statements."""


class SshKeygenMissing(ConfigurationError):
    """There is no `ssh-keygen` on this machine."""


class SshSigningFailed(AuthorityError):
    """`ssh-keygen` made no signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSigner:
    """A key that `ssh-keygen` can reach by its public key's file."""

    path: Path
    key: TypedKey
    tell: Callable[[str], None] = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Have `ssh-keygen` sign; raises `SshKeygenMissing` or `SshSigningFailed`."""
        command = [PROGRAM, "-Y", "sign", "-n", NAMESPACE, "-f", str(self.path)]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise SshKeygenMissing(
                f"{PROGRAM}: expected a program to sign with, got: {error.strerror}",
                hint="install OpenSSH 8.9 or newer (Debian: openssh-client)",
            ) from error
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            _hand_over(process.stdin, message)
            said = self._pass_on(process.stderr)
            armoured = process.stdout.read()
        if process.returncode:
            raise SshSigningFailed(
                f"{self.path}: expected a signature of {PROGRAM}, got: {said}",
                hint="is the private key beside it, in an agent, or plugged in?",
            )
        return _bare(armoured, self.path)

    def _pass_on(self, stream: IO[bytes]) -> str:
        """Everything that is said, as it is said; returns the last of it."""
        last = "nothing"
        for line in stream:
            text = line.decode("utf-8", "replace").strip()
            if text and not text.startswith(_CHATTER):
                self.tell(f"{PROGRAM}: {text}")
                last = text
        return last


def load_ssh_key(path: Path) -> TypedKey:
    """The key in an SSH public key's file; raises `SshKeyUnusable`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_FILE)
    except OSError as error:
        raise SshKeyUnusable(f"{path}: cannot be read: {error.strerror}", hint=_MAKE) from error
    try:
        return decode_ssh_public(data)
    except MalformedData as error:
        raise SshKeyUnusable(f"{path}: {error.message}", hint=_MAKE) from error


def decode_ssh_public(data: bytes) -> TypedKey:
    """Read a line `type Base64 comment`; raises `MalformedData`."""
    words = data.split(None, 2)
    if len(words) < 2 or b"\n" in data.rstrip(b"\r\n"):
        raise SshSigMalformed("ssh public key: expected one line 'type key comment'")
    name, text = words[0], words[1]
    if name not in _TYPES:
        shown = name[:40].decode("ascii", "replace")
        raise KeyInvalid(f"ssh public key: expected an Ed25519 or security key, got {shown!r}")
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SshSigMalformed("ssh public key: not base64") from error
    alg = _TYPES[name]
    return TypedKey(alg, decode_plain_key(blob) if alg == SSHSIG_ED25519 else blob)


def _hand_over(stream: IO[bytes], message: bytes) -> None:
    try:
        stream.write(message)
        stream.close()
    except BrokenPipeError:
        pass  # it gave up before it read: its exit status says so


def _bare(armoured: bytes, path: Path) -> bytes:
    match = _ARMOUR.fullmatch(armoured)
    if match is None:
        raise SshSigningFailed(f"{path}: expected an SSH signature of {PROGRAM}, got other output")
    return base64.b64decode(match[1])
