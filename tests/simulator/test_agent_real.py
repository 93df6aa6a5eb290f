"""The agent's scheduler over the real program: sixty days of deposits into folders at hand.

The clock of the agent is virtual; each run is `exclave deposit` itself, in this process, and what
it prints is read as the agent reads it. A seat that is down is a disk that is away, a database that
is down is a folder that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from exclave.agent.jobs import Job, JobKind, Orders
from exclave.agent.reading import outcome_of
from exclave.agent.state import Outcome, Result
from exclave.calendar import parse_calendar
from exclave.vault.client.retrying import RetryPolicy
from exclave.wiring import lines
from exclave.wiring.depositor import open_home
from exclave.wiring.overview import overview
from tests.scripts.conftest import call
from tests.support.agent_world import BEGIN, HOUR, SEATS, Outage, World
from tests.support.embassy import Embassy, files_register, found_embassy

DAILY = Job(
    id="nightly",
    kind=JobKind.DEPOSIT,
    schedule=(parse_calendar("*-*-* 01:00"),),
    registers=("cadastre",),
    first_pause=HOUR,
    longest_pause=8 * HOUR,
    tries=3,
)
LATE = replace(
    DAILY, id="late", kind=JobKind.CATCH_UP, registers=(), schedule=(parse_calendar("13:00"),)
)
ORDERS = Orders(jobs=(DAILY, LATE), rpo={"cadastre": 27 * HOUR}, late_after=30 * HOUR)


@dataclass
class RealWorld(World):
    """As `World`, but what runs is the program, and what is down is moved away."""

    embassy: Embassy | None = None
    config: Path = Path()

    def _outcome(self, done: Job) -> Outcome:
        assert self.embassy is not None
        for seat in SEATS:
            _move(self.embassy.vault_folder(seat), away=seat not in self.reachable())
        register = self.embassy.home / "registers" / "cadastre"
        _move(register, away=self.down("db-cadastre"))
        if register.exists():
            (register / "book.txt").write_text(f"{self.now}\n" * 50)
        words = ["--catch-up"] if done.kind is JobKind.CATCH_UP else list(done.registers)
        ran = call("--json", "--quiet", "deposit", *words, "--config", self.config)
        outcome = outcome_of(done, ran.code, ran.out.encode(), ran.err.encode())
        if done.captures and outcome.result in {Result.GOOD, Result.LATE}:
            self.deposits.append(("cadastre", self.now))
        return outcome


def _move(folder: Path, *, away: bool) -> None:
    hidden = folder.with_name(f"{folder.name}.away")
    if away and folder.exists():
        folder.rename(hidden)
    elif not away and hidden.exists():
        hidden.rename(folder)


@pytest.fixture
def embassy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Embassy]:
    # A disk that is away is away: real pauses before asking it again are not what is tried here.
    monkeypatch.setattr(lines, "RetryPolicy", lambda: RetryPolicy(attempts=1))
    with found_embassy(tmp_path) as made:
        for seat in SEATS:
            made.stop_vault(seat)
        folder = made.home / "registers" / "cadastre"
        folder.mkdir(parents=True)
        (folder / "book.txt").write_text("nothing yet\n")
        made.add_register(files_register("cadastre", folder))
        yield made


def days(embassy: Embassy, count: int, *outages: Outage) -> RealWorld:
    config = embassy.write_config()
    with config.open("a") as stream:
        for seat in SEATS:
            stream.write(f'\n[[seat]]\nseat = {seat}\nfolder = "{embassy.vault_folder(seat)}"\n')
    world = RealWorld(embassy=embassy, config=config, orders=ORDERS, outages=outages)
    world.run_until(BEGIN + timedelta(days=count))
    return world


def require_complete(world: RealWorld) -> None:
    """By the depositor's own account: every seat holds the last deposit, and nothing is spooled."""
    found = overview(open_home(world.config), ask=True)
    assert found.spool_used == 0
    assert [seat.late_shards for seat in found.seats] == [0, 0, 0]
    assert [register.held for register in found.registers] == [SEATS]


def test_a_seat_down_for_seven_days_of_daily_deposits_is_complete_afterwards(
    embassy: Embassy,
) -> None:
    begin = BEGIN + timedelta(days=1)
    world = days(embassy, 9, Outage("seat-2", begin, 7 * 24))
    assert len(world.deposits) == 9
    assert [result for _, name, result in world.runs if name == "nightly"].count(Result.LATE) == 7
    require_complete(world)
    assert [(what, key) for _, what, key in world.told.log] == [
        ("alarm", "seat:2"),
        ("clear", "seat:2"),
    ]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_sixty_days_with_outages(embassy: Embassy) -> None:
    at = [BEGIN + timedelta(days=day, hours=2) for day in range(60)]
    world = days(
        embassy,
        60,
        Outage("seat-1", at[3], 20),
        Outage("db-cadastre", at[10], 50),
        Outage("line", at[20], 60),
        Outage("agent", at[30], 70),
        Outage("seat-3", at[40], 10 * 24),
    )
    assert len(world.deposits) >= 50
    require_complete(world)
    assert world.told.log[-1][1] == "clear"
    told = [key for _, what, key in world.told.log if what == "alarm"]
    # What is owed to nobody makes nobody late: a line that is cut shows by the deposits alone.
    assert told == [
        *("rpo:cadastre", "job:nightly"),
        *("rpo:cadastre", "job:nightly"),
        "rpo:cadastre",
        "seat:3",
    ]
