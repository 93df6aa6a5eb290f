"""Programs of a killed run that still work in its quarantine: what an assertion had started.

Rules
- They are known by a variable of their environment that names the quarantine, which nothing else
  has: not by their names, nor by a number that may be somebody else's by now.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["VARIABLE", "end_left_programs"]

VARIABLE: Final = "EXCLAVE_QUARANTINE"
"""In the environment of each program that works in a quarantine: a folder in it."""
_SECONDS: Final = 60


def end_left_programs(quarantine: Path) -> None:
    """Kill all that works in a quarantine, and wait until it has ended."""
    for process in Path("/proc").glob("[0-9]*"):
        # Those of others cannot be looked at, and others end meanwhile.
        with suppress(OSError):
            _end_if_in(quarantine, int(process.name))


def _end_if_in(quarantine: Path, pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        if _works_in(quarantine, pid):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], _SECONDS)
    finally:
        os.close(descriptor)


def _works_in(quarantine: Path, pid: int) -> bool:
    start = f"{VARIABLE}={quarantine}".encode()
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return any(item == start or item.startswith(start + b"/") for item in variables)
