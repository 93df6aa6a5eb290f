"""The agent's loop with runs that are played: what it keeps, tells and says to its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from exclave.agent.jobs import Job
from exclave.agent.machine import AgentBusy, alone, working_agent
from exclave.agent.memory import MemoryBroken, parse_memory
from exclave.agent.overview import agent_overview
from exclave.agent.service import MEMORY, Agent, Alerter
from exclave.agent.settings import AgentSettings
from exclave.agent.state import Outcome, Result
from exclave.notify import Supervisor, supervisor_of
from exclave.signals.alerter import Alerter as SignalsAlerter
from exclave.signals.cause import Cause, Message
from exclave.signals.interface import AlertUndelivered
from tests.support.agents import JOB, NOON, NotifySocket, load, write_agent

SLOT = NOON + timedelta(hours=14)
GOOD = Outcome(result=Result.GOOD, late={})
_TURNS = 5_000


class Played:
    """An agent with a clock that is set by the test, and runs that end when they are told to."""

    def __init__(self, path: Path, supervisor: Supervisor | None = None) -> None:
        self.path, self.now = path, NOON
        self.begun: list[str] = []
        self.kept_at_start: list[datetime | None] = []
        self.ends: dict[str, asyncio.Future[Outcome]] = {}
        self.told: list[frozenset[str]] = []
        self.deposited: dict[str, datetime] = {}
        self.alerter: Callable[[AgentSettings], Alerter] = lambda _: self
        self.supervisor = supervisor or Supervisor(None, None)
        self.memory = self.settings.state / MEMORY
        self.agent = self.new_agent()

    def new_agent(self) -> Agent:
        return Agent(
            load=lambda: load(self.path, now=self.now),
            run=lambda _: self.run,
            deposited=lambda _: self.deposited,
            alerter=self.alerter,
            supervisor=self.supervisor,
            clock=lambda: self.now,
        )

    async def run(self, job: Job, stop: asyncio.Event) -> Outcome:
        self.begun.append(job.id)
        with suppress(OSError):
            self.kept_at_start.append(parse_memory(self.kept()).jobs[job.id].running)
        end = self.ends[job.id] = asyncio.get_running_loop().create_future()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([end, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return end.result() if end.done() else Outcome(result=Result.STOPPED, said="stopped")

    def tell(self, causes: Collection[Cause], moment: datetime) -> None:
        self.told.append(frozenset(cause.key for cause in causes))

    def close(self) -> None:
        pass

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the loop go on, as if something had happened, until it has seen to it."""
        for _ in range(_TURNS):
            if true():
                return
            self.agent._changed.set()
            await asyncio.sleep(0)
        raise AssertionError("the loop never saw to it")

    def play(self, script: Callable[[], asyncio.Future[None] | object]) -> None:
        async def main() -> None:
            serving = asyncio.create_task(self.agent.serve())
            await script()  # type: ignore[misc]
            self.agent.stop()
            await serving

        asyncio.run(main())

    @property
    def settings(self) -> AgentSettings:
        return load(self.path, now=self.now)

    def kept(self) -> bytes:
        return self.memory.read_bytes()


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(write_agent(tmp_path))


def test_what_starts_is_kept_before_it_starts_and_what_came_of_it_after(played: Played) -> None:
    async def script() -> None:
        await played.until(lambda: bool(played.told))
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        assert played.kept_at_start == [SLOT]
        played.now = SLOT + timedelta(minutes=3)
        played.ends["daily"].set_result(GOOD)
        await played.until(lambda: not played.agent._runs)
        job = parse_memory(played.kept()).jobs["daily"]
        assert (job.running, job.result, job.ended) == (None, Result.GOOD, played.now)

    played.play(script)
    assert played.begun == ["daily"]


