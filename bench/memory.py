"""Peak memory of deposit and reconstruction, whatever the size: `python -m bench memory`.

The register is one file that lies nowhere, or as many as `--files` says (`bench.made`). All else is
the real program in a process of its own: configuration, capture, packs, vaults over mutual TLS
(2-of-3), record, warrant, reconstruction. Peak is the kernel's high-water mark (VmHWM) of that
process; it ends with an error when one is above the limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.embassy import prepare_reading, rebuild, write_config
from bench.measuring import Cost, run_program, temporary_place
from tests.support.embassy import found_embassy

__all__ = ["main"]

LIMIT: Final = 400
"""MiB; DESIGN section 11."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Deposit, deposit again, reconstruct; says the peak of each."""
    options = _options(arguments)
    size = int(options.gigabytes * 10**9)
    peaks: list[int] = []
    program = (sys.executable, "-m", "bench.made", str(size), str(options.files))

    def say(step: str, cost: Cost) -> None:
        peaks.append(cost.peak >> 20)
        print(
            f"{step:8} {options.gigabytes} GB in {options.files} files  peak {peaks[-1]} MiB  "
            f"processor {cost.cpu:.1f} s  wall {cost.seconds:.1f} s",
            flush=True,
        )

    with (
        temporary_place(options.place) as place,
        found_embassy(place / "embassy", n=3, k=2, processes=True) as embassy,
    ):
        config = write_config(embassy, f'kind = "files"\npath = "{place}"\n')
        deposit = (*program, "deposit", "--config", str(config))
        say("first", run_program(deposit))
        say("second", run_program(deposit))
        targets = f'[default.folder]\nkind = "folder"\npath = "{place / "out"}"\n'
        answer = prepare_reading(embassy, place)
        say("restore", rebuild(answer, place, targets, program=program))
    return int(max(peaks) > options.limit)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--files", type=lambda text: int(float(text)), default=1)
    parser.add_argument("--limit", type=int, default=LIMIT, help="MiB")
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    return parser.parse_args(arguments)
