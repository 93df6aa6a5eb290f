"""A forecast of the next deposit and of a reconstruction, register by register and in all.

From what earlier deposits took, as the local catalogue has it; where a register was never
deposited, from its size and stated rates. It promises nothing: it is there to be red before a night
is too short.

Rules
- Each figure says what it rests on: measured, assumed, or not known, which is never shown as none.
- The first deposit of a register stores everything, so it says nothing about later ones once there
  is a second.
- A register's restore time is that of a drill where one has measured it, without the warrant's
  delay, else its size by the rate of its kind. What it depends on is restored before it and counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from exclave.check.rates import ASSUMED, Rates
from exclave.deposit.catalogue_entry import CatalogueEntry, RegisterSummary
from exclave.plan import RegisterPlan, needs
from exclave.source.interface import SourceSize
from exclave.values import dataclass, replace

__all__ = ["Dispersed", "Forecast", "RegisterForecast", "make_forecast"]

_RECENT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersed:
    """Over how many seats a pack goes, and how many rebuild it."""

    k: int
    n: int

    def seat(self, stored: float) -> int:
        """Bytes for one seat."""
        return round(stored / self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterForecast:
    """One register."""

    id: str
    basis: str  # "measured", "assumed" or "unknown"
    bytes: int  # to be read
    capture: float  # seconds
    seat: int  # bytes that each seat gets
    manifest: int  # bytes of the deposit's manifest
    restore: float  # seconds, by itself
    restore_basis: str
    restored_after: float  # seconds until it and all that it depends on are there; no delay in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All registers of the plan in one deposit."""

    registers: tuple[RegisterForecast, ...]
    duration: float  # seconds
    uplink: int  # bytes to all seats
    seat: int  # bytes that each seat gets, and that wait in the spool while it is away
    manifest: int  # bytes
    restore: float  # seconds: all, one after the other
    unknown: tuple[str, ...]  # registers of which nothing is known: the sums are without them

    @property
    def assumed(self) -> bool:
        """Whether some figure rests on assumed rates."""
        return any("assumed" in (r.basis, r.restore_basis) for r in self.registers)


def make_forecast(
    plans: Sequence[RegisterPlan],
    entries: Sequence[CatalogueEntry],
    sizes: Mapping[str, SourceSize | None],
    restored: Mapping[str, float],
    dispersed: Dispersed,
    *,
    rates: Rates = ASSUMED,
    line: int | None = None,
) -> Forecast:
    """`entries` oldest first; `sizes` of registers never deposited; `restored`: seconds by a drill.

    `line`: bytes a second to all seats together, if that is known beforehand.
    """
    known = _Known(entries, sizes, restored, dispersed, rates)
    found = {plan.id: known.register(plan) for plan in plans}
    registers = tuple(_after(plan, plans, found) for plan in plans)
    uplink = sum(item.seat for item in registers) * dispersed.n
    capture = sum(item.capture for item in registers) + _beside(entries, rates)
    return Forecast(
        registers=registers,
        duration=capture if line is None else max(capture, uplink / line),
        uplink=uplink,
        seat=sum(item.seat for item in registers),
        manifest=sum(item.manifest for item in registers),
        restore=sum(item.restore for item in registers),
        unknown=tuple(item.id for item in registers if item.basis == "unknown"),
    )


class _Known:
    """What is known of each register."""

    def __init__(
        self,
        entries: Sequence[CatalogueEntry],
        sizes: Mapping[str, SourceSize | None],
        restored: Mapping[str, float],
        dispersed: Dispersed,
        rates: Rates,
    ) -> None:
        self._entries = entries
        self._sizes = sizes
        self._restored = restored
        self._dispersed = dispersed
        self._rates = rates

    def register(self, plan: RegisterPlan) -> RegisterForecast:
        """One, by itself."""
        past = [
            (entry, item)
            for entry in self._entries
            for item in entry.registers
            if item.id == plan.id
        ]
        if past:
            return self._measured(plan, past[1:][-_RECENT:] or past)
        return self._assumed(plan, self._sizes.get(plan.id))

    def _measured(
        self, plan: RegisterPlan, past: Sequence[tuple[CatalogueEntry, RegisterSummary]]
    ) -> RegisterForecast:
        return self._forecast(
            plan,
            basis="measured",
            size=past[-1][1].bytes,
            capture=median(item.capture_ms for _, item in past) / 1000,
            seat=median(self._sent(entry, item) for entry, item in past),
            manifest=median(entry.manifest_bytes * _share(entry, item) for entry, item in past),
        )

    def _sent(self, entry: CatalogueEntry, item: RegisterSummary) -> float:
        """A register's part of what one seat got; a seat that was late got less than others."""
        if not any(count for _, count in entry.sent):
            return self._dispersed.seat(item.stored + entry.manifest_bytes * _share(entry, item))
        stored = sum(each.stored for each in entry.registers)
        part = item.stored / stored if stored else _share(entry, item)
        return max(count for _, count in entry.sent) * part

    def _assumed(self, plan: RegisterPlan, size: SourceSize | None) -> RegisterForecast:
        if size is None:
            return self._forecast(plan, basis="unknown", size=0, capture=0, seat=0, manifest=0)
        rates, all_rates = self._rates.of(plan.kind), self._rates
        manifest = size.bytes * rates.manifest + size.files * all_rates.per_file + all_rates.padding
        return self._forecast(
            plan,
            basis="assumed",
            size=size.bytes,
            capture=size.bytes / rates.capture,
            seat=self._dispersed.seat(size.bytes * all_rates.stored + manifest + all_rates.padding),
            manifest=manifest,
        )

    def _forecast(
        self,
        plan: RegisterPlan,
        *,
        basis: str,
        size: int,
        capture: float,
        seat: float,
        manifest: float,
    ) -> RegisterForecast:
        measured = self._restored.get(plan.id)
        restore = size / self._rates.of(plan.kind).restore + self._rates.restore_start
        if measured is None and basis == "unknown":
            restore = 0
        return RegisterForecast(
            id=plan.id,
            basis=basis,
            bytes=size,
            capture=capture,
            seat=round(seat),
            manifest=round(manifest),
            restore=restore if measured is None else measured,
            restore_basis="measured"
            if measured is not None
            else "unknown"
            if basis == "unknown"
            else "assumed",
            restored_after=0,
        )


def _share(entry: CatalogueEntry, item: RegisterSummary) -> float:
    """A register's part of what all of a deposit hold in common."""
    read = sum(each.bytes for each in entry.registers)
    return item.bytes / read if read else 1 / len(entry.registers)


def _beside(entries: Sequence[CatalogueEntry], rates: Rates) -> float:
    """Seconds of a deposit in which no register is captured: the manifest, the last packs."""
    recent = [
        (entry.elapsed_ms - sum(item.capture_ms for item in entry.registers)) / 1000
        for entry in entries[-_RECENT:]
    ]
    return max(0.0, median(recent)) if recent else rates.capture_start


def _after(
    plan: RegisterPlan, plans: Sequence[RegisterPlan], found: Mapping[str, RegisterForecast]
) -> RegisterForecast:
    """With the time of everything that it depends on."""
    needed = {plan.id, *needs(plan, plans)}
    return replace(found[plan.id], restored_after=sum(found[name].restore for name in needed))
