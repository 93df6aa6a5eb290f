"""Two deposits of the local catalogue, told apart by their outlines; asks nobody."""

from __future__ import annotations

from exclave.deposit.catalogue import Catalogue, CatalogueEntry
from exclave.deposit.differing import RegisterDiff, diff_registers
from exclave.deposit.outline import RegisterOutline
from exclave.deposit.outlines import KEPT, open_outline
from exclave.errors import ConfigurationError
from exclave.wiring.depositor import Home

__all__ = ["OutlineMissing", "compare_deposits"]


class OutlineMissing(ConfigurationError):
    """A deposit of which nothing is kept that it could be compared by."""


def compare_deposits(
    home: Home, before: CatalogueEntry, after: CatalogueEntry
) -> tuple[RegisterDiff, ...]:
    """Register by register; raises `OutlineMissing` and `OutlineUnreadable`."""
    catalogue = Catalogue(home.settings.catalogue)
    return diff_registers(_outline(home, catalogue, before), _outline(home, catalogue, after))


def _outline(
    home: Home, catalogue: Catalogue, entry: CatalogueEntry
) -> tuple[RegisterOutline, ...]:
    data = catalogue.outline(entry.sequence)
    if data is None:
        raise OutlineMissing(
            f"deposit {entry.deposit.hex()}: expected an outline to compare, got none",
            hint=f"the newest {KEPT} deposits have one, unless an earlier version made them",
        )
    return open_outline(
        data,
        mission=home.party.mission,
        deposit=entry.deposit,
        dedup_key=home.party.dedup_key,
    )
