"""Time as a value that is passed in, never read by pure code.

Stored times are UTC with whole seconds, written `YYYY-MM-DDTHH:MM:SSZ`
(spec/conventions.md 4). Durations are whole seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from exclave.errors import MalformedData

__all__ = ["Clock", "format_time", "now", "parse_time"]

Clock = Callable[[], datetime]
"""Gives the current time, aware, UTC."""

_TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")


def now() -> datetime:
    """The system's wall clock in UTC: the only place that reads it for statements."""
    return datetime.now(UTC)


def format_time(moment: datetime) -> str:
    """Write a moment in the stored form; fractions of a second are dropped."""
    # Not strftime: its years before 1000 have fewer than four digits on some systems.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_time(text: str) -> datetime:
    """Read the stored form; anything else raises `MalformedData`."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedData(f"time: expected YYYY-MM-DDTHH:MM:SSZ, got {text[:40]!r}")
    try:
        # Not strptime: a catalogue has many times, and every start would import it.
        year, month, day, hour, minute, second = map(int, match.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise MalformedData(f"time: no such moment: {text!r}") from error
