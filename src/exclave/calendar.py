"""Calendar expressions as systemd's `OnCalendar=` has them (systemd.time(7)), and what comes next.

    weekdays  year-month-day  hour:minute:second  zone        each part may be left out
    Mon..Fri,Sun 06:30            *-*-* 0/4:00 UTC            *-01,07~01 02:00 Europe/Tallinn

A part is `*`, a number, a range `1..5`, either with a step `1..10/3` or `0/15`, or a list of these;
days after `~` count from the end of the month. `daily`, `weekly` and their like stand for what
systemd lets them. Rules
- Whole seconds only. A step that never comes is refused, also where systemd takes it.
- Local time: an hour that clocks leave out does not come, one that they repeat comes once, in its
  first pass. In UTC there is no such hour.
- The calendar ends with the year 2199, as systemd's does.
- Pure: zones are passed in with the expression, the present moment with each question.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exclave.values import dataclass

__all__ = ["Calendar", "CalendarWrong", "parse_calendar", "parse_weekdays"]

_LAST_YEAR: Final = 2199
_SHORT: Final = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "semi-annually": "*-01,07-01 00:00:00",
    "biannually": "*-01,07-01 00:00:00",
    "bi-annually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
    "anually": "*-01-01 00:00:00",
}
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ITEM: Final = re.compile(r"([0-9]+)(?:\.\.([0-9]+))?(?:/([0-9]+))?", re.ASCII)
_FROM_END: Final = 28  # no month is shorter, so that "~28" is a day of each


class CalendarWrong(ValueError):
    """An expression that means nothing; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """One expression: which local times it names. `zone` None: what the caller calls local."""

    text: str
    weekdays: frozenset[int]  # Monday is 0
    years: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]  # negative: from the end of the month, -1 is its last day
    hours: frozenset[int]
    minutes: frozenset[int]
    seconds: frozenset[int]
    zone: tzinfo | None = None

    def next_after(self, moment: datetime, *, local: tzinfo = UTC) -> datetime | None:
        """The first moment later than this one, in UTC; None when there is none until 2199."""
        return _next_after(self, moment, local if self.zone is None else self.zone)

    def walls(self, start: datetime) -> Iterator[datetime]:
        """Local times from `start` on, ascending, whether clocks show them or not."""
        for day in self._dates(start.date()):
            first = start.time() if day == start.date() else time()
            for at in self._times(first):
                yield datetime.combine(day, at)

    def _dates(self, start: date) -> Iterator[date]:
        for year in range(start.year, _LAST_YEAR + 1):
            if year not in self.years:
                continue
            for month in sorted(self.months):
                if (year, month) < (start.year, start.month):
                    continue
                last = monthrange(year, month)[1]
                for number in range(1, last + 1):
                    if number not in self.days and number - last - 1 not in self.days:
                        continue
                    day = date(year, month, number)
                    if day >= start and day.weekday() in self.weekdays:
                        yield day

    def _times(self, first: time) -> Iterator[time]:
        begun = (first.hour, first.minute, first.second)
        minutes, seconds = sorted(self.minutes), sorted(self.seconds)
        for hour in sorted(self.hours):
            if hour < begun[0]:
                continue
            for minute in minutes:
                if (hour, minute) < begun[:2]:
                    continue
                for second in seconds:
                    if (hour, minute, second) >= begun:
                        yield time(hour, minute, second)


@lru_cache(maxsize=1024)
def _next_after(calendar: Calendar, moment: datetime, zone: tzinfo) -> datetime | None:
    # Kept, since a scheduler asks the same of every job each time that one of them changes.
    start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    for wall in calendar.walls(start.astimezone(zone).replace(tzinfo=None, fold=0)):
        found = wall.replace(tzinfo=zone).astimezone(UTC)
        left_out = found.astimezone(zone).replace(tzinfo=None) != wall
        if found > moment and not left_out:
            return found
    return None


def parse_calendar(text: str, *, find_zone: Callable[[str], tzinfo] = ZoneInfo) -> Calendar:
    """Read an expression; raises `CalendarWrong`."""
    words = text.split()
    if not words or text != text.strip():
        raise CalendarWrong(f'expected an expression such as "*-*-* 02:00", got {text[:40]!r}')
    zone = _zone(words[-1], find_zone) if len(words) > 1 else None
    if zone is not None:
        words = words[:-1]
    if len(words) == 1 and words[0].lower() in _SHORT:
        words = _SHORT[words[0].lower()].split()
    weekdays = parse_weekdays(words.pop(0)) if words[0][0].isalpha() else frozenset(range(7))
    years, months, days = _date(words.pop(0) if words and ":" not in words[0] else "*-*-*")
    hours, minutes, seconds = _time(words.pop(0) if words else "00:00:00")
    if words:
        raise CalendarWrong(
            f"expected weekdays, date, time and zone in this order, got {words[0]!r}"
        )
    return Calendar(
        text=text,
        weekdays=weekdays,
        years=years,
        months=months,
        days=days,
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        zone=zone,
    )


