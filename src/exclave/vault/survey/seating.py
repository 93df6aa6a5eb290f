"""What took effect before a seat was there: found in another seat's log, rehearsed for the new one.

    history_of(standing, statements, seat)   what an enrolment of that seat carries
    rehearse(enrolment)                      what will stand at the new vault; raises

Both follow spec/standing.md 10. Rules: what is handed to a new vault comes from a log that was
verified, in the order in which it took effect; a tightening order that nobody counted for any
more is left out, and whatever else would not take effect is an error before the vault pins it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.enrolment import Enrolment, HistoryUnfit
from exclave.authority.envelope import TIGHTENING, Envelope
from exclave.authority.orders import Veto
from exclave.authority.permission import Declare, Grant
from exclave.authority.warrant import Warrant
from exclave.errors import AuthorityError
from exclave.ids import MissionId, Seat, StatementHash
from exclave.ledger.entry import EntryType, LogEntry
from exclave.standing.admission import admit
from exclave.standing.phases import Phase
from exclave.standing.values import Standing
from exclave.vault.kept.hearing import EnvelopeSigners, Hearing, value_of

__all__ = ["SeatNotJoining", "history_of", "rehearse"]

_PASSING: Final = (Charter, Warrant, Grant, Declare)
"""No part of a history, or only while in force: what a host declares for years would fill it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SeatNotJoining(AuthorityError):
    """No charter in force has the seat."""


class _Rehearsal:
    """The log that a new vault will have, without a vault."""

    def __init__(self, mission: MissionId, seat: Seat, charter: Envelope) -> None:
        self._mission = mission
        self._hearing = Hearing(seat)
        self._size = 0
        self._hear(charter, EntryType.CHARTER)

    @property
    def standing(self) -> Standing:
        """What stands after what was taken."""
        return self._hearing.standing

    def take(self, envelope: Envelope) -> None:
        """One more statement; raises why it is not taken, or would not take effect."""
        value, name = value_of(envelope), envelope.statement_hash
        kind = admit(self.standing, self._mission, name, value, EnvelopeSigners(envelope))
        tight = envelope.kind in TIGHTENING
        if kind is EntryType.CONFLICT or isinstance(value, Veto):
            raise HistoryUnfit(f"{envelope.kind} {name.hex()[:16]}: no part of a history")
        self._hear(envelope, kind)
        if not tight and self.standing.items[name].phase is not Phase.EFFECTIVE:
            raise HistoryUnfit(f"{envelope.kind} {name.hex()[:16]}: did not take effect")

    def _hear(self, envelope: Envelope, kind: EntryType) -> None:
        body = envelope.to_bytes()
        entry = LogEntry(
            type=kind,
            mission=self._mission,
            hash=hashlib.sha256(body).digest(),
            size=len(body),
            statement=envelope.statement_hash,
            logged=_EPOCH,
            service=0,
        )
        self._hearing.hear(self._size, entry, body)
        self._size += 1


def rehearse(enrolment: Enrolment) -> Standing:
    """What will stand when the vault's log begins; raises `HistoryUnfit` with what does not fit."""
    rehearsal = _Rehearsal(enrolment.mission, enrolment.seat, enrolment.charter)
    for place, envelope in enumerate(enrolment.history):
        try:
            rehearsal.take(envelope)
        except AuthorityError as error:
            raise HistoryUnfit(
                f"enrolment.history[{place}]: {error.message}",
                hint="make it again from the vaults' logs: exclave charter enrolments",
            ) from error
    return rehearsal.standing


def history_of(
    standing: Standing, statements: Mapping[StatementHash, Envelope], seat: Seat
) -> tuple[Envelope, ...]:
    """What an enrolment of `seat` carries, by one log; empty when charter 1 has the seat.

    Raises `SeatNotJoining` when no charter in force has it.
    """
    first = standing.history[0][0]
    if standing.charter_of(first).seats_vault(seat):
        return ()
    rehearsal = _Rehearsal(standing.charter_of(first).mission_id, seat, statements[first])
    found: list[Envelope] = []
    for _, _, name in sorted(_in_effect(standing)):
        envelope = statements[name]
        try:
            rehearsal.take(envelope)
        except AuthorityError:
            if envelope.kind not in TIGHTENING:
                raise
            continue  # by somebody who did not count any more when it was logged as it is now
        found.append(envelope)
        if not rehearsal.standing.joining:
            return tuple(found)
    raise SeatNotJoining(
        f"seat {seat}: no charter that has it is in force",
        hint="wait until the charter is in force at the other vaults",
    )


def _in_effect(standing: Standing) -> Iterator[tuple[int, int, StatementHash]]:
    """Charters and orders that took effect: when, by which entry, which."""
    since = dict(standing.history[1:])
    for name, item in standing.items.items():
        if name in since:
            yield since[name], item.number, name
        elif isinstance(item.value, _PASSING) or item.effective is None:
            continue
        else:
            yield item.effective, item.number, name
    for name, order in standing.tightened.items():
        if order.persons and not isinstance(order.value, Veto):
            yield order.since, order.number, name
