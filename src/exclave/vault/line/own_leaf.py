"""A party's TLS leaf for as long as its process runs: issued by itself, renewed by itself.

Renewing needs nothing but the identity's key, which is here: no authority, no other party, not
home. Rules: a leaf is replaced after a day, six before it runs out, so that a renewal that fails
can fail for days; and when the clock went back to before it was made, since others may not take it
yet. Contexts show the new leaf from their next connection on; those that are open go on.
"""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from typing import Final

from exclave.clock import Clock
from exclave.vault.line.identity import Identity, issue_leaf
from exclave.vault.line.tls import use_leaf

__all__ = ["RENEW_AFTER", "OwnLeaf"]

RENEW_AFTER: Final = timedelta(days=1)
_STEADY: Final = timedelta(hours=1)
"""A clock that goes back by less is being set right, and the leaf's own margin is larger."""


class OwnLeaf:
    """The leaf of `identity` that these contexts show."""

    def __init__(self, identity: Identity, *, server: bool, clock: Clock) -> None:
        self._identity = identity
        self._server = server
        self._clock = clock
        self._made: datetime | None = None
        self._contexts: list[ssl.SSLContext] = []

    def show(self, *contexts: ssl.SSLContext) -> None:
        """Let these show it, from the next `renew` on."""
        self._contexts += contexts
        self._made = None

    def renew(self) -> bool:
        """Make the leaf if there is none, replace it if it is due; whether there is a new one."""
        now = self._clock()
        if self._made is not None and self._made - _STEADY <= now < self._made + RENEW_AFTER:
            return False
        leaf = issue_leaf(self._identity, server=self._server, now=now)
        for context in self._contexts:
            use_leaf(context, leaf)
        # Last: what failed half-way is tried again.
        self._made = now
        return True
