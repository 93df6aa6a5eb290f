"""Expiry time: what may end or go because time has passed is judged by it (spec/vault-http.md 8).

Whoever could move it forwards could have a deposit's retention pass in an afternoon. So it is the
least of three times that nobody moves together: the wall clock, the service time since enrolment,
and what at least f+1 witnesses have said lately. `expiry_time` is the rule; `ExpiryClock` holds the
present and keeps it in `meta/`.

Rules
- It never goes back while the vault runs, and stands still without a quorum of fresh timestamps.
- A kept time that service time does not allow counts for no more than service time allows: a
  forged file shortens nothing. What a crash loses of it only makes things stay longer.
- Nothing happens because it moves: it permits, and never triggers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from exclave.clock import Clock, format_time, parse_time
from exclave.errors import MalformedData, StorageError
from exclave.values import dataclass
from exclave.vault.kept.storage import ObjectStore, read_optional

__all__ = [
    "ExpiryClock",
    "ExpiryInputs",
    "WitnessRules",
    "WitnessTimes",
    "entry_time",
    "expiry_time",
    "fresh_times",
]

WitnessTimes = Callable[[], Mapping[str, datetime]]
"""Gives each counting witness's newest timestamp by the witness's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessRules:
    """The witness numbers of the charter in force."""

    f: int  # liars that are borne
    q: int  # a quorum
    freshness: int  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryInputs:
    """All that decides on expiry time."""

    wall: datetime
    enrolled: datetime  # by the log's entry 0
    service_ms: int
    times: Mapping[str, datetime]  # of the witnesses, the vault included
    rules: WitnessRules


def fresh_times(times: Mapping[str, datetime], wall: datetime, freshness: int) -> list[datetime]:
    """The timestamps that are not too old, latest first."""
    oldest = wall - timedelta(seconds=freshness)
    return sorted((time for time in times.values() if time >= oldest), reverse=True)


def expiry_time(inputs: ExpiryInputs) -> datetime | None:
    """How far expiry time may move now; None while there is no witness quorum."""
    rules = inputs.rules
    fresh = fresh_times(inputs.times, inputs.wall, rules.freshness)
    if len(fresh) < max(rules.q, rules.f + 1):
        return None
    return min(
        inputs.wall,
        inputs.enrolled + timedelta(milliseconds=inputs.service_ms),
        fresh[rules.f],  # of f + 1 witnesses one does not lie: it is no later than the truth
    )


def entry_time(logged: datetime, enrolled: datetime, service_ms: int) -> datetime:
    """When an entry was logged, for retention: never before expiry time was there."""
    return max(logged, enrolled + timedelta(milliseconds=service_ms))


class ExpiryClock:
    """One mission's expiry time."""

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        *,
        enrolled: datetime,
        wall: Clock,
        service: Callable[[], int],
        own: str,
        times: WitnessTimes,
        rules: Callable[[], WitnessRules],
    ) -> None:
        """`own` is this vault's name as a witness; `times` may name it or not."""
        self._store = store
        self._key = key
        self._enrolled = enrolled
        self._wall = wall
        self._service = service
        self._own = own
        self._times = times
        self._rules = rules
        self._lock = threading.Lock()
        self._now = enrolled
        kept = self._kept()
        if kept is not None:
            allowed = enrolled + timedelta(milliseconds=service())
            self._now = max(enrolled, min(kept, allowed))

    @property
    def enrolled(self) -> datetime:
        """When service time began."""
        return self._enrolled

    def inputs(self) -> ExpiryInputs:
        """What there is to decide on now."""
        wall = self._wall()
        return ExpiryInputs(
            wall=wall,
            enrolled=self._enrolled,
            service_ms=self._service(),
            times={**self._times(), self._own: wall},
            rules=self._rules(),
        )

    def now(self) -> datetime:
        """Never earlier than before; whole seconds."""
        reached = expiry_time(self.inputs())
        with self._lock:
            if reached is not None:
                self._now = max(self._now, reached.astimezone(UTC).replace(microsecond=0))
            return self._now

    def keep(self) -> None:
        """Make the present durable; service time is kept first, since it bounds this."""
        self._store.replace_head(self._key, f"{format_time(self.now())}\n".encode())

    def _kept(self) -> datetime | None:
        data = read_optional(self._store, self._key)
        if data is None:
            return None
        try:
            return parse_time(data.decode("ascii", "replace").removesuffix("\n"))
        except MalformedData as error:
            raise StorageError(
                f"{self._key}: expected a time, got {data[:40]!r}",
                hint="remove the file: expiry time then goes on from the log's first entry",
            ) from error
