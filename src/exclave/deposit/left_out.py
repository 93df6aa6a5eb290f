"""Packs of registers that a deposit leaves out: whoever deposits these next shares them again.

A record names what its deposit refers to and nothing more (spec/records.md 2), so that packs of
other registers are dropped by it. The vaults keep them; forgotten here, each register would be sent
anew after every deposit of another. Only what the last deposit of a register refers to is kept.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from exclave.authority.record import PackKindName
from exclave.ids import Epoch, PackRoot

if TYPE_CHECKING:
    from exclave.deposit.catalogue import Catalogue

__all__ = ["packs_of"]


def packs_of(catalogue: Catalogue, registers: Set[str], *, epoch: Epoch) -> frozenset[PackRoot]:
    """Data packs of this epoch that the last deposits of these registers refer to."""
    found: set[PackRoot] = set()
    wanted = set(registers)
    for entry in reversed(catalogue.entries() if wanted else []):
        named = wanted.intersection(item.id for item in entry.registers)
        if not named:
            continue
        wanted -= named
        live = catalogue.live(entry.sequence)
        if live is not None and live.epoch == epoch:
            data = PackKindName.DATA
            found |= {root for root, pack in live.packs.items() if pack.kind is data}
        if not wanted:
            break
    return frozenset(found)
