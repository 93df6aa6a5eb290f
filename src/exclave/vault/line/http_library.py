"""aiohttp, imported without the certificates that the system trusts.

aiohttp makes TLS contexts of its own as it is imported, and reads every certificate of the system
into one: nearly half of what importing it costs, for a context that nobody uses. Lines trust pinned
identities, and every request names its context (`exclave.vault.line.tls`). So OpenSSL finds an
empty file in their place while aiohttp is imported; whoever relied on aiohttp's own would be
refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["aiohttp"]

_PLACE = "SSL_CERT_FILE"


@contextmanager
def _no_certificates() -> Iterator[None]:
    before = os.environ.get(_PLACE)
    os.environ[_PLACE] = os.devnull
    try:
        yield
    finally:
        # Given back at once: psql and pg_dump, which we start, may be meant to use it.
        if before is None:
            del os.environ[_PLACE]
        else:
            os.environ[_PLACE] = before


with _no_certificates():
    import aiohttp
