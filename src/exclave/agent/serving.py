"""The agent joined to its machine: lock, environment, catalogue, supervisor; until SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from exclave.agent.jobs import Job
from exclave.agent.machine import alone, deposited
from exclave.agent.running import run_job
from exclave.agent.service import Agent, Runner
from exclave.agent.settings import AgentSettings
from exclave.agent.state import Cause, Outcome
from exclave.clock import now
from exclave.notify import supervisor_of

__all__ = ["serve_agent"]


class _LogOnly:
    """Nobody is told but the log, which the agent writes by itself."""

    def tell(self, causes: Collection[Cause], moment: datetime) -> None:
        """Nothing."""
        del causes, moment


def serve_agent(load: Callable[[], AgentSettings], *, environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM; raises `AgentBusy` when another agent serves this state folder."""
    with alone(load().state):
        agent = Agent(
            load=load,
            run=lambda settings: _runner(settings, environment),
            deposited=deposited,
            alerter=_LogOnly(),
            supervisor=supervisor_of(environment),
            clock=now,
        )
        asyncio.run(agent.serve())


def _runner(settings: AgentSettings, environment: Mapping[str, str]) -> Runner:
    async def run(job: Job, stop: asyncio.Event) -> Outcome:
        return await run_job(job, settings.commands[job.id], environment=environment, stop=stop)

    return run
