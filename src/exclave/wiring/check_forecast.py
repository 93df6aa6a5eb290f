"""The forecast as checks, of each register and of all: red beyond window, RPO or RTO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from exclave.authority.charter_parts import RoleName
from exclave.check.forecast import Dispersed, Forecast, RegisterForecast, make_forecast
from exclave.check.rates import ASSUMED
from exclave.deposit.catalogue import Catalogue
from exclave.errors import ExclaveError
from exclave.plain_words import roughly, size
from exclave.plan import RegisterPlan
from exclave.source.interface import SourceSize
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.depositor import Home
from exclave.wiring.registers import task_of

if TYPE_CHECKING:
    from exclave.deposit.catalogue_entry import CatalogueEntry

__all__ = ["check_forecast", "entries_of", "forecast_of"]


def forecast_of(home: Home, restored: Mapping[str, float]) -> Forecast:
    """The next deposit of the whole plan; `restored`: seconds that drills measured, by register.

    Sources are asked for their size where no deposit says it; one that does not answer is unknown.
    """
    party, entries = home.party, entries_of(home)
    deposited = {item.id for entry in entries for item in entry.registers}
    mbit = home.settings.uplink_mbit
    return make_forecast(
        home.plan.registers,
        entries,
        {plan.id: _size(plan) for plan in home.plan.registers if plan.id not in deposited},
        restored,
        Dispersed(k=party.charter.dispersal.k, n=len(party.seats)),
        line=None if mbit is None else mbit * 125_000,
    )


def _size(plan: RegisterPlan) -> SourceSize | None:
    found = SourceSize(bytes=0)
    try:
        task = task_of(plan)
        for source in (*task.sources, *filter(None, [task.artefacts])):
            asked = source.size()
            if asked is None:
                return None
            found += asked
    except ExclaveError:
        return None  # what is wrong with it is said by its own check
    return found


def check_forecast(home: Home, found: Forecast, *, access: float | None) -> Iterator[CheckResult]:
    """One result for each register, one for all; `access`: seconds that drills took until reading.

    Where no drill has shown it, the warrant's delay alone is counted, without signing and cards.
    """
    delay = home.party.charter.role(RoleName.READ).delay
    wait = delay if access is None else max(delay, access)
    what = "are its delay" if access is None else "went by in a drill before anybody could read"
    plans = {plan.id: plan for plan in home.plan.registers}
    for item in found.registers:
        yield _register(plans[item.id], item, found, wait=wait, why=what)
    yield _all(home, found)


def _register(
    plan: RegisterPlan, item: RegisterForecast, found: Forecast, *, wait: float, why: str
) -> CheckResult:
    what = f"forecast of {plan.id}"
    if item.basis == "unknown":
        return CheckResult(
            what=what, good=True,
            said="not known before its first deposit: its source cannot tell its size",
        )  # fmt: skip
    ready = wait + item.restored_after
    figures = (
        Figure(label=f"{plan.id}_capture", value=round(item.capture, 1), unit="s"),
        Figure(label=f"{plan.id}_restore", value=round(ready, 1), unit="s", bad=plan.rto),
    )
    said = (
        f"{size(item.bytes)} captured in {roughly(item.capture)} ({item.basis}), "
        f"{size(item.seat)} to each seat; back {roughly(ready)} after a warrant "
        f"({item.restore_basis}), of which {roughly(wait)} {why}"
    )
    wrong = []
    if found.duration > plan.rpo:
        wrong.append(f"a deposit takes longer than its RPO of {roughly(plan.rpo)}")
    if ready > plan.rto:
        wrong.append(f"that is longer than its RTO of {roughly(plan.rto)}")
    return CheckResult(
        what=what, good=not wrong, said="; ".join([said, *wrong]), figures=figures,
        hint="a faster machine or line, or a longer objective that is agreed on" if wrong else None,
    )  # fmt: skip


def _all(home: Home, found: Forecast) -> CheckResult:
    window = home.settings.window
    late = window is not None and found.duration > window
    said = (
        f"{roughly(found.duration)} for a deposit, {size(found.uplink)} over all lines, manifest "
        f"{size(found.manifest)}; {roughly(found.restore)} to restore all, one after the other"
    )
    if window is not None:
        said += f"; window {roughly(window)}"
    if found.unknown:
        said += f"; without {', '.join(found.unknown)}"
    if found.assumed:
        said += f" ({ASSUMED.said()})"
    figures = (
        Figure(label="deposit", value=round(found.duration, 1), unit="s", bad=window),
        Figure(label="uplink", value=found.uplink, unit="B"),
        Figure(label="manifest", value=found.manifest, unit="B"),
        Figure(label="restore", value=round(found.restore, 1), unit="s"),
    )
    return CheckResult(
        what="forecast of a deposit", good=not late, said=said, figures=figures,
        hint="a longer window, a faster line, or fewer registers in one deposit" if late else None,
    )  # fmt: skip


def entries_of(home: Home) -> Sequence[CatalogueEntry]:
    """What the local catalogue has, oldest first."""
    folder = home.settings.catalogue
    return Catalogue(folder).entries() if folder.is_dir() else []
