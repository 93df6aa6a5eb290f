"""How fast a seat may be sent to, by the hour; `exclave.vault.client.pace` keeps to it.

A limit is in megabits a second (10^6), for what is sent in bodies; headers and TLS come on top,
some hundredths. Rules: of several limits in force the lowest holds; outside of their hours nothing
is held back. Hours are local time.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from exclave.values import dataclass

__all__ = ["Limit", "parse_hours", "rate_at"]

_BYTES: Final = 125_000  # a second, of a megabit
_DAY: Final = 24 * 60
_HOURS: Final = re.compile(
    r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many megabits a second on these days, from one minute of the day to another."""

    mbit: int
    days: frozenset[int] = frozenset(range(7))  # Monday is 0
    begin: int = 0
    end: int = _DAY  # less than `begin`: in the night, on the next day

    def holds(self, local: datetime) -> bool:
        """Whether it is in force at a local time."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        # The hours after midnight belong to the day on which the window began.
        return (day in self.days and minute >= self.begin) or (
            (day - 1) % 7 in self.days and minute < self.end
        )


def rate_at(limits: tuple[Limit, ...], local: datetime) -> int | None:
    """Bytes a second that may be sent at a local time; None: as many as the line takes."""
    mbit = min((limit.mbit for limit in limits if limit.holds(local)), default=None)
    return None if mbit is None else mbit * _BYTES


def parse_hours(value: object) -> tuple[int, int]:
    """`"07:00-19:00"`, `"22:00-06:00"` as minutes of the day."""
    match = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected hours such as "07:00-19:00"')
    begin = int(match[1]) * 60 + int(match[2])
    end = _DAY if match[3] is None else int(match[3]) * 60 + int(match[4])
    if begin == end:
        raise ValueError("expected an end that differs from the beginning")
    return begin, end
