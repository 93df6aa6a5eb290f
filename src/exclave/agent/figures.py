"""Home's figures and the agent's own, for /metrics (spec/signals.md 6, spec/agent.md 4).

Vaults are asked at most every `_LOOK` seconds, however often somebody asks here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from exclave.agent.service import Agent
from exclave.agent.state import AgentState
from exclave.clock import now
from exclave.exposition import Family, exposition, gauge
from exclave.signals.alerter import Alerter
from exclave.wiring.depositor import open_home
from exclave.wiring.home_metrics import home_families
from exclave.wiring.overview import overview

__all__ = ["Figures", "agent_families"]

_LOOK: Final = 120.0


class Figures:
    """Gives the exposition; called by the listener's threads."""

    def __init__(self, deposit: Path, agent: Agent) -> None:
        self._deposit, self._agent = deposit, agent
        self._lock = threading.Lock()
        self._looked: float | None = None
        self._home: Sequence[Family] = ()

    def __call__(self) -> str:
        with self._lock:
            if self._looked is None or time.monotonic() - self._looked > _LOOK:
                alerter = self._agent.alerter
                targets = alerter.states() if isinstance(alerter, Alerter) else ()
                found = overview(open_home(self._deposit), ask=True)
                self._home = tuple(home_families(found, now(), targets=targets))
                self._looked = time.monotonic()
            home = self._home
        return exposition([*home, *agent_families(self._agent.state)])


def agent_families(state: AgentState) -> Iterator[Family]:
    """What the agent knows of its jobs."""
    jobs = sorted(state.jobs.items())
    # Not `job`: Prometheus has that name for what it asks, and would rename ours.
    labels = [{"agent_job": name} for name, _ in jobs]
    yield gauge(
        "exclave_job_running",
        "1 while a run of the job is at work.",
        *zip(labels, (int(job.running is not None) for _, job in jobs), strict=True),
    )
    yield gauge(
        "exclave_job_failures",
        "Runs of the job that failed in a row.",
        *zip(labels, (job.failures for _, job in jobs), strict=True),
    )
    yield gauge(
        "exclave_job_last_good_timestamp_seconds",
        "When the last good run of the job ended.",
        *zip(labels, (_stamp(job.good) for _, job in jobs), strict=True),
    )
    yield gauge(
        "exclave_job_last_good_seconds",
        "How long the last run of the job took, if it was good.",
        *zip(labels, (_took(job.started, job.good, job.ended) for _, job in jobs), strict=True),
    )


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _took(started: datetime | None, good: datetime | None, ended: datetime | None) -> float | None:
    if started is None or good is None or good != ended:
        return None
    return (good - started).total_seconds()
