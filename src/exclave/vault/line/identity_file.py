"""The certificate in an identity's file, taken as it stands: for who only has to compare it.

Whether it is an identity, and the key beside it its own, is for `exclave.vault.line.identity` to
say.
"""

from __future__ import annotations

import binascii
import re
from pathlib import Path

from exclave.errors import ConfigurationError

__all__ = ["read_certificate"]

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


def read_certificate(path: Path) -> bytes:
    """The first certificate of the file (DER); raises `ConfigurationError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path.name}: cannot be read: {error.strerror}") from error
    found = _PEM.search(data)
    try:
        if found is not None:
            return binascii.a2b_base64(found[1])
    except binascii.Error:
        pass
    raise ConfigurationError(f"{path.name}: not an identity file")
