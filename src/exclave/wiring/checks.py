"""Try out what a deposit needs, without depositing, and say what is ahead: everything, joined.

Order: the registers, the machine, the forecast, the seats, what must be rehearsed and kept. A
failing check does not keep the next from being tried.
"""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.charter_parts import RoleName
from exclave.clock import now
from exclave.errors import ExclaveError
from exclave.plan import RegisterPlan
from exclave.wiring.check_evidence import check_drills, restore_seconds
from exclave.wiring.check_forecast import check_forecast, entries_of, forecast_of
from exclave.wiring.check_home import check_keys, check_room
from exclave.wiring.check_results import CheckResult
from exclave.wiring.check_seats import check_seats
from exclave.wiring.custody import check_charter
from exclave.wiring.depositor import Home
from exclave.wiring.overview import spooled_bytes
from exclave.wiring.registers import task_of

__all__ = ["CheckResult", "run_checks"]


def run_checks(home: Home) -> tuple[CheckResult, ...]:
    """Everything."""
    moment = now()
    forecast = forecast_of(home, restore_seconds(home))
    return (
        *(result for register in home.plan.registers for result in _register(home, register)),
        *check_keys(home, moment),
        *check_room(home, next_deposit=forecast.seat, used=sum(spooled_bytes(home).values())),
        *check_forecast(home, forecast),
        *check_seats(home, next_deposit=forecast.seat, moment=moment),
        *check_drills(home, entries_of(home), moment),
        *check_charter(home, moment),
    )


def _register(home: Home, plan: RegisterPlan) -> Iterator[CheckResult]:
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
    for said in obstacles:
        yield CheckResult(
            what=what, good=True, warns=True, said=said, hint="end that transaction, or wait for it"
        )
    if plan.service_gap is not None:
        yield CheckResult(what=what, good=True, said=plan.service_gap)
    delay = home.party.charter.role(RoleName.READ).delay
    if plan.rto < delay:
        yield CheckResult(
            what=what,
            good=False,
            said=f"its RTO of {plan.rto} s is shorter than the warrant delay of {delay} s",
            hint="no reconstruction can be that quick under this charter",
        )
