"""How the log's statements reach the rules of `exclave.standing`: parsed, with their signatures.

The same code serves the vault, which follows its own log, and whoever reads a log from outside. It
believes the log: what may be in one was decided by `exclave.vault.mission.submission`.

Rules
- Signatures of one statement add up over its entries; each is verified once for each charter.
- A signature that fails for a charter which came later counts for nothing: whoever planted it
  under a key that was to be enrolled must not undo what others signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.envelope import ORDERS, Envelope, Kind, parse_envelope
from exclave.authority.keys import TypedKey
from exclave.authority.orders import parse_order
from exclave.authority.persons import signed_by, signed_persons
from exclave.authority.warrant import parse_warrant
from exclave.errors import AuthorityError, IntegrityError
from exclave.ids import KeyId, PersonId, Seat, StatementHash
from exclave.ledger.entry import EntryType, LogEntry
from exclave.standing.machine import Conflicting, Event, advance, begin, follow, quiet_until
from exclave.standing.values import Heard, Standing, Value, Witnessed
from exclave.values import replace
from exclave.vault.kept.cosigned import covered_size

__all__ = ["FOLLOWED", "EnvelopeSigners", "Hearing", "NothingHeard", "value_of"]

FOLLOWED: Final = frozenset(
    {
        EntryType.CHARTER,
        EntryType.CONFLICT,
        EntryType.WARRANT,
        EntryType.ORDER,
        EntryType.SIGNATURES,
        EntryType.WITNESSED,
    }
)
"""Entries that decide what stands; all others leave it as it is."""


class NothingHeard(IntegrityError):
    """A log that does not begin with the mission's first charter."""


class EnvelopeSigners:
    """Who signed an envelope, counted by each charter's keys."""

    __slots__ = ("_keys", "_known", "envelope")

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self._known: dict[StatementHash, frozenset[PersonId]] = {}
        self._keys: dict[KeyId, bool] = {}

    def has(self, key: TypedKey) -> bool:
        """Whether that key signed; no where its signature is bad."""
        found = self._keys.get(key.key_id)
        if found is None:
            try:
                found = signed_by(self.envelope, key)
            except AuthorityError:
                found = False
            self._keys[key.key_id] = found
        return found

    def by(self, charter: Charter) -> frozenset[PersonId]:
        """Officials of a charter who signed; nobody where a known key's signature is bad."""
        name = charter.statement_hash
        found = self._known.get(name)
        if found is None:
            try:
                found = signed_persons(self.envelope, charter.officials)
            except AuthorityError:
                found = frozenset()
            self._known[name] = found
        return found


def value_of(envelope: Envelope) -> Value:
    """What a charter's, warrant's or order's envelope says."""
    if envelope.kind is Kind.CHARTER:
        return parse_charter(envelope)
    if envelope.kind is Kind.WARRANT:
        return parse_warrant(envelope)
    return parse_order(envelope)


class Hearing:
    """Follows one log; `standing` is what stands after the last entry that was heard."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._standing: Standing | None = None
        self._envelopes: dict[StatementHash, Envelope] = {}
        self._quiet: int | None = 0  # until then nothing changes by itself; None: for ever

    @property
    def standing(self) -> Standing:
        """What stands; raises `NothingHeard` before charter 1."""
        if self._standing is None:
            raise NothingHeard("log: expected charter 1 as its first entry, got none")
        return self._standing

    def at(self, now: int) -> Standing:
        """What stands at a later service time, which is remembered; callers hold the lock."""
        later = self.seen_at(now)
        if self._quiet is not None and now >= self._quiet:
            self._take(later)
        return later

    def seen_at(self, now: int) -> Standing:
        """The same, remembering nothing: for those who hold no lock."""
        standing = self.standing
        later = max(now, standing.now)
        if self._quiet is None or later < self._quiet:
            return replace(standing, now=later)
        return advance(standing, later)

    def envelope(self, statement: StatementHash) -> Envelope | None:
        """A statement with all signatures that were heard."""
        return self._envelopes.get(statement)

    @property
    def envelopes(self) -> Mapping[StatementHash, Envelope]:
        """Every statement that was heard, each with all its signatures."""
        return dict(self._envelopes)

    def hear(self, number: int, entry: LogEntry, body: bytes) -> None:
        """One more entry of the log with its body; all or nothing."""
        self.hear_all([(number, entry, body)])

    def hear_all(self, entries: Iterable[tuple[int, LogEntry, bytes]]) -> None:
        """Many entries in order, all or nothing; a long log is followed at once."""
        envelopes: dict[StatementHash, Envelope] = {}
        events = (
            self._event(number, entry, body, envelopes)
            for number, entry, body in entries
            if entry.type in FOLLOWED
        )
        standing = self._standing
        if standing is None:
            first = next(events, None)
            if not isinstance(first, Heard) or not isinstance(first.value, Charter):
                raise NothingHeard("log: expected charter 1 as its first entry, got another")
            standing = begin(first, self._seat)
        self._take(follow(standing, events))
        self._envelopes |= envelopes

    def _take(self, standing: Standing) -> None:
        self._standing = standing
        self._quiet = quiet_until(standing)

    def _event(
        self, number: int, entry: LogEntry, body: bytes, new: dict[StatementHash, Envelope]
    ) -> Event:
        if entry.type is EntryType.WITNESSED:
            return Witnessed(covers=covered_size(body), since=entry.service)
        envelope = parse_envelope(body, kinds={Kind.CHARTER, Kind.WARRANT, *ORDERS})
        statement = envelope.statement_hash
        known = new.get(statement) or self._envelopes.get(statement)
        if known is not None:
            envelope = known.merge(envelope)
        new[statement] = envelope
        heard = Heard(
            number=number,
            service=entry.service,
            logged=entry.logged,
            statement=statement,
            value=value_of(envelope),
            signers=EnvelopeSigners(envelope),
        )
        return Conflicting(heard) if entry.type is EntryType.CONFLICT else heard
