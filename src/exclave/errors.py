"""Every error that Exclave raises on purpose, as one tree.

Rules: an error names subject, expected and got in one lower-case line without a
full stop; `hint` says what to try; the data it carries is public (never secrets).
Foreign exceptions are converted where a foreign library is called. Library code
never prints and never exits: `exclave.cli` owns the terminal and maps
`exit_code` to the process's exit status (docs/exit-codes.md).

    ExclaveError                    70
    +-- UsageError                   2   the command line cannot mean anything
    +-- ConfigurationError           3   a TOML file, a plan, a folder's layout
    +-- SourceError                  4   a register could not be captured
    +-- TargetError                  9   a restore target is unsuitable
    +-- VaultError                   5   a vault refused or could not be reached
    |   +-- VaultUnreachable
    +-- AuthorityError               6   signatures, thresholds, warrants, shares
    |   +-- QuorumNotReached
    +-- IntegrityError               7   stored or sent bytes are not what they must be
    |   +-- MalformedData                not the format at all
    |   +-- NonCanonicalData             the format, but not its one encoding
    +-- StorageError                 8   disk full, quota, spool limit
    +-- DifferenceFound              1   a comparison ended with differences

Subclasses live beside the code that raises them.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AuthorityError",
    "ConfigurationError",
    "DifferenceFound",
    "ExclaveError",
    "IntegrityError",
    "MalformedData",
    "NonCanonicalData",
    "QuorumNotReached",
    "SourceError",
    "StorageError",
    "TargetError",
    "UsageError",
    "VaultError",
    "VaultUnreachable",
]


class ExclaveError(Exception):
    """Base of all errors that a user or caller is meant to see."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ExclaveError):
    """The command line asks for something that has no meaning."""

    exit_code = 2


class ConfigurationError(ExclaveError):
    """A configuration file, plan or folder is not as it must be."""

    exit_code = 3


class SourceError(ExclaveError):
    """A register could not be captured; nothing of it was lodged."""

    exit_code = 4


class VaultError(ExclaveError):
    """A vault refused a request or answered with something unusable."""

    exit_code = 5


class VaultUnreachable(VaultError):
    """No connection to a vault, or its identity is not the pinned one."""


class AuthorityError(ExclaveError):
    """A statement, signature, share or warrant does not authorise the act."""

    exit_code = 6


class QuorumNotReached(AuthorityError):
    """Fewer persons signed, or fewer shares were given, than required."""


class IntegrityError(ExclaveError):
    """Stored or received bytes are not what they must be."""

    exit_code = 7


class MalformedData(IntegrityError):
    """Bytes that are not the expected format."""


class NonCanonicalData(IntegrityError):
    """Bytes that carry the format's meaning in another than its one encoding."""


class StorageError(ExclaveError):
    """No room: disk, quota or spool."""

    exit_code = 8


class TargetError(ExclaveError):
    """A reconstruction target is not empty or cannot take the data."""

    exit_code = 9


class DifferenceFound(ExclaveError):
    """A comparison ended, and something differs from what was captured."""

    exit_code = 1