def test_an_agent_that_was_killed_tries_again_what_ran(played: Played) -> None:
    async def script() -> None:
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        # What a kill leaves is this file, whatever this process still does.
        killed = played.kept()
        played.ends["daily"].set_result(GOOD)
        await played.until(lambda: not played.agent._runs)
        (played.settings.state / MEMORY).write_bytes(killed)

    played.play(script)
    played.agent = played.new_agent()

    async def after() -> None:
        played.now = SLOT + timedelta(minutes=10)
        await played.until(lambda: played.begun == ["daily", "daily"])

    played.play(after)
    assert parse_memory(played.kept()).jobs["daily"].result is Result.STOPPED


def test_a_job_that_was_stopped_with_the_agent_runs_when_it_is_back(played: Played) -> None:
    async def begin() -> None:
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)

    played.play(begin)
    played.agent = played.new_agent()
    played.play(lambda: played.until(lambda: played.begun == ["daily", "daily"]))


class Down:
    """A target that nobody reaches."""

    name = "mail"

    def send(self, message: Message) -> None:
        raise AlertUndelivered("no answer")


def test_targets_that_are_down_do_not_stop_the_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    played = Played(write_agent(tmp_path, JOB + 'registers = ["land"]\n'))
    played.alerter = lambda settings: SignalsAlerter(
        [Down()],
        memory=settings.state / "alerts.json",
        source="test",
        remind_after=timedelta(days=1),
    )
    played.agent = played.new_agent()

    async def script() -> None:
        await played.until(lambda: "target mail did not take it" in caplog.text)
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        played.ends["daily"].set_result(GOOD)

    played.play(script)
    assert "unserved:gazette" in (played.settings.state / "alerts.json").read_text()


def test_a_register_too_old_is_told_until_somebody_deposits_by_hand(played: Played) -> None:
    async def script() -> None:
        await played.until(lambda: played.told != [])
        played.ends.clear()
        played.now = NOON + timedelta(hours=26, seconds=1)
        await played.until(lambda: played.told[-1] == {"rpo:land", "rpo:gazette"})
        played.deposited = dict.fromkeys(("land", "gazette"), played.now)
        await played.until(lambda: played.told[-1] == frozenset())

    played.play(script)


def test_what_the_catalogue_knows_is_known_at_the_start(tmp_path: Path) -> None:
    played = Played(write_agent(tmp_path))
    played.deposited = {"land": NOON - timedelta(days=3), "gazette": NOON}
    played.agent = played.new_agent()
    played.play(lambda: played.until(lambda: {"rpo:land"} in played.told))


def test_deposits_of_the_time_to_come_do_not_hide_that_one_is_due(played: Played) -> None:
    """Made while the clock was a year ahead: for a year no register would be too old."""

    async def script() -> None:
        await played.until(lambda: played.told != [])
        played.deposited = dict.fromkeys(("land", "gazette"), NOON + timedelta(days=365))
        played.now = NOON + timedelta(hours=26, seconds=1)
        await played.until(lambda: played.told[-1] == {"rpo:land", "rpo:gazette"})
        for _ in range(20):
            played.now += timedelta(minutes=1)
            await played.until(lambda: True)
        assert played.told[-1] == {"rpo:land", "rpo:gazette"}

    played.play(script)


def test_a_run_deposited_what_it_was_ordered_to_when_it_began(played: Played) -> None:
    later = JOB.replace("daily", "later").replace("02:00", "03:00")
    alone = f'{JOB}registers = ["land"]\n{later}registers = ["gazette"]\n'

    async def script() -> None:
        played.path.write_text(alone)
        played.agent.reload()
        await played.until(lambda: played.agent._orders.jobs[0].registers == ("land",))
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        played.path.write_text(JOB)
        played.agent.reload()
        await played.until(lambda: len(played.agent._orders.jobs) == 1)
        played.ends["daily"].set_result(GOOD)
        await played.until(lambda: not played.agent._runs)
        captured = parse_memory(played.kept()).captured
        assert (captured["land"], captured["gazette"]) == (SLOT, NOON)

    played.play(script)


