"""Warrants at one vault: which are open, where they stand, how many one person may have open.

Rules
- Expiry is looked at before signatures; a signature is verified once for each pair of charters.
- One official who floods takes only his own places: a warrant is logged while at least one of
  those who signed it has a place left (spec/authority.md 6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.authority.warrant import (
    Moment,
    ReleaseInputs,
    Warrant,
    WarrantStanding,
    counting_persons,
    parse_warrant,
    warrant_state,
)
from exclave.ids import PersonId, StatementHash
from exclave.vault.problems import refused
from exclave.vault.state import Index, WarrantRow

__all__ = ["PLACES", "OpenWarrant", "OpenWarrants"]

PLACES: Final = 16
"""Warrants that one person may have open, or may have had logged within a day."""
_DAY_MS: Final = 24 * 3600 * 1000
_KEPT: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWarrant:
    """A warrant with all signatures that have arrived, parsed."""

    row: WarrantRow
    envelope: Envelope
    warrant: Warrant

    @classmethod
    def of(cls, row: WarrantRow) -> OpenWarrant:
        """Parse a row."""
        envelope = parse_envelope(row.envelope)
        return cls(row=row, envelope=envelope, warrant=parse_warrant(envelope))


class OpenWarrants:
    """The warrants of one mission; calls are serialised by the mission's lock."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._open: list[OpenWarrant] = []
        self._seen: tuple[int, datetime] | None = None
        self._counted: dict[tuple[bytes, StatementHash], frozenset[PersonId]] = {}

    def open(self, log_size: int, now: datetime) -> list[OpenWarrant]:
        """Those that have not expired; read again when the log has grown."""
        seen = self._seen
        if seen is None or seen[0] != log_size or now < seen[1]:
            everything = (OpenWarrant.of(row) for row in self._index.warrants())
            self._open = [item for item in everything if now < item.warrant.expires]
            self._seen = (log_size, now)
        return [item for item in self._open if now < item.warrant.expires]

    def standing(
        self, item: OpenWarrant, *, chain: CharterChain, in_force: Charter, now: Moment
    ) -> WarrantStanding:
        """Where a warrant stands."""
        inputs = ReleaseInputs(
            envelope=item.envelope,
            named=chain.find(item.warrant.charter),
            in_force=in_force,
            completed_ms=item.row.completed,
            now=now,
        )
        if now.expiry_time >= item.warrant.expires:
            return warrant_state(inputs)
        key = (item.row.envelope, in_force.statement_hash)
        persons = self._counted.get(key)
        if persons is None:
            persons = counting_persons(item.envelope, inputs.named, in_force)
            if len(self._counted) >= _KEPT:
                self._counted.clear()
            self._counted[key] = persons
        return warrant_state(inputs, persons)

    def check_places(
        self,
        signed: frozenset[PersonId],
        *,
        now: Moment,
        persons: Callable[[OpenWarrant], frozenset[PersonId]],
        logged_ms: Callable[[StatementHash], int],
    ) -> None:
        """Refuse a warrant when none of those who signed it has a place left."""
        taken: Counter[PersonId] = Counter()
        for row in self._index.warrants():
            item = OpenWarrant.of(row)
            if (
                now.expiry_time < item.warrant.expires
                or now.service_ms < logged_ms(row.statement) + _DAY_MS
            ):
                taken.update(persons(item))
        if all(taken[person] >= PLACES for person in signed):
            raise refused(
                "quota",
                f"warrant: expected at most {PLACES} open ones of one person, got another",
                hint="let another member of the read roster sign it first, or wait until some "
                "have expired",
            )
