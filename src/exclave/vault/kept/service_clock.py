"""Service time: how long this vault has served this mission, in milliseconds.

Delays count in it (spec/ledger.md 1), so it must never go back and never jump: it advances with
the machine's monotonic clock while the vault runs, stands still while it does not, and is
kept in `meta/`. The wall clock has no part in it. What a crash loses is the time since it was
last kept, which only makes delays longer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from exclave.errors import StorageError
from exclave.vault.kept.storage import ObjectStore, read_optional

__all__ = ["ServiceClock", "monotonic_ms"]

_DIGITS: Final = 20


def monotonic_ms() -> int:
    """The machine's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


class ServiceClock:
    """One mission's service time."""

    def __init__(
        self, store: ObjectStore, key: str, *, floor: int, ticks: Callable[[], int] = monotonic_ms
    ) -> None:
        """`floor` is the service time of the log's last entry."""
        self._store = store
        self._key = key
        self._ticks = ticks
        self._lock = threading.Lock()
        self._now = max(floor, self._kept())
        self._seen = ticks()

    def now(self) -> int:
        """Milliseconds; never less than before."""
        with self._lock:
            ticks = self._ticks()
            self._now += max(0, ticks - self._seen)
            self._seen = ticks
            return self._now

    def keep(self) -> None:
        """Make the present durable."""
        self._store.replace_head(self._key, f"{self.now()}\n".encode())

    def _kept(self) -> int:
        data = read_optional(self._store, self._key)
        text = (data or b"0").decode("ascii", "replace").strip()
        if not text.isdecimal() or len(text) > _DIGITS:
            raise StorageError(
                f"{self._key}: expected a number, got {text[:40]!r}",
                hint="remove the file: service time then goes on from the log's last entry",
            )
        return int(text)
