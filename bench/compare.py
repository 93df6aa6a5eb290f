"""`python -m bench compare`: all contenders in turn on the same data; see the package."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bench import clusters, peers, postgres
from bench.data import SETS, DataSet
from bench.embassy import exclave, rest, start_up
from bench.measuring import Run, temporary_place
from bench.results import CONDITIONS, Result, machine, table, today, versions, write_result
from exclave import __version__

__all__ = ["main"]

Contender: TypeAlias = Callable[[Path, DataSet, int], list[Run]]
_ROOT = Path(__file__).resolve().parent
_STARTS = 10
"""Start-up is short, so it is measured more often than the rest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the results."""
    options = _options(arguments)
    found, absent = versions(
        {
            "exclave": __version__,
            "restic": peers.restic_version() if options.peers else None,
            **{
                name: peers.borg_version(program) if options.peers else None
                for name, program in _borgs(options).items()
            },
            **({"pgbackrest": clusters.pgbackrest_version()} if options.postgres else {}),
        }
    )
    with temporary_place(options.place) as place:
        result = _measure(options, place, found, absent)
    path = write_result(result, folder=options.results, document=options.document)
    print("\n".join(table(result.runs)))
    print(f"written: {path}, {options.document}")
    return 0


def _measure(
    options: argparse.Namespace, place: Path, found: Mapping[str, str], absent: list[str]
) -> Result:
    before = machine()
    runs = _shown(start_up(_folder(place / "start-up"), options.starts))
    sizes: dict[str, str] = {}
    for name in options.set or SETS:
        measured, sizes[name] = _measure_set(options, place, found, name)
        runs += measured
    if options.postgres:
        runs += _postgres(options, place, absent)
    return Result(
        date=today(),
        machine={**before, "load_after": round(os.getloadavg()[0], 2)},
        versions=found,
        settings={
            "scale": options.scale,
            "repeats": options.repeats,
            "sets": sizes,
        },
        absent=absent,
        conditions=(*CONDITIONS, *options.note),
        runs=runs,
    )


def _measure_set(
    options: argparse.Namespace, place: Path, found: Mapping[str, str], name: str
) -> tuple[list[Run], str]:
    """All contenders in turn on one set of files, and how large it is."""
    print(f"making data: {name}")
    data = SETS[name](place / "data", scale=options.scale)
    if options.rest:
        rest(data)
    runs: list[Run] = []
    for repeat in range(1, options.repeats + 1):
        for label, contender in _contenders(options, found).items():
            folder = _folder(place / f"{label}-{repeat}")
            made = contender(folder, data, repeat)
            # The mixed set is the one that targets speak of.
            runs += _shown(
                made if name == "mixed" else [replace(r, step=f"{r.step}, {name}") for r in made]
            )
            _set_aside(folder)
    _set_aside(data.folder).rename(place / f"measured, {name}")
    return runs, f"{data.files} files, {data.size / 1e6:.0f} MB"


def _contenders(options: argparse.Namespace, found: Mapping[str, str]) -> dict[str, Contender]:
    wanted: dict[str, Contender] = {"one": exclave(n=1, k=1), "three": exclave(n=3, k=2)}
    if "restic" in found:
        wanted["restic"] = peers.three_steps("restic", peers.Restic)
    for name, program in _borgs(options).items():
        if name in found:
            make = partial(peers.Borg, program=program, version=found[name])
            wanted[name] = peers.three_steps(name, make)
    return wanted


def _borgs(options: argparse.Namespace) -> dict[str, str]:
    """Every Borg that is to be measured, by a name of its own."""
    return {"borg" if place == 0 else f"borg-{place + 1}": program
            for place, program in enumerate(options.borg or ["borg"])}  # fmt: skip


def _postgres(options: argparse.Namespace, place: Path, absent: list[str]) -> list[Run]:
    runs: list[Run] = []
    with postgres.served(place, scale=options.scale) as server:
        if server is None:
            absent.append(f"PostgreSQL {postgres.MAJOR}")
            return runs
        with clusters.cluster(place, scale=options.scale) as backed_up:
            for repeat in range(1, options.repeats + 1):
                folder = _folder(place / f"pg-{repeat}")
                runs += _shown(postgres.measure(server, folder, repeat))
                if backed_up is not None:
                    runs += _shown(backed_up.measure(repeat))
                _set_aside(folder)
    return runs


def _set_aside(folder: Path) -> Path:
    """Free the room of what was measured, and delete nothing before the end.

    ext4 passes over inodes that were deleted within the last minutes, one by one: 20,000 of them
    cost whoever creates files next up to ten seconds of processor time.
    """
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            os.truncate(file, 0)
    return folder


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _shown(runs: list[Run]) -> list[Run]:
    for run in runs:
        print(f"{run.repeat}  {run.contender:15} {run.step:10} {run.seconds:8.2f} s", flush=True)
    return runs


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench compare", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is the whole 1.66 GB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one repeat")
    parser.add_argument(
        "--borg", action="append", help="a Borg program to measure; may be repeated (1.x and 2)"
    )
    parser.add_argument(
        "--no-rest",
        dest="rest",
        action="store_false",
        help="measure at once, though files that were just written are read again",
    )
    parser.add_argument(
        "--set", action="append", choices=SETS, help="only these files; may be repeated"
    )
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--no-postgres", dest="postgres", action="store_false")
    parser.add_argument("--note", action="append", default=[], help="to be published with it")
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    parser.add_argument("--results", type=Path, default=_ROOT / "results")
    parser.add_argument("--document", type=Path, default=_ROOT.parent / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    options.starts = 1 if options.quick else _STARTS
    if options.quick:
        options.repeats = 1
    return options
