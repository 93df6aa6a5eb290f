"""What was to be reached and what was: ratios of medians of one run (docs/performance.md).

*Must* and *aim* are the project's own targets. A ratio is the other tool's median time divided by
Exclave's: above 1, Exclave is faster. Peak memory and start-up have no other side.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.embassy import PROGRAM_ALONE, STARTS
from bench.measuring import Run
from bench.postgres import KINDS, PEER, SIZES, step

__all__ = ["PEAK", "START_UP", "TARGETS", "Target", "target_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A step of Exclave's against another tool's."""

    what: str
    ours: tuple[str, str]  # contender, step
    theirs: tuple[str, str]
    must: float
    aim: float


_ONE, _THREE = "exclave 1-of-1", "exclave 2-of-3"
TARGETS: Final = (
    Target(what="first, 1-of-1, against restic", ours=(_ONE, "first"), theirs=("restic", "first"),
           must=2.5, aim=4),
    Target(what="first, 1-of-1, against Borg", ours=(_ONE, "first"), theirs=("borg", "first"),
           must=2, aim=3),
    Target(what="second, 1-of-1, against Borg", ours=(_ONE, "second"), theirs=("borg", "second"),
           must=1, aim=2),
    Target(what="restore, 1-of-1, against restic", ours=(_ONE, "restore"),
           theirs=("restic", "restore"), must=2, aim=3),
    Target(what="first, 2-of-3, against restic", ours=(_THREE, "first"),
           theirs=("restic", "first"), must=1, aim=2),
    *(
        Target(what=f"dump, key {kind}, {size}, against pg_dump",
               ours=(_ONE, step("dump", kind, size)), theirs=(PEER, step("dump", kind, size)),
               must=must, aim=1)
        for size in SIZES
        for kind, must in (("integer", 1.0), ("uuid", 0.5), ("text", 0.5), ("none", 0.5))
    ),
    *(
        Target(what=f"load, key {kind}, {size}, against pg_restore",
               ours=(_ONE, step("load", kind, size)), theirs=(PEER, step("load", kind, size)),
               must=0.8, aim=1)
        for size in SIZES
        for kind in KINDS
    ),
)  # fmt: skip
PEAK: Final = (400, 250)
"""Peak memory of Exclave's own process, MiB: must and aim."""
START_UP: Final = (0.3, 0.15)
"""Start-up of each, s: must and aim."""


def target_table(runs: Sequence[Run]) -> Iterator[str]:
    """Markdown rows for every target that was measured on both sides."""
    yield "| What | Measured | Must | Aim | |"
    yield "|---|---|---|---|---|"
    for target in TARGETS:
        ours, theirs = _median(runs, *target.ours), _median(runs, *target.theirs)
        if ours is not None and theirs is not None:
            ratio = theirs / ours
            verdict = _verdict(ratio >= target.must, ratio >= target.aim)
            wanted = f"{target.must} x | {target.aim} x"
            yield f"| {target.what} | {ratio:.2f} x | {wanted} | {verdict} |"
    peaks = [run.peak for run in runs if run.peak is not None and run.contender in (_ONE, _THREE)]
    if peaks:
        peak, (must, aim) = max(peaks) / 2**20, PEAK
        verdict = _verdict(peak <= must, peak <= aim)
        yield f"| peak memory | {peak:.0f} MiB | {must} MiB | {aim} MiB | {verdict} |"
    for start in STARTS:
        seconds = _median(runs, PROGRAM_ALONE, start)
        if seconds is not None:
            verdict = _verdict(seconds <= START_UP[0], seconds <= START_UP[1])
            yield f"| {start} | {seconds:.2f} s | {START_UP[0]} s | {START_UP[1]} s | {verdict} |"


def _verdict(must: bool, aim: bool) -> str:
    if not must:
        return "**short of must**"
    return "aim reached" if aim else "must reached, short of aim"


def _median(runs: Sequence[Run], contender: str, step: str) -> float | None:
    times = [run.seconds for run in runs if (run.contender, run.step) == (contender, step)]
    return statistics.median(times) if times else None
