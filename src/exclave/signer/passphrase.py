"""Where a passphrase may come from: never from the command line or the environment itself.

A prompt belongs to the terminal's owner, `exclave.cli`; here are the two ways for programs. Rules:
one line, its end cut off; text is normalised (NFKC), so that keyboards of two countries agree.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

from exclave.errors import AuthorityError, ConfigurationError

__all__ = [
    "MIN_CHARACTERS",
    "PassphraseFileExposed",
    "PassphraseUnreadable",
    "PassphraseWeak",
    "check_strength",
    "normalise",
    "passphrase_from_descriptor",
    "passphrase_from_file",
]

MIN_CHARACTERS = 12
_MAX_BYTES = 4096


class PassphraseWeak(AuthorityError):
    """A new passphrase is too short."""


class PassphraseUnreadable(ConfigurationError):
    """No passphrase could be read from where it was said to be."""


class PassphraseFileExposed(ConfigurationError):
    """Others than its owner may read a passphrase file."""


def normalise(passphrase: bytes) -> bytes:
    """The form in which a passphrase is used: UTF-8 of its NFKC text."""
    try:
        return unicodedata.normalize("NFKC", passphrase.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError as error:
        raise PassphraseUnreadable("passphrase: expected UTF-8, got other bytes") from error


def check_strength(passphrase: bytes) -> None:
    """Refuse a new passphrase of fewer than twelve characters."""
    count = len(normalise(passphrase).decode("utf-8"))
    if count < MIN_CHARACTERS:
        raise PassphraseWeak(
            f"passphrase: expected at least {MIN_CHARACTERS} characters, got {count}",
            hint="five words taken by dice are good and can be remembered",
        )


def passphrase_from_descriptor(descriptor: int) -> bytes:
    """Read the first line from an open file descriptor, which is closed."""
    try:
        with os.fdopen(descriptor, "rb") as stream:
            return _line(stream.readline(_MAX_BYTES + 1), f"descriptor {descriptor}")
    except OSError as error:
        raise PassphraseUnreadable(
            f"descriptor {descriptor}: cannot be read: {error.strerror}"
        ) from error


def passphrase_from_file(path: Path) -> bytes:
    """Read the first line of a file that only its owner may read."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & 0o077:
                raise PassphraseFileExposed(f"{path}: expected mode 0600, got {mode:04o}")
            return _line(stream.readline(_MAX_BYTES + 1), str(path))
    except OSError as error:
        raise PassphraseUnreadable(f"{path}: cannot be read: {error.strerror}") from error


def _line(data: bytes, place: str) -> bytes:
    line = data.rstrip(b"\r\n")
    if not line or len(line) > _MAX_BYTES:
        raise PassphraseUnreadable(f"{place}: expected one line of up to {_MAX_BYTES} bytes")
    return line
