"""Counting what was refused: at most one log entry an hour (spec/ledger.md 6).

A log that never forgets must not be fillable by whoever is refused: refusals are counted by
peer and cause and logged once the hour is over. A crash loses the counts of its hour.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime
from typing import Final

from exclave.authority.envelope import envelope_for
from exclave.clock import Clock, format_time
from exclave.encoding import JsonValue
from exclave.ids import MissionId
from exclave.ledger.entry import EntryType
from exclave.vault.kept.log import Addition

__all__ = ["ANONYMOUS", "MAX_LINES", "OTHERS", "Refusals"]

ANONYMOUS: Final = "anonymous"
OTHERS: Final = "others"
MAX_LINES: Final = 256


class Refusals:
    """Counts of one mission in the hour that runs."""

    def __init__(self, mission: MissionId, clock: Clock) -> None:
        self._mission = mission
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._hour = self._now()

    def count(self, peer: str, cause: str) -> None:
        """One more; peers beyond what one entry holds are counted together."""
        with self._lock:
            key = (peer, cause)
            if key not in self._counts and len(self._counts) >= MAX_LINES - 32:
                key = (OTHERS, cause)
            self._counts[key] += 1

    def due(self) -> Addition | None:
        """What is to be logged of an hour that is over; it is then forgotten here."""
        with self._lock:
            hour = self._now()
            if hour == self._hour:
                return None
            over, self._hour = self._hour, hour
            counts, self._counts = self._counts, Counter()
        if not counts:
            return None
        lines: list[JsonValue] = [[peer, cause, n] for (peer, cause), n in sorted(counts.items())]
        envelope = envelope_for(
            {
                "kind": "refusals",
                "mission": self._mission.hex(),
                "hour": format_time(over),
                "counts": lines,
            }
        )
        return Addition(
            type=EntryType.REFUSALS, statement=envelope.statement_hash, body=envelope.to_bytes()
        )

    def _now(self) -> datetime:
        return self._clock().replace(minute=0, second=0, microsecond=0)
