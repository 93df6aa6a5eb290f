"""What is assumed where nothing has been measured yet.

The figures are of two cores with the registers beside them, without a slow line
(docs/performance.md); `bench forecast` compares them with measurements. They are said wherever they
are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exclave.values import dataclass

__all__ = ["ASSUMED", "KindRates", "Rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRates:
    """Bytes a second of one kind of source, and its share in manifests."""

    capture: int
    restore: int  # comparison included
    manifest: float  # bytes of manifest for each byte captured


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """All that is assumed."""

    kinds: Mapping[str, KindRates]
    stored: float  # bytes stored for each byte captured
    per_file: int  # bytes of manifest
    capture_start: float  # seconds before the first byte of a deposit
    restore_start: float  # seconds, of each register
    padding: int  # bytes of a deposit's last packs that hold nothing, for each pack kind

    def of(self, kind: str) -> KindRates:
        """The slowest of the kinds that a register has (`files+postgresql`)."""
        found = [self.kinds[name] for name in kind.split("+")]
        return KindRates(
            capture=min(item.capture for item in found),
            restore=min(item.restore for item in found),
            manifest=max(item.manifest for item in found),
        )

    def said(self) -> str:
        """In words."""
        rates = ", ".join(
            f"{name} {item.capture / 1e6:.0f} and {item.restore / 1e6:.0f}"
            for name, item in self.kinds.items()
        )
        return (
            f"assumed where nothing was measured: capture and restore in MB/s: {rates}; "
            f"{self.stored:.0%} of what is read is stored; the line is not counted"
        )


ASSUMED: Final = Rates(
    kinds={
        "postgresql": KindRates(capture=60_000_000, restore=20_000_000, manifest=0.002),
        "sqlite": KindRates(capture=80_000_000, restore=120_000_000, manifest=0.001),
        "files": KindRates(capture=90_000_000, restore=140_000_000, manifest=0.001),
        "command": KindRates(capture=80_000_000, restore=140_000_000, manifest=0.001),
    },
    stored=0.6,
    per_file=200,
    capture_start=1.5,
    restore_start=1.0,
    padding=16 * 1024,
)
