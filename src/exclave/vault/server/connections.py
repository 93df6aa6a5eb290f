"""What connections of a listener come to, in the server's log: once for each party and change.

Names a party by the hash of its pinned identity, as refusals do; who shows no certificate is
anonymous. Rule: the memory of what was said is bounded, since anybody may connect in public.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Final

from exclave.vault.kept.refusals import ANONYMOUS
from exclave.vault.line.identity import IdentityUnknown, identity_hash
from exclave.vault.line.negotiated import Negotiated

__all__ = ["Connections"]

_LOG = logging.getLogger(__name__)
_MOST: Final = 1024


class Connections:
    """Notes for one listener; an instance is a context's `note`."""

    def __init__(self, listener: str, identity_of: Callable[[bytes], bytes]) -> None:
        """`identity_of` finds the pinned identity that issued a leaf."""
        self._listener = listener
        self._identity_of = identity_of
        self._said: set[tuple[str, Negotiated]] = set()

    def __call__(self, negotiated: Negotiated, connection: ssl.SSLObject) -> None:
        said = (self._party(connection.getpeercert(binary_form=True)), negotiated)
        if said in self._said:
            return
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said.add(said)
        _LOG.info("%s listener: %s: %s", self._listener, *said)

    def _party(self, leaf: bytes | None) -> str:
        if leaf is None:
            return ANONYMOUS
        try:
            return identity_hash(self._identity_of(leaf)).hex()
        except IdentityUnknown:
            return ANONYMOUS
