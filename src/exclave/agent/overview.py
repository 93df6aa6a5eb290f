"""What the agent did and will do, for whoever asks while it works or is gone. Changes nothing."""

from __future__ import annotations

from datetime import datetime

from exclave.agent.agenda import decide, next_start
from exclave.agent.causes import causes
from exclave.agent.jobs import Job
from exclave.agent.machine import working_agent
from exclave.agent.service import load_state
from exclave.agent.settings import AgentSettings
from exclave.agent.state import JobState
from exclave.signals.cause import Cause
from exclave.values import dataclass

__all__ = ["AgentOverview", "JobView", "agent_overview"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job, how it stands, and when it starts next."""

    job: Job
    kept: JobState
    next: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOverview:
    """All of it; `process` None: no agent is at work."""

    process: str | None
    jobs: tuple[JobView, ...]
    causes: tuple[Cause, ...]


def agent_overview(settings: AgentSettings, now: datetime) -> AgentOverview:
    """As the state folder tells it; raises `MemoryBroken`."""
    orders, kept = settings.orders, load_state(settings.state, now)
    # Jobs that the memory does not know yet would begin now.
    known = decide(orders, kept, now).state
    views = tuple(
        JobView(job=job, kept=state, next=next_start(job, state, orders))
        for job in orders.jobs
        for state in (kept.jobs.get(job.id, known.jobs[job.id]),)
    )
    return AgentOverview(
        process=working_agent(settings.state), jobs=views, causes=causes(orders, kept, now)
    )
