"""Try out what a deposit needs, without depositing, and say what is ahead: everything, joined.

Order: the registers, the machine, the forecast, the seats, what must be rehearsed, carried and
kept. A failing check does not keep the next from being tried.
"""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.charter_parts import RoleName
from exclave.clock import now
from exclave.errors import ExclaveError
from exclave.evidence import EvidenceStore
from exclave.plan import RegisterPlan
from exclave.wiring.check_bags import check_bags
from exclave.wiring.check_evidence import check_drills, check_waiting, rehearsed
from exclave.wiring.check_forecast import check_forecast, entries_of, forecast_of
from exclave.wiring.check_home import check_clock, check_folders, check_keys, check_room
from exclave.wiring.check_quarantine import check_quarantine
from exclave.wiring.check_results import CheckResult
from exclave.wiring.check_seats import check_seats
from exclave.wiring.custody import check_charter
from exclave.wiring.depositor import Home
from exclave.wiring.overview import spooled_bytes
from exclave.wiring.registers import task_of

__all__ = ["CheckResult", "run_checks"]


def run_checks(home: Home) -> tuple[CheckResult, ...]:
    """Everything."""
    moment, charter, plans = now(), home.party.charter, home.plan.registers
    store = EvidenceStore(home.settings.evidence)
    delay = charter.role(RoleName.READ).delay
    known = rehearsed(plans, store)
    forecast = forecast_of(home, known.restore)
    return (
        *(result for plan in plans for result in _register(plan, delay)),
        *check_keys(home.settings.depositor, home.party.id, moment),
        *check_clock(entries_of(home), moment),
        *check_folders(home.settings),
        *check_room(
            home.settings, next_deposit=forecast.seat, used=sum(spooled_bytes(home).values())
        ),
        *check_quarantine(home.settings.quarantine, plans, entries_of(home)),
        *check_forecast(home, forecast, access=known.access),
        *check_seats(home, next_deposit=forecast.seat, moment=moment),
        *check_drills(
            plans,
            store,
            entries_of(home),
            days=charter.settings.drill_interval_days,
            moment=moment,
        ),
        *check_waiting(home.settings.evidence),
        *check_bags(home, entries_of(home), moment),
        *check_charter(home, moment),
    )


def _register(plan: RegisterPlan, delay: int) -> Iterator[CheckResult]:
    what = f"register {plan.id}"
    obstacles: list[str] = []
    try:
        task = task_of(plan)
        warnings = [said for source in task.sources for said in source.check()]
        warnings += task.artefacts.check() if task.artefacts else ()
        obstacles = [said for source in task.sources for said in source.obstacles()]
    except ExclaveError as error:
        yield CheckResult(what=what, good=False, said=error.message, hint=error.hint)
    else:
        yield CheckResult(what=what, good=True, said="; ".join(warnings))
    if obstacles:
        yield CheckResult(
            what=what, about="locks", good=True, warns=True, said="; ".join(obstacles),
            hint="end that transaction, or wait for it",
        )  # fmt: skip
    if plan.service_gap is not None:
        yield CheckResult(what=what, about="service", good=True, said=plan.service_gap)
    if plan.rto < delay:
        yield CheckResult(
            what=what,
            about="rto",
            good=False,
            said=f"its RTO of {plan.rto} s is shorter than the warrant delay of {delay} s",
            hint="no reconstruction can be that quick under this charter",
        )
