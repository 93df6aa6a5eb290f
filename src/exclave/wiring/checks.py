"""Try out what a deposit needs, without depositing: registers, privileges, seats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exclave.authority.charter_parts import RoleName
from exclave.clock import now
from exclave.errors import ExclaveError
from exclave.plan import RegisterPlan
from exclave.vault.interface import MissionStatus, State
from exclave.wiring.check_results import CheckResult
from exclave.wiring.custody import check_charter
from exclave.wiring.depositor import Home
from exclave.wiring.overview import ask_seats
from exclave.wiring.registers import task_of

__all__ = ["CheckResult", "run_checks"]

_LOOK: Final = "if you do not know of it, ask the officials: exclave standing"


def run_checks(home: Home) -> tuple[CheckResult, ...]:
    """Everything; a failing check does not keep the next from being tried."""
    results = [result for register in home.plan.registers for result in _register(home, register)]
    return (*results, *_seats(home), *check_charter(home, now()))


def _register(home: Home, plan: RegisterPlan) -> Iterator[CheckResult]:
    what = f"register {plan.id}"
    try:
        task = task_of(plan)
        warnings = [said for source in task.sources for said in source.check()]
        warnings += task.artefacts.check() if task.artefacts else ()
    except ExclaveError as error:
        yield CheckResult(what=what, good=False, said=error.message, hint=error.hint)
    else:
        yield CheckResult(what=what, good=True, said="; ".join(warnings))
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


_PENDING: Final = frozenset({State.INCOMPLETE, State.WAITING, State.OVERRIDING, State.VETOED})


def _standing(what: str, answer: MissionStatus) -> Iterator[CheckResult]:
    """What a custodian must hear of though he can deposit: nothing of it is his to end."""
    if answer.locked:
        yield CheckResult(
            what=what,
            good=False,
            said="LOCKED DOWN: home is frozen there, only exile acts",
            hint=_LOOK,
        )
    if answer.frozen:
        yield CheckResult(
            what=what, good=False, said="FROZEN by two charters of one order", hint=_LOOK
        )
    named = [("warrant", item.statement, item.state, item.seconds) for item in answer.warrants]
    named += [(one.kind, one.statement, one.state, one.seconds) for one in answer.standing]
    for kind, statement, state, seconds in named:
        if state in _PENDING or (kind == "warrant" and state is State.RELEASED):
            left = "" if seconds is None else f", {seconds} s left"
            said = f"{kind} {statement.hex()[:16]} is {state.value}{left}"
            yield CheckResult(what=what, good=True, warns=True, said=said, hint=_LOOK)
    for alarm in answer.alarms:
        said = f"ALARM {alarm.cause} since {alarm.began}: {alarm.detail}"
        yield CheckResult(what=what, good=False, said=said, hint="the host's guide says what it is")


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
            yield from _standing(what, answer)
    h = home.party.charter.dispersal.h
    yield CheckResult(
        what="reachable states", good=len(states) >= h, said=f"{len(states)}, {h} required"
    )
