"""Try out what a deposit needs, without depositing: registers, privileges, seats."""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.charter_parts import RoleName
from exclave.clock import now
from exclave.errors import ExclaveError
from exclave.plan import RegisterPlan
from exclave.wiring.check_results import CheckResult
from exclave.wiring.custody import check_charter
from exclave.wiring.depositor import Home
from exclave.wiring.overview import ask_seats
from exclave.wiring.registers import task_of

__all__ = ["CheckResult", "run_checks"]


def run_checks(home: Home) -> tuple[CheckResult, ...]:
    """Everything; a failing check does not keep the next from being tried."""
    results = [result for register in home.plan.registers for result in _register(home, register)]
    return (*results, *_seats(home), *check_charter(home, now()))


def _register(home: Home, plan: RegisterPlan) -> Iterator[CheckResult]:
    what = f"register {plan.id}"
    try:
        task = task_of(plan)
        warnings = [*task.source.check(), *(task.artefacts.check() if task.artefacts else ())]
    except ExclaveError as error:
        yield CheckResult(what=what, good=False, said=error.message, hint=error.hint)
    else:
        yield CheckResult(what=what, good=True, said="; ".join(warnings))
    for name, value in (("runbook", plan.runbook), ("artefacts", plan.artefacts)):
        if value is None:
            yield CheckResult(
                what=what, good=True, said=f"no {name}: not reconstructible as a service"
            )
    delay = home.party.charter.role(RoleName.READ).delay
    if plan.rto < delay:
        yield CheckResult(
            what=what,
            good=False,
            said=f"its RTO of {plan.rto} s is shorter than the warrant delay of {delay} s",
            hint="no reconstruction can be that quick under this charter",
        )


def _seats(home: Home) -> Iterator[CheckResult]:
    states: set[str] = set()
    for seat, answer in ask_seats(home).items():
        entry = home.party.charter.seat(seat)
        what = f"seat {seat} ({entry.state}, {entry.vault})"
        if isinstance(answer, str):
            yield CheckResult(what=what, good=False, said=answer)
        elif answer.seat != seat or answer.mission != home.party.mission:
            yield CheckResult(what=what, good=False, said="answers for another seat or mission")
        else:
            states.add(entry.state)
            yield CheckResult(what=what, good=True, said=f"{answer.free_bytes} bytes free")
    h = home.party.charter.dispersal.h
    yield CheckResult(
        what="reachable states", good=len(states) >= h, said=f"{len(states)}, {h} required"
    )
