"""Run a program and say how long it took, what processor time and how much memory.

Time is the wall clock from start to exit, start-up of the program included. Peak memory is the
kernel's own high-water mark (VmHWM of /proc) of that one process, read while it runs: what
`getrusage` says counts the parent's memory before `exec` too.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exclave.postgres_server.account import OWN_ACCOUNT, Account

__all__ = [
    "BenchFailed",
    "Cost",
    "Run",
    "cpu_below",
    "cpu_seconds",
    "memory_now",
    "run_program",
    "spent_so_far",
    "temporary_place",
    "tree_size",
]

_LOOK: Final = 0.02
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class BenchFailed(Exception):
    """A measured program failed, or restored something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run of a program took."""

    seconds: float
    cpu: float  # user and system, of the program and its children
    peak: int  # bytes of resident memory, of the program alone
    output: bytes = b""

    def as_run(
        self,
        contender: str,
        step: str,
        repeat: int,
        *,
        stored: int | None = None,
        other_cpu: float | None = None,
    ) -> Run:
        """What it measured: a contender's step."""
        return Run(
            contender=contender,
            step=step,
            repeat=repeat,
            seconds=self.seconds,
            cpu=self.cpu,
            peak=self.peak,
            stored=stored,
            other_cpu=other_cpu,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured step of one contender."""

    contender: str
    step: str
    repeat: int
    seconds: float
    cpu: float | None
    peak: int | None
    stored: int | None = None  # bytes on the disks after it
    other_cpu: float | None = None  # of servers that worked for it


def run_program(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    account: Account = OWN_ACCOUNT,
) -> Cost:
    """Run to the end, as that account; raises `BenchFailed` with its last words."""
    begun = time.monotonic()
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        user=account.uid,
        group=account.gid,
        extra_groups=None if account.uid is None else [],
    )
    peak = _Peak(process.pid)
    before = os.times()
    out, err = process.communicate()
    seconds = time.monotonic() - begun
    after = os.times()
    peak.end()
    if process.returncode:
        words = err.decode(errors="replace")[-2000:]
        raise BenchFailed(f"{command[0]}: ended with {process.returncode}: {words}")
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Cost(seconds=seconds, cpu=cpu, peak=peak.bytes, output=out)


@contextmanager
def temporary_place(parent: Path | None = None) -> Iterator[Path]:
    """A new folder to measure in, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="exclave-bench-", dir=parent) as name:
        yield Path(name)


def cpu_seconds(process: int) -> float:
    """Processor time that a running process has taken so far."""
    return sum(_times(process)[:2]) / _TICKS


def spent_so_far(process: int) -> tuple[float, float, int]:
    """Of a running process: its own processor time, the kernel's for it, and page faults."""
    user, system, *_ = _times(process)
    return user / _TICKS, system / _TICKS, int(_stat(process)[7])


def cpu_below(process: int) -> float:
    """Processor time of a running process and of all its children, those that have ended too."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    below = 0.0
    for child in map(int, children):
        with suppress(OSError):  # it ended meanwhile: for its parent to count
            below += cpu_below(child)
    return sum(_times(process)) / _TICKS + below


def _times(process: int) -> tuple[int, int, int, int]:
    """User and system time of a process, and of its children that have ended, in ticks."""
    user, system, below_user, below_system = _stat(process)[11:15]
    return int(user), int(system), int(below_user), int(below_system)


def _stat(process: int) -> list[str]:
    """Fields after the program's name."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def memory_now() -> dict[str, int]:
    """Resident memory of this process, its high-water mark and its parts, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kept = ("VmHWM", "RssAnon", "RssFile")
    fields = [line.partition(":") for line in lines if line.startswith(kept)]
    return {name: int(value.split()[0]) // 1024 for name, _, value in fields}


def tree_size(*folders: Path) -> int:
    """Bytes of all files below."""
    return sum(
        file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()
    )


class _Peak:
    """Looks at a process's high-water mark until it ends."""

    def __init__(self, process: int) -> None:
        self._status = Path(f"/proc/{process}/status")
        self._ended = threading.Event()
        self.bytes = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._look()
            self._ended.wait(_LOOK)

    def _look(self) -> None:
        try:
            text = self._status.read_text()
        except OSError:
            return
        for line in text.splitlines():
            if line.startswith("VmHWM:"):
                self.bytes = max(self.bytes, int(line.split()[1]) * 1024)
