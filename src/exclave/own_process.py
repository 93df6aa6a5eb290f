"""What this process takes of the machine, under the names that Prometheus' own libraries give it.

From /proc where there is one; elsewhere nothing is known, and nothing is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exclave.exposition import Family, counter, gauge

__all__ = ["process_families"]

_SELF: Final = Path("/proc/self")
_STARTED: Final = 19
_RESIDENT: Final = 21
"""Places in /proc/self/stat after the name (proc(5): fields 22 and 24)."""


def process_families() -> Iterator[Family]:
    """Processor time, memory, open files, and when it started."""
    used = os.times()
    yield counter(
        "process_cpu_seconds_total", "Processor time used.", ({}, used.user + used.system)
    )
    try:
        fields = (_SELF / "stat").read_text().rpartition(")")[2].split()
        booted = _booted((_SELF.parent / "stat").read_text())
        files = len(os.listdir(_SELF / "fd"))  # noqa: PTH208 - only counted
    except OSError:
        return
    ticks = os.sysconf("SC_CLK_TCK")
    started = booted + int(fields[_STARTED]) / ticks
    resident = int(fields[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")
    yield gauge("process_start_time_seconds", "When the process started.", ({}, started))
    yield gauge("process_resident_memory_bytes", "Memory in use.", ({}, resident))
    yield gauge("process_open_fds", "Open files and sockets.", ({}, files))


def _booted(stat: str) -> int:
    lines = (line.split() for line in stat.splitlines() if line.startswith("btime"))
    return next((int(line[1]) for line in lines), 0)