def test_the_supervisor_hears_it_all(tmp_path: Path) -> None:
    with NotifySocket(tmp_path) as notify:
        supervisor = supervisor_of(notify.environment(watchdog=30))
        played = Played(write_agent(tmp_path), supervisor)

        async def script() -> None:
            await played.until(lambda: bool(played.told))
            notify.hear()
            assert "READY" in notify.said[0]
            assert any("WATCHDOG" in said for said in notify.said)
            notify.said.clear()
            (tmp_path / "agent.toml").write_text(JOB.replace("daily", "nightly"))
            os.kill(os.getpid(), signal.SIGHUP)
            await played.until(lambda: played.agent._orders.jobs[0].id == "nightly")
            notify.hear()
            keys = [key for said in notify.said for key in said]
            assert keys.index("RELOADING") < keys.index("READY")
            assert any("MONOTONIC_USEC" in said for said in notify.said)

        played.play(script)
        notify.hear()
        assert "STOPPING" in notify.said[-1]


def test_a_configuration_that_is_wrong_stays_unread(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    async def script() -> None:
        await played.until(lambda: bool(played.told))
        played.path.write_text("[[job]]\nid = 5\n")
        played.agent.reload()
        await played.until(lambda: "stays as it was" in caplog.text)
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        played.path.write_text(JOB)

    played.play(script)


def test_a_run_that_is_no_longer_ordered_keeps_its_lane(played: Played) -> None:
    async def script() -> None:
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        played.path.write_text(JOB.replace("daily", "other").replace("02:00", "02:05"))
        played.agent.reload()
        await played.until(lambda: len(played.agent._orders.jobs) == 2)
        played.now = SLOT + timedelta(minutes=6)
        for _ in range(20):
            await played.until(lambda: True)
        assert played.begun == ["daily"]
        played.ends["daily"].set_result(GOOD)
        await played.until(lambda: played.begun == ["daily", "other"])

    played.play(script)


def test_a_fault_of_ours_in_one_run_is_a_failure_of_that_run(played: Played) -> None:
    async def script() -> None:
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        played.ends["daily"].set_exception(RuntimeError("x"))
        await played.until(lambda: not played.agent._runs)

    played.play(script)
    assert parse_memory(played.kept()).jobs["daily"].said == "a fault: RuntimeError"


def test_memory_that_cannot_be_read_is_refused(played: Played) -> None:
    (played.settings.state / MEMORY).write_bytes(b"{}")
    with pytest.raises(MemoryBroken, match=r"^agent's memory: "):
        played.new_agent()


def test_a_state_folder_has_one_agent(tmp_path: Path) -> None:
    with alone(tmp_path / "state"):
        assert working_agent(tmp_path / "state") == str(os.getpid())
        with (
            pytest.raises(AgentBusy, match=f"got one at work: process {os.getpid()}"),
            alone(tmp_path / "state"),
        ):
            pass
    assert working_agent(tmp_path / "state") is None
    assert working_agent(tmp_path / "none") is None


def test_the_overview_of_an_agent_that_never_ran(played: Played) -> None:
    found = agent_overview(played.settings, NOON)
    assert found.process is None
    assert [(view.job.id, view.next) for view in found.jobs] == [("daily", SLOT)]
    assert found.causes == ()


def test_a_full_disk_is_said_and_does_not_stop_the_agent(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    folder = played.settings.state
    gone = folder.with_name("gone")
    folder.rename(gone)

    async def script() -> None:
        await played.until(lambda: "memory cannot be kept" in caplog.text)
        played.now = SLOT
        await played.until(lambda: "daily" in played.ends)
        gone.rename(folder)

    played.play(script)
    assert parse_memory(played.kept()).jobs["daily"].result is Result.STOPPED


def test_supervisors_of_other_processes_and_none() -> None:
    supervisor_of({}).ready("x")
    assert supervisor_of({"WATCHDOG_USEC": "3000000"}).watchdog == 3.0
    assert supervisor_of({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}).watchdog is None
    assert supervisor_of({"WATCHDOG_USEC": "x"}).watchdog is None
    # One that is gone is no reason to stop.
    supervisor_of({"NOTIFY_SOCKET": "@nobody-listens-here"}).ready("x")
