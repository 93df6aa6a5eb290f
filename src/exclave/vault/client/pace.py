"""The pace at which one seat is sent to: a bucket that fills at the rate of `exclave.throttle`.

Rules: each seat's pace is its own; those who send at once share it; waits are measured by a clock
that nobody sets, hours by the machine's local time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from exclave.throttle import Limit, rate_at

__all__ = ["PIECE", "Pace"]

PIECE: Final = 64 * 1024
"""Bytes between two looks at the limit: 0.5 s of a line of one megabit."""
_BURST: Final = 0.25  # seconds that may be made up for: scheduling is not exact


class Pace:
    """Holds back what is sent to one seat; to be awaited before each piece."""

    def __init__(
        self,
        limits: tuple[Limit, ...],
        *,
        local: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._local, self._clock, self._sleep = local, clock, sleep
        self._free = float("-inf")  # when the line has carried all that was let through

    async def __call__(self, amount: int) -> None:
        """Wait until so many bytes may be sent; those who ask at once go one after the other."""
        rate = rate_at(self._limits, self._local())
        now = self._clock()
        if rate is None:
            self._free = now
            return
        begin = max(self._free, now - _BURST)
        self._free = begin + amount / rate
        if begin > now:
            await self._sleep(begin - now)
