"""Checks of rehearsal: when each register was last restored in a drill, and how long it took.

The charter says how often. A mission's first interval runs from its first deposit: before there is
one, there is nothing to rehearse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from exclave.clock import parse_time
from exclave.deposit.catalogue_entry import CatalogueEntry
from exclave.errors import ExclaveError
from exclave.evidence import EvidenceStore
from exclave.plain_words import roughly
from exclave.plan import RegisterPlan
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.depositor import Home

__all__ = ["check_drills", "restore_seconds"]

_DAY = 86_400


def restore_seconds(home: Home) -> dict[str, float]:
    """Seconds that the last passed drill took for each register, without the warrant's delay."""
    from exclave.authority.charter_parts import RoleName

    store = EvidenceStore(home.settings.evidence)
    delay = home.party.charter.role(RoleName.READ).delay
    found: dict[str, float] = {}
    for plan in home.plan.registers:
        try:
            last = store.latest("drill", plan.id, passed=True)
        except ExclaveError:
            return {}  # that it cannot be read is said by `check_drills`
        if last is not None and last.seconds is not None:
            found[plan.id] = max(0.0, last.seconds - delay)
    return found


def check_drills(
    home: Home, entries: Sequence[CatalogueEntry], moment: datetime
) -> Iterator[CheckResult]:
    """One result for each register."""
    store = EvidenceStore(home.settings.evidence)
    days = home.party.charter.settings.drill_interval_days
    for plan in home.plan.registers:
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
