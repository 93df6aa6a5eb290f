"""What the agent is to do, as values: jobs, their calendars, patience and lanes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import Final

from exclave.calendar import Calendar
from exclave.values import dataclass

__all__ = ["Hooks", "Job", "JobKind", "Orders", "spread"]


class JobKind(Enum):
    """What a job runs: each is a command of this program."""

    DEPOSIT = "deposit"
    PROVE = "prove"  # a deposit that is restored and compared before its secret is forgotten
    CATCH_UP = "catch-up"
    MONITOR = "monitor"
    CHECK = "check"  # what must be renewed, rehearsed, carried or confirmed: drills, bags, cards


_HOME: Final = frozenset({JobKind.DEPOSIT, JobKind.PROVE, JobKind.CATCH_UP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Programs around a job, as lists of arguments; no shell reads them."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    limit: int = 300  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job. Durations are seconds; `spread` is this machine's own delay after each slot."""

    id: str
    kind: JobKind
    schedule: tuple[Calendar, ...]
    registers: tuple[str, ...] = ()
    spread: int = 0
    limit: int = 6 * 3600
    tries: int = 3  # failures in a row before somebody is told
    first_pause: int = 60
    longest_pause: int = 3600
    hooks: Hooks = Hooks()

    @property
    def lane(self) -> str:
        """Jobs of one lane run one after the other: a journal serves one command at a time."""
        return "home" if self.kind in _HOME else self.id

    @property
    def captures(self) -> bool:
        """Whether a good run has deposited its registers."""
        return self.kind in {JobKind.DEPOSIT, JobKind.PROVE}

    def next_slot(self, moment: datetime, *, local: tzinfo = UTC) -> datetime | None:
        """The first slot later than a moment, by any of its calendars."""
        found = [item.next_after(moment, local=local) for item in self.schedule]
        return min((slot for slot in found if slot is not None), default=None)

    def pause(self, failures: int) -> timedelta:
        """How long to wait after so many failures in a row: doubled each time, up to a ceiling."""
        seconds = self.first_pause << min(failures - 1, 30)
        return timedelta(seconds=min(seconds, self.longest_pause))


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """All jobs, and what deadlines they serve."""

    jobs: tuple[Job, ...]
    rpo: dict[str, int]  # seconds, of every register that some job deposits
    unserved: tuple[str, ...] = ()  # registers of the plan that no job deposits
    late_after: int = 86_400  # seconds that a seat may be behind before somebody is told
    local: tzinfo = UTC


def spread(machine: str, job: str, jitter: int) -> int:
    """A delay from 0 to `jitter` seconds: another on each machine, always the same on one."""
    digest = hashlib.sha256(f"{machine}\0{job}".encode()).digest()
    return int.from_bytes(digest[:8]) % (jitter + 1)
