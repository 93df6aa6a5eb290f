"""`python -m bench wire`: a first deposit, 2-of-3, by process: whose processor time it takes.

The mixed set goes over mutual TLS to three vault processes on the same machine; each repeat has a
mission of its own. `--against SOURCES` runs another version of the program on the same data in
turn, home and vaults alike: its `src` folder. `--perf FOLDER` leaves what `perf record` saw of each
process there, for `perf report`; then figures hold perf's own cost.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.data import DataSet, write_mixed
from bench.embassy import write_config
from bench.measuring import run_program, spent_so_far, temporary_place
from tests.support.embassy import PROGRAM, found_embassy

__all__ = ["Spent", "main"]

_HERE: Final = "this"
_HOME: Final = "home"
_PERF: Final = ("perf", "record", "-q", "-F", "499", "-g", "-o")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Processor seconds and page faults of one process in one run."""

    version: str
    process: str
    user: float
    system: float
    faults: int

    @property
    def both(self) -> float:
        """All processor seconds."""
        return self.user + self.system


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench wire", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is the whole 1.66 GB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="src folder of another version")
    parser.add_argument("--perf", type=Path, help="folder for what perf records")
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    options = parser.parse_args(arguments)
    versions: dict[str, Path | None] = {_HERE: None}
    if options.against is not None:
        versions["other"] = options.against.resolve(strict=True)
    with temporary_place(options.place) as place:
        data = write_mixed(place / "data", scale=options.scale)
        spent: list[Spent] = []
        for repeat in range(1, options.repeats + 1):
            for name, sources in versions.items():
                folder = place / f"{name}-{repeat}"
                with _version(sources):
                    spent += _deposited(folder, data, name, options.perf)
    print("\n".join(_lines(spent, data.size)))
    return 0


@contextmanager
def _version(sources: Path | None) -> Iterator[None]:
    """Programs that are started meanwhile run from these sources."""
    before = os.environ.get("PYTHONPATH")
    if sources is not None:
        os.environ["PYTHONPATH"] = str(sources)
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH", None)
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _deposited(folder: Path, data: DataSet, version: str, perf: Path | None) -> list[Spent]:
    """One first deposit to a new mission."""
    with found_embassy(folder, n=3, k=2, processes=True) as embassy:
        config = write_config(embassy, f'kind = "files"\npath = "{data.folder}"\n')
        vaults = {
            f"vault {seat}": vault.process.pid
            for seat, vault in embassy.vaults.items()
            if vault.process is not None
        }
        command = [*PROGRAM, "deposit", "--config", str(config)]
        with ExitStack() as watching:
            if perf is not None:
                command = [*_PERF, str(perf / _HOME), "--", *command]
                for name, process in vaults.items():
                    watching.enter_context(_watched(process, perf / name))
            before = {_HOME: _children()}
            before |= {name: spent_so_far(process) for name, process in vaults.items()}
            run_program(command)
        after = {_HOME: _children()}
        after |= {name: spent_so_far(process) for name, process in vaults.items()}
    return [_since(before[name], after[name], version, name) for name in before]


def _children() -> tuple[float, float, int]:
    """As `spent_so_far`, of all programs that this one has run to their end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime, usage.ru_stime, usage.ru_minflt


def _since(
    before: tuple[float, float, int], after: tuple[float, float, int], version: str, process: str
) -> Spent:
    user, system, faults = (now - then for now, then in zip(after, before, strict=True))
    return Spent(version=version, process=process, user=user, system=system, faults=int(faults))


@contextmanager
def _watched(process: int, file: Path) -> Iterator[None]:
    watcher = subprocess.Popen([*_PERF, str(file), "-p", str(process)])
    try:
        yield
    finally:
        watcher.send_signal(signal.SIGINT)
        watcher.wait()


def _lines(spent: Sequence[Spent], size: int) -> Iterator[str]:
    yield f"{size / 1e6:.0f} MB, first deposit 2-of-3; processor seconds, medians"
    for version in dict.fromkeys(item.version for item in spent):
        of_version = [item for item in spent if item.version == version]
        names = list(dict.fromkeys(item.process for item in of_version))
        for name in names:
            runs = [item for item in of_version if item.process == name]
            yield (
                f"  {version:6} {name:8} user {median(run.user for run in runs):6.2f}"
                f"  system {median(run.system for run in runs):6.2f}"
                f"  both {median(run.both for run in runs):6.2f}"
                f"  faults {median(run.faults for run in runs):9,.0f}"
            )
        each = [of_version[at : at + len(names)] for at in range(0, len(of_version), len(names))]
        totals = [sum(item.both for item in run) for run in each]
        listed = ", ".join(f"{total:.2f}" for total in totals)
        yield f"  {version:6} all {median(totals):6.2f} ({listed})"
