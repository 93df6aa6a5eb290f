"""`python -m bench compare`: all contenders in turn on the same data; see the package."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bench import clusters, peers, postgres
from bench.data import SETS, DataSet
from bench.embassy import exclave, rest, start_up
from bench.measuring import Run, temporary_place
from bench.results import (
    CONDITIONS,
    Result,
    machine,
    new_result,
    table,
    today,
    versions,
    write_result,
)
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
    book = _Book(options=options, versions=found, absent=absent)
    with temporary_place(options.place) as place:
        _measure(book, place)
    book.write(whole=True)
    print("\n".join(table(book.runs)))
    print(f"written: {book.path}, {options.document}")
    return 0


@dataclass(slots=True, kw_only=True)
class _Book:
    """What was measured so far. It is written after each repeat: a run takes an hour and more,
    and one that is cut off has still measured something."""

    options: argparse.Namespace
    versions: Mapping[str, str]
    absent: list[str]
    machine: Mapping[str, object] = field(default_factory=machine)
    sizes: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        self.path = new_result(self.options.results, date=today())

    def add(self, runs: list[Run]) -> None:
        """Show them and keep them."""
        for run in runs:
            print(
                f"{run.repeat}  {run.contender:15} {run.step:10} {run.seconds:8.2f} s", flush=True
            )
        self.runs += runs

    def write(self, *, whole: bool = False) -> None:
        """The results and the page that shows them."""
        options = self.options
        result = Result(
            date=today(),
            machine={**self.machine, "load_after": round(os.getloadavg()[0], 2)},
            versions=self.versions,
            settings={"scale": options.scale, "repeats": options.repeats, "sets": self.sizes},
            absent=self.absent,
            conditions=(*CONDITIONS, *options.note),
            runs=self.runs,
            whole=whole,
        )
        write_result(result, path=self.path, document=options.document)


def _measure(book: _Book, place: Path) -> None:
    options = book.options
    book.add(start_up(_folder(place / "start-up"), options.starts))
    for name in options.set or SETS:
        _measure_set(book, place, name)
    if options.postgres:
        _measure_postgres(book, place)


def _measure_set(book: _Book, place: Path, name: str) -> None:
    """All contenders in turn on one set of files."""
    print(f"making data: {name}")
    options = book.options
    data = SETS[name](place / "data", scale=options.scale)
    book.sizes[name] = f"{data.files} files, {data.size / 1e6:.0f} MB"
    if options.rest:
        rest(data)
    for repeat in range(1, options.repeats + 1):
        for label, contender in _contenders(options, book.versions).items():
            folder = _folder(place / f"{label}-{repeat}")
            made = contender(folder, data, repeat)
            # The mixed set is the one that targets speak of.
            book.add(
                made if name == "mixed" else [replace(r, step=f"{r.step}, {name}") for r in made]
            )
            _set_aside(folder)
        book.write()
    _set_aside(data.folder).rename(place / f"measured, {name}")


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


def _measure_postgres(book: _Book, place: Path) -> None:
    options = book.options
    with postgres.served(place, scale=options.scale) as server:
        if server is None:
            book.absent.append(f"PostgreSQL {postgres.MAJOR}")
            return
        with clusters.cluster(place, scale=options.scale) as backed_up:
            for repeat in range(1, options.repeats + 1):
                folder = _folder(place / f"pg-{repeat}")
                book.add(postgres.measure(server, folder, repeat))
                if backed_up is not None:
                    book.add(backed_up.measure(repeat))
                _set_aside(folder)
                book.write()


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
