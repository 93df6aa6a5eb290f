"""Checks of rehearsal: when each register was last restored in a drill, and how long it took.

The charter says how often. A mission's first interval runs from its first deposit: before there is
one, there is nothing to rehearse.

Rules
- Evidence is a register's own: every one needs a drill within the interval in which it came back,
  of all registers or of some. One that failed is red, and so is what depends on it.
- One that took longer than its RTO is red; one that took otherwise than forecast warns for a while:
  the next forecast has learned from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from exclave.certificate.drill import parse_drill
from exclave.clock import parse_time
from exclave.deposit.catalogue_entry import CatalogueEntry
from exclave.errors import ExclaveError
from exclave.evidence import Evidence, EvidenceStore
from exclave.plain_words import duration, of_seat, roughly
from exclave.plan import RegisterPlan, needs
from exclave.values import dataclass, replace
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.waiting import Waiting, WaitingStore

__all__ = ["Rehearsed", "check_drills", "check_waiting", "rehearsed"]

_DAY: Final = 86_400
_SAID: Final = 30 * _DAY
"""So long `check` says that a drill took otherwise than forecast: a monthly look sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What passed drills measured."""

    restore: Mapping[str, float]  # seconds of work on a register, by itself
    access: float | None  # seconds until its reader might read: signing, the delay, cards


def rehearsed(plans: Sequence[RegisterPlan], store: EvidenceStore) -> Rehearsed:
    """By the last passed drill of each register; what cannot be read is said by `check_drills`."""
    restore: dict[str, float] = {}
    access: list[float] = []
    for plan in plans:
        try:
            last = store.latest("drill", plan.id, passed=True)
            drill = None if last is None else parse_drill(store.envelope(last))
        except ExclaveError:
            continue
        if drill is None:
            continue
        for item in drill.registers:
            if item.result.id == plan.id:
                restore[plan.id] = (drill.own_work(plan.id) or 0) / 1000
                access.append((item.rto_ms - item.work_ms) / 1000)
    return Rehearsed(restore=restore, access=max(access, default=None))


def check_drills(
    plans: Sequence[RegisterPlan],
    store: EvidenceStore,
    entries: Sequence[CatalogueEntry],
    *,
    days: int,
    moment: datetime,
) -> Iterator[CheckResult]:
    """One result for each register; `days`: how often the charter wants a drill."""
    failed = {plan.id for plan in plans if _failed(store, plan.id)}
    for plan in plans:
        first = next(
            (e.started for e in entries if any(item.id == plan.id for item in e.registers)), None
        )
        try:
            found = _drill(plan, store, first, days, moment)
        except ExclaveError as error:
            found = CheckResult(
                what=f"drill of {plan.id}", good=False, said=error.message, hint=error.hint
            )
        yield _with_needs(found, sorted(failed & needs(plan, plans)))


def _failed(store: EvidenceStore, register: str) -> bool:
    """Whether the newest drill of a register failed; what cannot be read is said elsewhere."""
    try:
        last = store.latest("drill", register)
    except ExclaveError:
        return False
    return last is not None and not last.passed


def _with_needs(found: CheckResult, failed: Sequence[str]) -> CheckResult:
    if not failed:
        return found
    said = (
        f"{found.said}; it depends on {', '.join(failed)}, which the last drill did not bring back"
    )
    return replace(found, good=False, said=said, hint=found.hint or "exclave drill")


def _drill(
    plan: RegisterPlan, store: EvidenceStore, first: str | None, days: int, moment: datetime
) -> CheckResult:
    what = f"drill of {plan.id}"
    passed = store.latest("drill", plan.id, passed=True)
    last = store.latest("drill", plan.id)
    begun = first if last is None else first or last.ended
    if begun is None:
        return CheckResult(what=what, good=True, said="no deposit yet that could be rehearsed")
    since = parse_time(begun if passed is None else passed.ended)
    age = (moment - since).total_seconds()
    figure = Figure(label=f"{plan.id}_drill_age", value=int(age), unit="s", bad=days * _DAY)
    said, bad, hint = _passed_words(passed, age, days), age > days * _DAY, "exclave drill"
    if last is not None and not last.passed:
        said, bad = f"{said}; the last, of {last.ended}, did not bring it back", True
    if not bad and passed is not None and passed.seconds is not None and passed.seconds > plan.rto:
        said += f"; it took {roughly(passed.seconds)}, longer than its RTO of {duration(plan.rto)}"
        bad, hint = True, "a shorter delay, a faster machine, or a longer RTO that is agreed on"
    unforeseen = None if passed is None else _unforeseen(passed, age)
    return CheckResult(
        what=what,
        good=not bad,
        said=said if unforeseen is None else f"{said}; {unforeseen}",
        warns=unforeseen is not None,
        hint=hint if bad else None,
        figures=(figure,),
    )


def _passed_words(passed: Evidence | None, age: float, days: int) -> str:
    if passed is None:
        return f"never passed, {roughly(age)} after the first deposit; every {days} d is agreed"
    return f"passed {roughly(age)} ago, every {days} d is agreed"


def _unforeseen(passed: Evidence, age: float) -> str | None:
    if passed.foreseen is not False or passed.work is None or passed.forecast is None:
        return None
    if age > _SAID:
        return None
    took = f"{roughly(passed.work)} of work where {roughly(passed.forecast)} was forecast"
    return f"{took}, off by more than 30 %: the forecast has learned from it"


def check_waiting(evidence: Path) -> Iterator[CheckResult]:
    """Certificates whose attestation some vault could not take yet: which, where and why."""
    for item in WaitingStore(evidence).all():
        if not isinstance(item, Waiting):
            yield CheckResult(
                what="certificate that waits", good=False, said=item.message, hint=item.hint
            )
            continue
        seats = "; ".join(of_seat(seat, why) for seat, why in sorted(item.seats.items()))
        yield CheckResult(
            what=f"certificate {item.of} {item.certificate.hex()[:16]}",
            good=True,
            warns=True,
            said=f"its attestation waits: {seats}",
            hint="the next deposit or exclave deposit --catch-up hands it in again",
        )
