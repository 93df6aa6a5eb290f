"""The agent joined to its machine: lock, environment, catalogue, targets, supervisor, figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

from exclave.agent.figures import Figures
from exclave.agent.jobs import Job
from exclave.agent.machine import alone, deposited
from exclave.agent.running import run_job
from exclave.agent.service import Agent, Runner
from exclave.agent.settings import AgentSettings
from exclave.agent.state import Outcome
from exclave.clock import now
from exclave.notify import supervisor_of
from exclave.signals.alerter import Alerter, open_alerter
from exclave.signals.listener import MetricsListener

__all__ = ["serve_agent"]

_TOLD: Final = "alerts.json"


def serve_agent(load: Callable[[], AgentSettings], *, environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM; raises `AgentBusy` when another agent serves this state folder."""
    settings = load()
    with alone(settings.state), ExitStack() as stack:
        agent = Agent(
            load=load,
            run=lambda settings: _runner(settings, environment),
            deposited=deposited,
            alerter=_alerter,
            supervisor=supervisor_of(environment),
            clock=now,
        )
        if settings.metrics is not None:
            listener = MetricsListener(
                settings.metrics,
                Figures(settings.deposit, agent),
                unsafe_public=settings.unsafe_public_metrics,
            )
            stack.callback(listener.close)
        asyncio.run(agent.serve())


def _alerter(settings: AgentSettings) -> Alerter:
    return open_alerter(settings.alerts, settings.path.parent.resolve(), settings.state / _TOLD)


def _runner(settings: AgentSettings, environment: Mapping[str, str]) -> Runner:
    async def run(job: Job, stop: asyncio.Event) -> Outcome:
        return await run_job(job, settings.commands[job.id], environment=environment, stop=stop)

    return run
