"""A home, its seats and its agent on a virtual clock: for years that pass in seconds.

The scheduler, its memory and its causes are the real ones; runs are modelled on what the real
commands do: a deposit needs its database and seats in two states, brings what is spooled with it
and says which seats are behind; `deposit --catch-up` brings what is spooled; a monitor names seats
that do not answer. Whatever is down is down for a stretch of hours.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from exclave.agent.agenda import decide, ended, recovered
from exclave.agent.causes import causes
from exclave.agent.jobs import Job, JobKind, Orders, spread
from exclave.agent.memory import memory_bytes, parse_memory
from exclave.agent.state import AgentState, Outcome, Result
from exclave.calendar import parse_calendar
from exclave.ids import Seat
from exclave.signals.cause import Cause

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
SEATS = (Seat(1), Seat(2), Seat(3))
STATES_NEEDED = 2
HOUR = 3600
RPO = {"population": 26 * HOUR, "land": 8 * HOUR}


def job(id_: str, kind: JobKind, schedule: str, **more: object) -> Job:
    return replace(
        Job(id=id_, kind=kind, schedule=(parse_calendar(schedule),)),
        **{"first_pause": 60, "longest_pause": HOUR, "tries": 8, **more},  # type: ignore[arg-type]
    )


ORDERS = Orders(
    jobs=(
        job(
            "nightly",
            JobKind.DEPOSIT,
            "*-*-* 01:00 Europe/Tallinn",
            registers=("population",),
            spread=spread("machine", "nightly", 900),
        ),
        job("land", JobKind.DEPOSIT, "0/6:15 UTC", registers=("land",)),
        job("late", JobKind.CATCH_UP, "*:40 UTC"),
        job("logs", JobKind.MONITOR, "0/2:10 UTC"),
    ),
    rpo=RPO,
    late_after=24 * HOUR,
)


@dataclass(frozen=True)
class Outage:
    """`what` (seat-1, line, db-land, agent) is down from `begin` for `hours`."""

    what: str
    begin: datetime
    hours: float

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(hours=self.hours)


@dataclass
class Told:
    """An alerter that writes down what it was told first, and what is over."""

    standing: dict[str, Cause] = field(default_factory=dict)
    log: list[tuple[datetime, str, str]] = field(default_factory=list)

    def tell(self, found: Iterable[Cause], moment: datetime) -> None:
        now = {cause.key: cause for cause in found}
        for key in sorted(now.keys() - self.standing.keys()):
            self.log.append((moment, "alarm", key))
        for key in sorted(self.standing.keys() - now.keys()):
            self.log.append((moment, "clear", key))
        self.standing = now


@dataclass
class World:
    """Seats, spool and databases, and the agent that serves them."""

    outages: tuple[Outage, ...] = ()
    orders: Orders = ORDERS
    seed: int = 1
    now: datetime = BEGIN
    told: Told = field(default_factory=Told)
    deposits: list[tuple[str, datetime]] = field(default_factory=list)
    spool: dict[Seat, int] = field(default_factory=lambda: dict.fromkeys(SEATS, 0))
    held: dict[Seat, int] = field(default_factory=lambda: dict.fromkeys(SEATS, 0))
    runs: list[tuple[datetime, str, Result]] = field(default_factory=list)
    ends: dict[str, tuple[datetime, Job]] = field(default_factory=dict)
    kept: bytes = b""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.by_what: dict[str, list[Outage]] = defaultdict(list)
        for outage in self.outages:
            self.by_what[outage.what].append(outage)
        self.state = AgentState(seen=self.now)

    def down(self, what: str, moment: datetime | None = None) -> bool:
        at = self.now if moment is None else moment
        return any(o.begin <= at < o.end for o in self.by_what.get(what, ()))

    def reachable(self) -> set[Seat]:
        if self.down("line"):
            return set()
        return {seat for seat in SEATS if not self.down(f"seat-{seat}")}

    def run_until(self, end: datetime) -> None:
        """Let time pass; a crash of the agent leaves what was kept, and nothing else."""
        while self.now < end:
            if self.down("agent"):
                self._crash()
                self.now = min(end, max(o.end for o in self._now_down("agent")))
                continue
            if self.kept:
                self.state, self.kept = (
                    recovered(self.orders, parse_memory(self.kept), self.now),
                    b"",
                )
            self._step(end)

    def _step(self, end: datetime) -> None:
        for name, (moment, done) in sorted(self.ends.items()):
            if moment <= self.now:
                del self.ends[name]
                outcome = self._outcome(done)
                self.runs.append((self.now, name, outcome.result))
                self.state = ended(self.state, done, outcome, self.now)
        decision = decide(self.orders, self.state, self.now)
        self.state = decision.state
        for started in decision.start:
            self.ends[started.id] = (self.now + self._length(started), started)
        self.told.tell(causes(self.orders, self.state, self.now), self.now)
        upcoming = [decision.wake, *(moment for moment, _ in self.ends.values())]
        upcoming += [o.begin for o in self.by_what["agent"] if o.begin > self.now]
        self.now = min(end, max(min(upcoming), self.now + timedelta(seconds=1)))

    def _crash(self) -> None:
        # Kept before anything starts and after anything ends: as the real loop does.
        self.kept = memory_bytes(self.state)
        self.ends.clear()

    def _now_down(self, what: str) -> list[Outage]:
        return [o for o in self.by_what[what] if o.begin <= self.now < o.end]

    def _length(self, started: Job) -> timedelta:
        most = 900 if started.captures else 20
        return timedelta(seconds=self.random.randint(2, most))

    def _outcome(self, done: Job) -> Outcome:
        if done.kind is JobKind.MONITOR:
            silent = [seat for seat in SEATS if seat not in self.reachable()]
            if len(silent) == len(SEATS):
                return Outcome(result=Result.FAILED, said="no vault answers")
            return Outcome(result=Result.GOOD, causes=())
        if done.captures:
            if any(self.down(f"db-{register}") for register in done.registers):
                return Outcome(result=Result.FAILED, said="database: no connection")
            if len(self.reachable()) < STATES_NEEDED:
                return Outcome(result=Result.FAILED, said="states that can be reached: 1")
            self.deposits += [(register, self.now) for register in done.registers]
            for seat in SEATS:
                self.spool[seat] += 1
        late = self._deliver()
        return Outcome(result=Result.LATE if late else Result.GOOD, late=late)

    def _deliver(self) -> Mapping[Seat, str]:
        reachable = self.reachable()
        for seat in reachable:
            self.held[seat] += self.spool[seat]
            self.spool[seat] = 0
        # Who is owed nothing is not asked: it is not behind, whether it answers or not.
        return {seat: "no answer" for seat in SEATS if self.spool[seat]}
