"""The agent at work: one loop that asks the scheduler, starts runs, keeps their ends, and tells.

Rules
- What is to start is kept on disk before it is started, and what came of it before anything else.
- Waiting is measured by a clock that nobody sets, in steps of at most `_STEP`: so the wall clock
  may jump either way, and is seen to.
- The watchdog is fed by this loop and by nothing beside it: a loop that hangs is restarted.
- Who is told of causes is the alerter's business, which waits for nobody.
- A configuration that is wrong when it is read again is said, and the one before goes on.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from exclave.agent.agenda import decide, ended, recovered
from exclave.agent.causes import causes
from exclave.agent.jobs import Job, Orders
from exclave.agent.memory import memory_bytes, parse_memory
from exclave.agent.settings import AgentSettings
from exclave.agent.state import AgentState, Outcome, Result
from exclave.clock import Clock
from exclave.durable import make_path, replace_file
from exclave.errors import ExclaveError
from exclave.notify import Supervisor
from exclave.signals.cause import Cause
from exclave.values import replace

__all__ = ["MEMORY", "Agent", "Alerter", "load_state"]

MEMORY: Final = "memory.json"
_LOG = logging.getLogger(__name__)
_STEP: Final = 20.0
Runner = Callable[[Job, asyncio.Event], Awaitable[Outcome]]


class Alerter(Protocol):
    """Tells people: once for each cause, and that it is over when it is gone."""

    def tell(self, causes: Collection[Cause], moment: datetime) -> None:
        """All causes that stand now; returns at once and does not raise."""

    def close(self) -> None:
        """Wait for what is on its way, for a few seconds."""


class Agent:
    """Serves until it is stopped."""

    def __init__(
        self,
        *,
        load: Callable[[], AgentSettings],
        run: Callable[[AgentSettings], Runner],
        deposited: Callable[[AgentSettings], Mapping[str, datetime]],
        alerter: Callable[[AgentSettings], Alerter],
        supervisor: Supervisor,
        clock: Clock,
    ) -> None:
        """`deposited` says when each register's last deposit began, as the catalogue knows."""
        self._load, self._run, self._deposited = load, run, deposited
        self._open_alerter, self._supervisor, self._clock = alerter, supervisor, clock
        self._settings = load()
        self._alerter = alerter(self._settings)
        self._orders = self._settings.orders
        self._runs: dict[str, asyncio.Task[Outcome]] = {}
        self._begun: dict[str, Job] = {}  # as they were ordered when they began
        self._stop, self._changed = asyncio.Event(), asyncio.Event()
        self._reload = False
        self._told = 0
        make_path(self._settings.state)
        now = self._now()
        self._kept = b""
        self._state = load_state(self._settings.state, now)
        self._learn()
        self._state = recovered(self._orders, self._state, now)

    async def serve(self) -> None:
        """Until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        self._supervisor.ready(self._status())
        while not self._stop.is_set():
            if self._reload:
                self._read_again()
            wait = self._step()
            self._supervisor.alive()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            self._collect()
        await self._end()

    def stop(self) -> None:
        """End runs, keep what came of them, and return from `serve`."""
        self._stop.set()
        self._changed.set()

    def reload(self) -> None:
        """Read the configuration again at the next step."""
        self._reload = True
        self._changed.set()

    @property
    def state(self) -> AgentState:
        """As it is in this moment: it is replaced, never changed."""
        return self._state

    @property
    def alerter(self) -> Alerter:
        """Who tells."""
        return self._alerter

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)

    def _step(self) -> float:
        """Start what is due, tell what stands; how many seconds to wait."""
        now = self._now()
        decision = decide(self._orders, self._state, now)
        self._state = decision.state
        self._keep()
        for job in decision.start:
            _LOG.info("job %s: begins", job.id)
            task = asyncio.create_task(self._guarded(job))
            task.add_done_callback(lambda _: self._changed.set())
            self._runs[job.id], self._begun[job.id] = task, job
        self._tell(now)
        self._supervisor.status(self._status())
        step = _STEP if self._supervisor.watchdog is None else self._supervisor.watchdog / 3
        return max(0.05, min(step, _STEP, (decision.wake - now).total_seconds()))

    async def _guarded(self, job: Job) -> Outcome:
        try:
            return await self._run(self._settings)(job, self._stop)
        except Exception as error:
            # A fault of ours in one job must not end the others: it is a failure of that job.
            _LOG.exception("job %s: a fault of this program", job.id)
            return Outcome(result=Result.FAILED, said=f"a fault: {type(error).__name__}")

    def _collect(self) -> None:
        """Keep what came of runs that have ended."""
        for name in [name for name, task in self._runs.items() if task.done()]:
            outcome = self._runs.pop(name).result()
            said = f": {outcome.said}" if outcome.said else ""
            _LOG.info("job %s: %s%s", name, outcome.result.value, said)
            self._state = ended(self._state, self._begun.pop(name), outcome, self._now())
        self._keep()

    def _keep(self) -> None:
        data = memory_bytes(self._state)
        if data == self._kept:
            return
        try:
            replace_file(self._settings.state / MEMORY, [data], mode=0o600)
            self._kept = data
        except ExclaveError as error:
            # A full disk: what is known goes on being known as long as this process lives.
            _LOG.error("memory cannot be kept: %s", error.message)

    def _tell(self, now: datetime) -> None:
        found = causes(self._orders, self._state, now)
        if any(cause.key.startswith("rpo:") for cause in found):
            # Somebody may have deposited by hand.
            self._learn()
            found = causes(self._orders, self._state, now)
        self._told = len(found)
        self._alerter.tell(found, now)

    def _learn(self) -> None:
        """Take over deposits that are newer than what is remembered."""
        try:
            found = self._deposited(self._settings)
        except ExclaveError as error:
            _LOG.error("catalogue: %s", error.message)
            return
        known, now = self._state.captured, self._now()
        newer = {
            name: max(moment, known.get(name, moment))
            for name, moment in found.items()
            # Made while the clock was ahead: believed, it would hide for so long that one is due.
            if moment <= now
        }
        self._state = replace(self._state, captured={**known, **newer})

    def _read_again(self) -> None:
        self._reload = False
        self._supervisor.reloading()
        try:
            settings = self._load()
            alerter = self._open_alerter(settings)
        except ExclaveError as error:
            _LOG.error("the configuration stays as it was: %s", error.message)
        else:
            self._alerter.close()
            self._alerter = alerter
            if settings.state != self._settings.state:
                _LOG.error("state: stays %s until the agent starts anew", self._settings.state)
                settings = replace(settings, state=self._settings.state)
            self._settings = settings
            self._orders = _with_running(settings.orders, self._orders, self._runs)
            self._learn()
        self._supervisor.ready(self._status())

    async def _end(self) -> None:
        self._supervisor.stopping()
        while self._runs:
            self._supervisor.alive()
            await asyncio.wait(self._runs.values(), timeout=1, return_when=asyncio.FIRST_COMPLETED)
            self._collect()
        await asyncio.to_thread(self._alerter.close)

    def _status(self) -> str:
        running = ", ".join(sorted(self._runs)) or "nothing"
        return f"running {running}; {self._told} alerts stand"


def load_state(folder: Path, now: datetime) -> AgentState:
    """What the folder remembers; a first agent remembers nothing. Raises `MemoryBroken`."""
    path = folder / MEMORY
    return parse_memory(path.read_bytes()) if path.exists() else AgentState(seen=now)


def _with_running(orders: Orders, before: Orders, running: Collection[str]) -> Orders:
    """A run that is no longer ordered keeps its lane until it ends, and does not start again."""
    names = {job.id for job in orders.jobs}
    left = [
        replace(job, schedule=())
        for job in before.jobs
        if job.id in running and job.id not in names
    ]
    return replace(orders, jobs=(*orders.jobs, *left))
