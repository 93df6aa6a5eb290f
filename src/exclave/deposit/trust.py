"""What still counts of a depositor whose keys were in other hands from some moment on.

Whoever stole keys lodges records that verify. What they lodged is told from what the state lodged
by log time alone: before a compromise is a record that at least f+1 seats logged before it
(spec/standing.md 7). Claimed times play no part.

Pure: a survey and declared compromises in, records and packs out. Where the declarations come from
is the caller's matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from exclave.authority.record_chain import author_of
from exclave.ids import KeyId, PackRoot, Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.survey import DepositView, MissionView

__all__ = ["Compromise", "trusted_packs", "trusted_records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compromise:
    """From `since` on, these keys were not only their depositor's."""

    keys: frozenset[KeyId]
    since: datetime


def trusted_records(
    view: MissionView, compromises: Collection[Compromise]
) -> tuple[DepositView, ...]:
    """Records of nobody's stolen keys, in the survey's order: newest first."""
    least = view.charter.witness.f + 1
    return tuple(
        item
        for item in view.deposits
        if all(
            _seats_before(view, item.statement, limit.since) >= least
            for limit in compromises
            if limit.keys & set(author_of(item.record, view.chain).keys)
        )
    )


def trusted_packs(view: MissionView, compromises: Collection[Compromise]) -> frozenset[PackRoot]:
    """Packs that a trusted record added; nothing else may be shared or begun from."""
    return frozenset(
        pack.root for item in trusted_records(view, compromises) for pack in item.record.packs_added
    )


def _seats_before(view: MissionView, statement: StatementHash, since: datetime) -> int:
    return len(set(_logged_before(view, statement, since)))


def _logged_before(view: MissionView, statement: StatementHash, since: datetime) -> Iterator[Seat]:
    for seat in view.seats:
        if seat.verified and any(
            entry.statement == statement and entry.type is EntryType.RECORD and entry.logged < since
            for entry in seat.entries
        ):
            yield seat.seat
