"""The scheduler, pure: what starts now, and until when to wait, from memory and the moment.

Rules
- A *slot* is a moment of a job's calendars; the job starts `spread` seconds after it.
- One run serves all slots up to then, however many passed while nobody was there.
- A slot never starts two runs, also when the clock goes back over it. What is remembered of days
  that a wrong clock had reached does not hold back the days that come: beyond `_BELIEVED` it is
  dropped, except for the very slots that fired.
- A run that failed is repeated after a pause that doubles up to a ceiling; slots that come
  meanwhile are served by the same run. Nothing is given up.
- Jobs of one lane run one after the other, who is due first goes first.
- The state that comes back has the runs in it that are to start: it is kept before they are
  started, so that an agent that was killed knows of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from exclave.agent.causes import next_deadline
from exclave.agent.jobs import Job, Orders
from exclave.agent.state import AgentState, JobState, Outcome, Result
from exclave.ids import Seat
from exclave.values import dataclass, replace

__all__ = ["Decision", "decide", "ended", "next_start", "recovered", "started_now"]

_LONGEST_WAIT: Final = timedelta(hours=1)
_BELIEVED: Final = timedelta(days=1)
_BACK: Final = timedelta(minutes=5)  # less is a clock that is kept right
_SEEN: Final = timedelta(minutes=10)
_FIRED: Final = 32
_FAILED: Final = frozenset({Result.FAILED, Result.HUNG, Result.LOST})
_DONE: Final = frozenset({Result.GOOD, Result.LATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to start now, and when to ask again at the latest."""

    state: AgentState
    start: tuple[Job, ...]
    wake: datetime


def decide(orders: Orders, state: AgentState, now: datetime) -> Decision:
    """What starts now. Ask again at `wake`, when a run ends, or when the clock was set."""
    state = _noticed(orders, state, now)
    busy = {job.lane for job in orders.jobs if state.jobs[job.id].running is not None}
    wake = min(now + _LONGEST_WAIT, next_deadline(orders, state, now) or now + _LONGEST_WAIT)
    due: list[tuple[datetime, int, Job]] = []
    for number, job in enumerate(orders.jobs):
        moment = next_start(job, state.jobs[job.id], orders)
        if moment is None or state.jobs[job.id].running is not None:
            continue
        if moment > now:
            wake = min(wake, moment)
        else:
            due.append((moment, number, job))
    start: list[Job] = []
    for _, _, job in sorted(due, key=lambda item: item[:2]):
        if job.lane not in busy:
            busy.add(job.lane)
            start.append(job)
            state = started_now(orders, state, job, now)
    return Decision(state=state, start=tuple(start), wake=wake)


def next_start(job: Job, kept: JobState, orders: Orders) -> datetime | None:
    """When a job starts next, if its lane is free; None: its calendars have ended."""
    if kept.retry is not None:
        return kept.retry
    slot = _next_slot(job, kept, orders)
    return None if slot is None else slot + timedelta(seconds=job.spread)


def started_now(orders: Orders, state: AgentState, job: Job, now: datetime) -> AgentState:
    """The state in which a job runs since now, and every slot up to now is served."""
    kept = state.jobs[job.id]
    served = now - timedelta(seconds=job.spread)
    slot = _last_slot(job, orders, kept.done, served)
    fired = kept.fired if slot is None else (*kept.fired, slot)[-_FIRED:]
    return state.with_job(
        job.id,
        replace(kept, running=now, done=max(kept.done, served), fired=fired, retry=None),
    )


def ended(state: AgentState, job: Job, outcome: Outcome, now: datetime) -> AgentState:
    """What a run's outcome changes."""
    kept = state.jobs[job.id]
    started = now if kept.running is None else kept.running
    failures, retry = kept.failures, None
    if outcome.result in _FAILED:
        failures += 1
        retry = now + job.pause(failures)
    elif outcome.result is Result.STOPPED:
        retry = now
    elif outcome.result in _DONE:
        failures = 0
    good = outcome.result in _DONE
    kept = replace(
        kept,
        running=None,
        failures=failures,
        retry=retry,
        started=started,
        ended=now,
        result=outcome.result,
        said=outcome.said,
        good=now if good else kept.good,
        causes=kept.causes if outcome.causes is None else outcome.causes,
    )
    if good and job.captures:
        captured = {**state.captured, **dict.fromkeys(job.registers, started)}
        state = replace(state, captured=captured)
    if outcome.late is not None:
        state = replace(state, late=_late(state.late, outcome.late, now))
    return state.with_job(job.id, kept)


def recovered(orders: Orders, state: AgentState, now: datetime) -> AgentState:
    """After a start: runs that nobody saw the end of are lost, and tried again."""
    state = _noticed(orders, state, now)
    for job in orders.jobs:
        if state.jobs[job.id].running is not None:
            said = "the agent ended while it ran"
            state = ended(state, job, Outcome(result=Result.LOST, said=said), now)
    return state


def _next_slot(job: Job, kept: JobState, orders: Orders) -> datetime | None:
    slot = job.next_slot(kept.done, local=orders.local)
    while slot is not None and slot in kept.fired:
        slot = job.next_slot(slot, local=orders.local)
    return slot


def _last_slot(job: Job, orders: Orders, after: datetime, until: datetime) -> datetime | None:
    """The newest slot later than `after` and not later than `until`; None: there is none."""
    span = timedelta(hours=1)
    while True:
        begin = max(after, until - span)
        slot = job.next_slot(begin, local=orders.local)
        if slot is not None and slot <= until:
            break
        if begin == after:
            return None
        span *= 4
    while (later := job.next_slot(slot, local=orders.local)) is not None and later <= until:
        slot = later
    return slot


def _late(
    before: Mapping[Seat, datetime], found: Mapping[Seat, str], now: datetime
) -> Mapping[Seat, datetime]:
    return {seat: before.get(seat, now) for seat in found}


def _noticed(orders: Orders, state: AgentState, now: datetime) -> AgentState:
    """New jobs begin now, others are forgotten; what lies ahead of the clock is not believed."""
    jobs: dict[str, JobState] = {}
    for job in orders.jobs:
        kept = state.jobs.get(job.id, JobState(done=now))
        if kept.done > now + _BELIEVED:
            kept = replace(kept, done=now)
        ceiling = now + timedelta(seconds=job.longest_pause)
        if kept.retry is not None and kept.retry > ceiling:
            kept = replace(kept, retry=ceiling)
        jobs[job.id] = kept
    state = replace(
        state,
        jobs=jobs,
        # What lies ahead would hide for so long that a register is too old, or a seat too late.
        captured={name: min(state.captured.get(name, now), now) for name in orders.rpo},
        late={seat: min(since, now) for seat, since in state.late.items()},
    )
    if now < state.seen - _BACK:
        return replace(state, seen=now, back=now)
    return replace(state, seen=now) if now > state.seen + _SEEN else state
