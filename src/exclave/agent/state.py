"""What the agent remembers between two moments and between two runs of itself: values only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from exclave.ids import Seat
from exclave.signals.cause import Cause
from exclave.values import dataclass, field, replace

__all__ = ["AgentState", "JobState", "Outcome", "Result"]


class Result(Enum):
    """What came of a run."""

    GOOD = "good"
    LATE = "late"  # done, and some seats are behind
    FAILED = "failed"
    HUNG = "hung"  # ended by us after its limit
    SKIPPED = "skipped"  # the hook before it said no: the next slot counts
    STOPPED = "stopped"  # the agent was told to stop: run again when it is back
    LOST = "lost"  # the agent ended without knowing what became of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run's result and what it said."""

    result: Result
    said: str = ""
    late: Mapping[Seat, str] | None = None  # None: says nothing about seats
    causes: tuple[Cause, ...] | None = None  # None: says nothing new


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """How a job stands."""

    done: datetime  # slots up to here are served
    fired: tuple[datetime, ...] = ()  # the last slots that started a run
    running: datetime | None = None  # since when
    failures: int = 0  # in a row
    retry: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    result: Result | None = None
    said: str = ""
    good: datetime | None = None  # when the last good run ended
    causes: tuple[Cause, ...] = ()  # what its last good run found


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """All of it."""

    seen: datetime  # the clock as it was last looked at
    back: datetime | None = None  # when the clock was last found to have gone back
    jobs: Mapping[str, JobState] = field(default_factory=dict)
    captured: Mapping[str, datetime] = field(default_factory=dict)
    """By register: when its last good deposit began, or when the agent first heard of it."""
    late: Mapping[Seat, datetime] = field(default_factory=dict)  # since when a seat is behind

    def with_job(self, name: str, job: JobState) -> AgentState:
        """With one job's state in place of what it was."""
        return replace(self, jobs={**self.jobs, name: job})
