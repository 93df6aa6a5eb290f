"""Whom a target's certificate must come from: the system's authorities, or those of one file."""

from __future__ import annotations

import ssl
from pathlib import Path

from exclave.errors import ConfigurationError

__all__ = ["AuthoritiesUnreadable", "trusted", "why_failed"]


class AuthoritiesUnreadable(ConfigurationError):
    """A file of certificate authorities cannot be read."""


def trusted(ca_file: str | None, folder: Path) -> ssl.SSLContext:
    """A context that verifies certificate and name; raises `AuthoritiesUnreadable`."""
    if ca_file is None:
        return ssl.create_default_context()
    path = folder / ca_file
    try:
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise AuthoritiesUnreadable(
            f"{path}: expected certificates in PEM, got none that can be read"
        ) from error


def why_failed(error: Exception) -> str:
    """What a failed connection came to, in words that repeat nothing of where it went."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
