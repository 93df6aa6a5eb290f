"""Checks of rehearsal: when each register was last restored in a drill, and how long it took.

The charter says how often. A mission's first interval runs from its first deposit: before there is
one, there is nothing to rehearse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from exclave.certificate.drill import parse_drill
from exclave.clock import parse_time
from exclave.deposit.catalogue_entry import CatalogueEntry
from exclave.errors import ExclaveError
from exclave.evidence import EvidenceStore
from exclave.plain_words import roughly
from exclave.plan import RegisterPlan
from exclave.values import dataclass
from exclave.wiring.check_results import CheckResult, Figure

__all__ = ["Rehearsed", "check_drills", "rehearsed"]

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What passed drills measured."""

    restore: Mapping[str, float]  # seconds to restore and compare a register, by itself
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
        for item in () if drill is None else drill.registers:
            if item.result.id == plan.id:
                restore[plan.id] = (item.restore_ms + item.compare_ms) / 1000
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
    for plan in plans:
        first = next(
            (e.started for e in entries if any(item.id == plan.id for item in e.registers)), None
        )
        try:
            yield _drill(plan, store, first, days, moment)
        except ExclaveError as error:
            yield CheckResult(
                what=f"drill of {plan.id}", good=False, said=error.message, hint=error.hint
            )


def _drill(
    plan: RegisterPlan, store: EvidenceStore, first: str | None, days: int, moment: datetime
) -> CheckResult:
    what = f"drill of {plan.id}"
    passed = store.latest("drill", plan.id, passed=True)
    last = store.latest("drill", plan.id)
    if passed is None and first is None:
        return CheckResult(what=what, good=True, said="no deposit yet that could be rehearsed")
    since = parse_time(first or "") if passed is None else parse_time(passed.ended)
    age = (moment - since).total_seconds()
    figure = Figure(label=f"{plan.id}_drill_age", value=int(age), unit="s", bad=days * _DAY)
    failed = last is not None and not last.passed
    if passed is None:
        said = f"never passed, {roughly(age)} after the first deposit; every {days} d is agreed"
    else:
        said = f"passed {roughly(age)} ago, every {days} d is agreed"
    if failed and last is not None:
        said += f"; the last, of {last.ended}, did not pass"
    return CheckResult(
        what=what, good=age <= days * _DAY and not failed, said=said, figures=(figure,),
        hint="exclave drill" if failed or age > days * _DAY else None,
    )  # fmt: skip
