"""The pace of a seat, with a clock that the test moves: the rate holds, and hours begin and end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exclave.config import ConfigurationInvalid
from exclave.ids import Seat
from exclave.throttle import Limit, parse_hours, rate_at
from exclave.vault.client.client import HttpVault
from exclave.vault.client.pace import PIECE, Pace
from exclave.wiring.settings import load_deposit_settings
from tests.support.agents import DEPOSIT
from tests.support.embassy import Embassy, found_embassy

MONDAY = datetime(2026, 5, 4, 12, tzinfo=UTC)
MEGABIT = 125_000


@dataclass
class Moved:
    """A clock that goes on when somebody waits, and what was sent when."""

    local: datetime = MONDAY
    now: float = 100.0
    sent: list[tuple[float, int]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        # Others may wait for less: they go first, as they do by a real clock.
        await asyncio.sleep(0)
        if self.now < end:
            self.local += timedelta(seconds=end - self.now)
            self.now = end

    def pace(self, *limits: Limit) -> Pace:
        return Pace(limits, local=lambda: self.local, clock=lambda: self.now, sleep=self.sleep)

    async def send(self, pace: Pace, size: int) -> None:
        while size > 0:
            await pace(piece := min(PIECE, size))
            self.sent.append((self.now, piece))
            size -= piece

    def within(self, begin: float, end: float) -> int:
        return sum(size for moment, size in self.sent if begin <= moment < end)


def test_the_rate_holds_however_many_send_at_once() -> None:
    moved = Moved()
    pace = moved.pace(Limit(mbit=20))

    async def main() -> None:
        await asyncio.gather(*(moved.send(pace, 4 * 2**20) for _ in range(3)))

    asyncio.run(main())
    rate = 20 * MEGABIT
    total, seconds = 12 * 2**20, moved.now - 100.0
    assert total / seconds == pytest.approx(rate, rel=0.06)
    begin = 100.0
    while begin < moved.now:
        assert moved.within(begin, begin + 1) <= rate * 1.25 + PIECE
        begin += 0.5


def test_a_limit_begins_and_ends_with_its_hours() -> None:
    moved = Moved(local=MONDAY.replace(hour=18, minute=59, second=50))
    pace = moved.pace(Limit(mbit=8, begin=7 * 60, end=19 * 60))
    asyncio.run(moved.send(pace, 30 * MEGABIT * 8))
    # Ten seconds at a megabyte each, and the rest at once.
    assert moved.within(0, 109.9) == pytest.approx(9.9 * 8 * MEGABIT, rel=0.05)
    assert moved.now == pytest.approx(110.0, abs=0.3)


def test_nothing_is_saved_up_while_nobody_sends() -> None:
    moved = Moved()
    pace = moved.pace(Limit(mbit=8))

    async def main() -> None:
        await moved.send(pace, MEGABIT)
        moved.now += 3600
        await moved.send(pace, 8 * MEGABIT)

    asyncio.run(main())
    assert moved.within(3700, 3701) <= 8 * MEGABIT * 1.25 + PIECE


@pytest.mark.parametrize(
    ("hours", "days", "moment", "holds"),
    [
        ("07:00-19:00", range(7), MONDAY, True),
        ("07:00-12:00", range(7), MONDAY, False),
        ("12:00-24:00", range(7), MONDAY, True),
        ("22:00-06:00", range(7), MONDAY, False),
        ("22:00-06:00", {0}, MONDAY.replace(hour=23), True),
        ("22:00-06:00", {0}, MONDAY.replace(hour=5), False),
        ("22:00-06:00", {0}, MONDAY.replace(hour=5) + timedelta(days=1), True),
        ("07:00-19:00", {5, 6}, MONDAY, False),
    ],
)
def test_hours_and_days(hours: str, days: set[int], moment: datetime, holds: bool) -> None:
    begin, end = parse_hours(hours)
    limit = Limit(mbit=1, days=frozenset(days), begin=begin, end=end)
    assert limit.holds(moment) is holds


def test_of_several_limits_the_lowest_holds() -> None:
    limits = (Limit(mbit=50), Limit(mbit=20, begin=600, end=900), Limit(mbit=5, begin=0, end=60))
    assert rate_at(limits, MONDAY) == 20 * MEGABIT
    assert rate_at(limits, MONDAY.replace(hour=20)) == 50 * MEGABIT
    assert rate_at((), MONDAY) is None


def settings(folder: Path, text: str) -> Path:
    path = folder / "deposit.toml"
    path.write_text(DEPOSIT + text)
    return path


def test_limits_are_read_for_each_seat(tmp_path: Path) -> None:
    text = '[[throttle]]\nseats = [1, 3]\nlimit_mbit = 20\nhours = "07:00-19:00"\n'
    text += 'days = "Mon..Fri"\n[[throttle]]\nseats = [3]\nlimit_mbit = 100\n'
    found = load_deposit_settings(settings(tmp_path, text)).limits
    office = Limit(mbit=20, days=frozenset(range(5)), begin=420, end=1140)
    assert found == {Seat(1): (office,), Seat(3): (office, Limit(mbit=100))}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("limit_mbit = 0", "expected greater than or equal to 1"),
        ('hours = "7-19"', 'expected hours such as "07:00-19:00"'),
        ('hours = "07:00-25:00"', "expected hours such as"),
        ('hours = "07:00-07:00"', "expected an end that differs from the beginning"),
        ('days = "Mo"', "weekday: expected Mon, Tue, ... or Sun, got 'Mo'"),
        ("seats = []", "expected at least one seat, got none"),
        ("limit = 5", "expected no such key, got one"),
    ],
)
def test_limits_that_mean_nothing_are_named(line: str, expected: str, tmp_path: Path) -> None:
    key = line.split(" = ", maxsplit=1)[0]
    rows = [r for r in ("seats = [1]", "limit_mbit = 5") if not r.startswith(f"{key} ")]
    path = settings(tmp_path, "\n".join(["[[throttle]]", *rows, line]) + "\n")
    with pytest.raises(ConfigurationInvalid) as caught:
        load_deposit_settings(path)
    assert expected in caught.value.message
    assert f"{path.name}:" in caught.value.message


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path) as made:
        made.write_registers(mib=0.5)
        yield made


def test_what_is_sent_to_one_seat_is_paced_and_to_the_others_not(
    embassy: Embassy, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Moved()
    pace, client = moved.pace(Limit(mbit=10)), embassy.client
    taken: list[int] = []

    async def counted(amount: int) -> None:
        taken.append(amount)
        await pace(amount)

    def paced(seat: int, *rest: object) -> HttpVault:
        made = client(seat, *rest)  # type: ignore[arg-type]
        if seat == 2:
            made._pace = counted  # type: ignore[assignment]
        return made

    monkeypatch.setattr(embassy, "client", paced)
    outcome = embassy.deposit()
    sent = dict(outcome.entry.sent)[Seat(2)]
    assert outcome.late == {}
    # Its shards and the record; no byte of the others'.
    assert sent <= sum(taken) < sent + 2**16
    assert moved.now - 100 == pytest.approx(sum(taken) / (10 * MEGABIT), abs=0.4)


def test_a_limit_for_a_seat_that_is_not_there_is_named(embassy: Embassy) -> None:
    from tests.scripts.conftest import call

    config = embassy.write_config()
    config.write_text(config.read_text() + "\n[[throttle]]\nseats = [9]\nlimit_mbit = 5\n")
    ran = call("deposit", "--config", config)
    assert (ran.code, "seat 9: the charter has no such seat in use" in ran.err) == (3, True)
