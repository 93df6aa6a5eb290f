"""What stands at a vault that bears on keeping and quotas, as the sweep and the quotas ask for it.

A value, made from what stands (spec/standing.md). Its defaults are what a vault without any order
has: nothing is released, so nothing that a record names is ever swept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from exclave.authority.charter_chain import CharterChain
from exclave.ids import DepositId, PackRoot, StatementHash
from exclave.standing.effects import extensions, held, released_packs
from exclave.standing.values import Kept, Standing
from exclave.values import dataclass, field
from exclave.vault.survey.suspicion import compromised_authors

__all__ = ["Keeping", "keeping_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Orders in effect now."""

    locked: bool = False  # a lockdown stands
    frozen: bool = False  # a conflict of charters (spec/standing.md 6)
    released: Mapping[PackRoot, StatementHash] = field(default_factory=lambda: MappingProxyType({}))
    """Packs that an effective release names, with one such release."""
    holds_all: bool = False
    held: frozenset[DepositId] = frozenset()
    extended_all: datetime | None = None
    extended: Mapping[DepositId, datetime] = field(default_factory=lambda: MappingProxyType({}))
    compromised: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    """Names of authors (`exclave.authority.record_chain.Author`) with the moment since when."""
    drilled: frozenset[DepositId] = frozenset()
    """Deposits that a drill has passed on."""


def keeping_of(standing: Standing, chain: CharterChain) -> Keeping:
    """Orders in effect, by what stands; authors by the charters that compromises name."""
    kept, holds = extensions(standing), held(standing)
    everywhere = [item.until for item in kept if item.deposits is None]
    return Keeping(
        locked=standing.locked,
        frozen=standing.frozen_era is not None,
        released=released_packs(standing),
        holds_all=holds is None,
        held=frozenset() if holds is None else holds,
        extended_all=max(everywhere, default=None),
        extended=_by_deposit(kept),
        compromised={
            author.name: since for author, since in compromised_authors([standing], chain).items()
        },
    )


def _by_deposit(kept: tuple[Kept, ...]) -> dict[DepositId, datetime]:
    found: dict[DepositId, datetime] = {}
    for item in kept:
        for deposit in item.deposits or ():
            found[deposit] = max(item.until, found.get(deposit, item.until))
    return found