def parse_weekdays(text: str) -> frozenset[int]:
    """`Mon..Fri,Sun` as numbers, Monday 0; raises `CalendarWrong`."""
    found: set[int] = set()
    for item in text.removesuffix(",").split(","):
        first, range_, last = item.replace("-", "..").partition("..")
        begin = _weekday(first)
        end = _weekday(last) if range_ else begin
        if end < begin:
            raise CalendarWrong(
                f"weekdays: expected a range within Mon..Sun, got {item!r}; write it in two"
            )
        found.update(range(begin, end + 1))
    return frozenset(found)


def _weekday(text: str) -> int:
    lower = text.lower()
    for number, name in enumerate(_DAYS):
        if lower in (name, name[:3]):
            return number
    raise CalendarWrong(f"weekday: expected Mon, Tue, ... or Sun, got {text[:20]!r}")


def _zone(word: str, find_zone: Callable[[str], tzinfo]) -> tzinfo | None:
    if word.upper() == "UTC":
        return UTC
    if not word[0].isalpha() or ":" in word:
        return None
    try:
        return find_zone(word)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CalendarWrong(
            f"zone: expected one such as Europe/Tallinn, got {word[:40]!r}"
        ) from error


def _date(text: str) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    head, from_end, tail = text.partition("~")
    parts = head.split("-") if not from_end else [*head.split("-"), tail]
    if len(parts) == 2:
        parts.insert(0, "*")
    if len(parts) != 3:
        raise CalendarWrong(
            f"date: expected year-month-day, month-day or month~day, got {text[:40]!r}"
        )
    years = _part("year", parts[0], 1970, _LAST_YEAR)
    months = _part("month", parts[1], 1, 12)
    if not from_end:
        return years, months, _part("day", parts[2], 1, 31)
    if parts[2] == "*":
        raise CalendarWrong("day: expected a number after ~, got '*'")
    return years, months, _from_end(parts[2])


def _time(text: str) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    parts = text.split(":")
    if len(parts) == 2:
        parts.append("0")
    if len(parts) != 3:
        raise CalendarWrong(f"time: expected hour:minute or hour:minute:second, got {text[:40]!r}")
    if "." in parts[2].replace("..", ""):
        raise CalendarWrong(f"second: expected whole seconds, got {parts[2][:20]!r}")
    return (
        _part("hour", parts[0], 0, 23),
        _part("minute", parts[1], 0, 59),
        _part("second", parts[2], 0, 59),
    )


def _part(name: str, text: str, least: int, most: int) -> frozenset[int]:
    if text == "*":
        return frozenset(range(least, most + 1))
    found: set[int] = set()
    for item in text.split(","):
        begin, end, step = _item(name, item, least, most)
        if end is None:
            end = begin if step is None else most
        _require_step(name, item, step, end - begin)
        found.update(range(begin, end + 1, step or 1))
    return frozenset(found)


def _from_end(text: str) -> frozenset[int]:
    """Days counted from the end, as negative numbers: a step goes towards the last day."""
    found: set[int] = set()
    for item in text.split(","):
        begin, end, step = _item("day", item, 1, _FROM_END)
        if end is None:
            first, last = -begin, -begin if step is None else -1
        else:
            first, last = -end, -begin
        _require_step("day", item, step, last - first)
        found.update(range(first, last + 1, step or 1))
    return frozenset(found)


def _item(name: str, item: str, least: int, most: int) -> tuple[int, int | None, int | None]:
    match = _ITEM.fullmatch(item)
    if match is None:
        start = "0" if least == 0 else "1"
        meant = f"; write {start}{item[1:]}" if item.startswith("*/") else ""
        raise CalendarWrong(
            f"{name}: expected a number, range, step or list, got {item[:20]!r}{meant}"
        )
    begin = _number(name, match[1], least, most)
    end = None if match[2] is None else _number(name, match[2], least, most)
    step = None if match[3] is None else int(match[3][:9])
    if step == 0:
        raise CalendarWrong(f"{name}: expected a step of at least 1, got 0")
    if end is not None and end < begin:
        raise CalendarWrong(f"{name}: expected a range that ascends, got {item[:20]!r}")
    return begin, end, step


def _require_step(name: str, item: str, step: int | None, room: int) -> None:
    if step is not None and step > room:
        raise CalendarWrong(f"{name}: expected a step that comes at least once, got {item[:20]!r}")


def _number(name: str, text: str, least: int, most: int) -> int:
    value = int(text[:9])
    if name == "year" and value < 100:
        value += 2000 if value < 70 else 1900
    if not least <= value <= most:
        raise CalendarWrong(f"{name}: expected {least} to {most}, got {text[:9]}")
    return value
