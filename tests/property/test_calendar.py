"""What comes next by a calendar expression: by an oracle that walks, and by systemd itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exclave.calendar import CalendarWrong, parse_calendar

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
# An hour before clocks change in one of these zones, and quiet days.
BASES = [
    datetime(2026, 3, 29, 0, tzinfo=UTC),
    datetime(2026, 10, 24, 23, tzinfo=UTC),
    datetime(2026, 3, 8, 6, tzinfo=UTC),
    datetime(2026, 11, 1, 4, tzinfo=UTC),
    datetime(2026, 4, 4, 14, tzinfo=UTC),
    datetime(2026, 10, 3, 14, tzinfo=UTC),
    datetime(2028, 2, 28, 22, tzinfo=UTC),
    datetime(2026, 12, 31, 21, tzinfo=UTC),
    datetime(2026, 6, 15, 11, tzinfo=UTC),
]
WINDOW = timedelta(days=3)


@dataclass(frozen=True)
class Part:
    """The text of a part, and the numbers that it stands for, worked out apart from the parser."""

    text: str
    numbers: frozenset[int]


def part(least: int, most: int) -> st.SearchStrategy[Part]:
    number = st.integers(least, most)
    single = number.map(lambda n: Part(f"{n:02}", frozenset([n])))
    pair = st.tuples(number, number).map(sorted)
    spans = pair.map(lambda p: Part(f"{p[0]}..{p[1]}", frozenset(range(p[0], p[1] + 1))))
    # Other steps without an end are tried by `test_steps`: some of them systemd 252 miscounts.
    divisors = [n for n in range(1, 13) if (most + 1) % n == 0] if least == 0 else [1]
    steps = st.sampled_from(divisors).map(
        lambda n: Part(f"{least}/{n}", frozenset(range(least, most + 1, n)))
    )
    stepped = st.tuples(pair, st.integers(1, 9)).filter(lambda p: p[0][0] + p[1] <= p[0][1])
    stepped_ranges = stepped.map(
        lambda p: Part(f"{p[0][0]}..{p[0][1]}/{p[1]}", frozenset(range(p[0][0], p[0][1] + 1, p[1])))
    )
    lists = st.lists(st.one_of(single, spans, steps, stepped_ranges), min_size=1, max_size=3).map(
        lambda parts: Part(
            ",".join(p.text for p in parts), frozenset().union(*(p.numbers for p in parts))
        )
    )
    every = st.just(Part("*", frozenset(range(least, most + 1))))
    return st.one_of(every, every, single, lists)


def from_end() -> st.SearchStrategy[Part]:
    return st.one_of(
        st.integers(1, 28).map(lambda n: Part(f"~{n:02}", frozenset([-n]))),
        st.integers(2, 28).map(lambda n: Part(f"~{n}/1", frozenset(range(-n, 0)))),
    )


WEEKDAYS = [
    Part("", frozenset(range(7))),
    Part("", frozenset(range(7))),
    Part("Mon..Fri", frozenset(range(5))),
    Part("Sat,Sun", frozenset([5, 6])),
    Part("Sun", frozenset([6])),
    Part("Mon,Wed..Thu,Saturday", frozenset([0, 2, 3, 5])),
]


@dataclass(frozen=True)
class Expression:
    """One expression, and how to tell whether a local time is in it."""

    text: str
    zone: ZoneInfo
    matches: Callable[[datetime], bool]
    seconds: frozenset[int]


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    weekdays = draw(st.sampled_from(WEEKDAYS))
    months = draw(part(1, 12))
    days = draw(st.one_of(part(1, 31), part(1, 31), from_end()))
    hours, minutes = draw(part(0, 23)), draw(part(0, 59))
    second = draw(st.sampled_from([0, 0, 30, 59]))  # systemd's own steps of seconds skip some
    zone = draw(st.sampled_from(ZONES))
    date = f"*-{months.text}{days.text if days.text[0] == '~' else '-' + days.text}"
    text = f"{weekdays.text} {date} {hours.text}:{minutes.text}:{second} {zone}".strip()

    def matches(wall: datetime) -> bool:
        last = monthrange(wall.year, wall.month)[1]
        return (
            wall.weekday() in weekdays.numbers
            and wall.month in months.numbers
            and (wall.day in days.numbers or wall.day - last - 1 in days.numbers)
            and wall.hour in hours.numbers
            and wall.minute in minutes.numbers
        )

    return Expression(text, ZoneInfo(zone), matches, frozenset([second]))


def walk(expression: Expression, base: datetime) -> datetime | None:
    """The oracle: every minute of the window, its local time looked at, second passes left out."""
    minute = base.replace(second=0)
    while minute <= base + WINDOW:
        wall = minute.astimezone(expression.zone)
        if wall.fold == 0 and expression.matches(wall):
            for second in sorted(expression.seconds):
                if (found := minute + timedelta(seconds=second)) > base:
                    return found
        minute += timedelta(minutes=1)
    return None


@given(expressions(), st.sampled_from(BASES), st.integers(0, 7200))
def test_what_comes_next_is_what_a_walk_finds(
    expression: Expression, base: datetime, seconds: int
) -> None:
    moment = base + timedelta(seconds=seconds)
    found = parse_calendar(expression.text).next_after(moment)
    walked = walk(expression, moment)
    if walked is None:
        assert found is None or found > moment + WINDOW
    else:
        assert found == walked


@given(expressions(), st.sampled_from(BASES))
@settings(max_examples=20)
def test_what_comes_next_ascends(expression: Expression, base: datetime) -> None:
    calendar = parse_calendar(expression.text)
    moment = base
    for _ in range(20):
        found = calendar.next_after(moment)
        if found is None:
            break
        assert found > moment
        # Whatever moment before it is asked, it is the next one.
        assert calendar.next_after(found - timedelta(seconds=1)) == found
        moment = found


def systemd_says(text: str, base: datetime, count: int) -> list[str] | None:
    """The next elapses as `systemd-analyze calendar` counts them, in UTC; None: it refuses."""
    said = subprocess.run(
        [
            "systemd-analyze",
            "calendar",
            f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC",
            f"--iterations={count}",
            text,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        check=False,
    )
    if said.returncode:
        return None
    rows = (line.strip().partition(": ") for line in said.stdout.splitlines())
    return [
        value[4:23]
        for name, _, value in rows
        if name.startswith(("Next elapse", "Iter")) and value != "never"
    ]


def we_say(text: str, base: datetime, count: int) -> list[str] | None:
    try:
        calendar = parse_calendar(text)
    except CalendarWrong:
        return None
    found: list[str] = []
    moment: datetime | None = base
    while moment is not None and len(found) < count:
        moment = calendar.next_after(moment)
        if moment is not None:
            found.append(f"{moment:%Y-%m-%d %H:%M:%S}")
    return found


FIXED = """
Sat..Mon | Mon-Fri | Mon,Wed..Fri 2012-*-1,5 11:12 | *-*~03 | *-*~07/1 | *-02~01..03 | *-*~1..10/3
Mon *-05~07/1 | */5:00 | *:*/5 | 0/2:00 | *:0/5 | 1..10/3:00 | daily UTC | daily utc | 99-01-01
weekly Europe/Tallinn | 2003-03-05T05:40 | 5-3 | *-02-30 | 2010-01-01 | Mon | Mon, | *-*-29..31
hourly | quarterly | semi-annually | anually | 2024 | *-*-* | *:* | 00:00:60 | 24:00 | *-13-1
*-0-1 | 0000-01-01 | 2300-1-1 | *-*~29 | mon..wed,fri 10:00 | Monday,tuesday | 5,3:00 | 10..5:00
*-1,7~1 | 0/0:00 | 1..3..5:00 | 10 | *-*-1/2,5:00 | *:*:* | 2,4,6..8/2:00 | Mon  *-*-*   00:00
*-*-01~01 | Europe/Tallinn | 12:00 Nowhere/X | 200-1-1 | *~1 | ~1 | *-*-~1 | Fri..Sun,Mon 3:00
*-*-7/7 | 23..5/2:00 | 2020..2035/2-1-1 | Mon daily | Mon,,Tue | 1,,2:00 | *,1:00 | Mon..Fri/2
00:00 Mon | *-2-29 | Mon *-2-29 12:34:56 | 2027..2030-*-* | 2100/7-1-1 | -1-1 | *-*-0 | 1:2:3
1:2:3:4 | :: | *-*-*-* | 0..59/13:00 | Mon.. | ..Mon | /2:00 | *-*-1..10,20~1 | 12 | *-12~01..28/9
"""
FIXED_TEXTS = [text.strip() for line in FIXED.split("\n") for text in line.split("|") if text]
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="NOT COVERED: calendars are not compared with systemd's: no systemd-analyze here",
)


@needs_systemd
@pytest.mark.parametrize("text", FIXED_TEXTS)
def test_systemd_reads_the_same_and_says_the_same(text: str) -> None:
    base = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert we_say(text, base, 3) == systemd_says(text, base, 3)


@needs_systemd
@given(expressions(), st.sampled_from(BASES), st.integers(0, 7200))
def test_systemd_finds_the_same_next(expression: Expression, base: datetime, seconds: int) -> None:
    moment = base + timedelta(seconds=seconds)
    if moment.astimezone(expression.zone).fold:
        # Asked from within a repeated hour systemd goes through it again; see below.
        return
    assert we_say(expression.text, moment, 3) == systemd_says(expression.text, moment, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*:0/31", ["00:31:00", "01:00:00", "01:31:00"]),
        ("0/7:00", ["07:00:00", "14:00:00", "21:00:00"]),
        ("*:*:0/31", ["00:00:31", "00:01:00", "00:01:31"]),
    ],
)
def test_steps(text: str, expected: list[str]) -> None:
    midnight = datetime(2026, 6, 1, tzinfo=UTC)
    found = we_say(text, midnight, 3)
    assert found is not None
    assert [moment[11:] for moment in found] == expected


def test_an_hour_that_clocks_repeat_comes_once_and_one_they_leave_out_never() -> None:
    calendar = parse_calendar("*-*-* 02:30 Europe/Berlin")
    autumn = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    first = calendar.next_after(autumn)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    # systemd, asked from within the second pass, would say half past two again.
    assert calendar.next_after(autumn + timedelta(minutes=70)) == datetime(
        2026, 10, 26, 1, 30, tzinfo=UTC
    )
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert calendar.next_after(spring) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
