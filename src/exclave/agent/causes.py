"""What somebody has to be told, as it follows from orders, state and the moment: pure.

Told are: a register older than its RPO, or that no job deposits; a job that failed so often in a
row as its `tries` say; a seat that is behind for longer than `late_after`; a clock that went back;
and what the jobs' commands found (`exclave.agent.reading`). A failure that the next try mends is
nobody's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from exclave.agent.jobs import Orders
from exclave.agent.state import AgentState
from exclave.plain_words import duration
from exclave.signals.cause import Cause

__all__ = ["causes", "next_deadline"]

_CLOCK_TOLD: Final = timedelta(days=1)


def causes(orders: Orders, state: AgentState, now: datetime) -> tuple[Cause, ...]:
    """Everything that is to be told now; keys are unique."""
    found = [
        *_deadlines(orders, state, now),
        *_unserved(orders),
        *_failures(orders, state),
        *_seats(orders, state, now),
        *_clock(state, now),
        *(cause for job in orders.jobs for cause in _of_job(state, job.id)),
    ]
    return tuple({cause.key: cause for cause in found}.values())


def next_deadline(orders: Orders, state: AgentState, now: datetime) -> datetime | None:
    """The next moment at which time alone makes a cause, or ends one."""
    moments = [
        state.captured[register] + timedelta(seconds=rpo)
        for register, rpo in orders.rpo.items()
        if register in state.captured
    ]
    moments += [since + timedelta(seconds=orders.late_after) for since in state.late.values()]
    if state.back is not None:
        moments.append(state.back + _CLOCK_TOLD)
    # A second later: at the moment itself nothing is too late yet.
    return min((m + timedelta(seconds=1) for m in moments if m >= now), default=None)


def _deadlines(orders: Orders, state: AgentState, now: datetime) -> Iterator[Cause]:
    for register, rpo in sorted(orders.rpo.items()):
        captured = state.captured.get(register)
        if captured is None or (now - captured).total_seconds() <= rpo:
            continue
        yield Cause(
            key=f"rpo:{register}",
            severity="critical",
            summary=f"register {register}: not deposited since {captured:%Y-%m-%d %H:%M} UTC, "
            f"expected every {duration(rpo)}",
            hint="exclave agent status says what its jobs last said",
        )


def _unserved(orders: Orders) -> Iterator[Cause]:
    for register in orders.unserved:
        yield Cause(
            key=f"unserved:{register}",
            severity="warning",
            summary=f"register {register}: is in the plan, and no job of the agent deposits it",
            hint="name it under a [[job]] of agent.toml",
        )


def _failures(orders: Orders, state: AgentState) -> Iterator[Cause]:
    for job in orders.jobs:
        kept = state.jobs.get(job.id)
        if kept is None or kept.failures < job.tries:
            continue
        yield Cause(
            key=f"job:{job.id}",
            severity="warning",
            summary=f"job {job.id}: failed {kept.failures} times in a row: {kept.said}",
            hint="it is tried again by itself",
        )


def _seats(orders: Orders, state: AgentState, now: datetime) -> Iterator[Cause]:
    for seat, since in sorted(state.late.items()):
        if (now - since).total_seconds() > orders.late_after:
            yield Cause(
                key=f"seat:{seat}",
                severity="warning",
                summary=f"seat {seat}: behind since {since:%Y-%m-%d %H:%M} UTC; what it lacks is "
                "in the spool",
                hint="ask its host; exclave status says how long the spool suffices",
            )


def _clock(state: AgentState, now: datetime) -> Iterator[Cause]:
    if state.back is not None and state.back <= now <= state.back + _CLOCK_TOLD:
        yield Cause(
            key="clock",
            severity="warning",
            summary=f"this machine's clock went back, to {state.back:%Y-%m-%d %H:%M} UTC",
            hint="slots that started a run do not start another; see that the clock is right",
        )


def _of_job(state: AgentState, name: str) -> tuple[Cause, ...]:
    kept = state.jobs.get(name)
    return () if kept is None else kept.causes
