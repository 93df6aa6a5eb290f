"""What stands at a vault that bears on keeping and quotas, as the sweep and the quotas ask for it.

A value, made from what stands (spec/standing.md). Its defaults are what a vault without any order
has: nothing is released, so nothing that a record names is ever swept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from exclave.ids import DepositId, PackRoot, StatementHash

__all__ = ["Keeping"]


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
