"""Whose keys were declared compromised, and which records that casts suspicion on.

A compromise means the keys that its depositors have in the charter that it names, from a moment of
log time on (spec/standing.md 7). Claimed times play no part, and one seat's log alone dates
nothing back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from exclave.authority.charter_chain import CharterChain
from exclave.authority.record import DepositRecord
from exclave.authority.record_chain import Author, author_of, seated_authors
from exclave.ids import StatementHash
from exclave.standing.effects import compromises
from exclave.standing.values import Standing
from exclave.values import dataclass

if TYPE_CHECKING:
    from exclave.vault.survey.survey import SeatView

__all__ = ["Suspicion", "compromised_authors"]


def compromised_authors(
    standings: Iterable[Standing], chain: CharterChain
) -> dict[Author, datetime]:
    """Authors with the earliest moment since when; a tightening counts wherever it stands."""
    found: dict[Author, datetime] = {}
    for standing in standings:
        for declared in compromises(standing):
            if declared.charter not in chain.hashes:
                continue
            for author in seated_authors(chain.find(declared.charter)):
                if author.depositor in declared.depositors:
                    found[author] = min(declared.since, found.get(author, declared.since))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Which records such keys may have made, by the logs of several seats."""

    chain: CharterChain
    views: tuple[SeatView, ...]
    since: Mapping[Author, datetime]

    @classmethod
    def of(cls, chain: CharterChain, views: Sequence[SeatView]) -> Suspicion:
        """By what stands at any seat."""
        standings = (view.standing for view in views if view.standing is not None)
        since = compromised_authors(standings, chain)
        return cls(chain=chain, views=tuple(views), since=since)

    def falls_on(self, record: DepositRecord, statement: StatementHash) -> bool:
        """Whether fewer than f+1 seats logged it before; one liar alone cannot date it back."""
        since = self.since.get(author_of(record, self.chain))
        if since is None:
            return False
        times = [view.logged(statement) for view in self.views]
        before = sum(time is not None and time < since for time in times)
        return before < self.chain.find(record.charter).witness.f + 1
