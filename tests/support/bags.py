"""Bags for tests: packed from an embassy's home by the program itself, onto folders and volumes."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exclave.cli import main
from tests.support.embassy import Embassy

__all__ = ["CAPACITY", "Bag", "pack_folder", "pack_volumes", "run"]

CAPACITY = "1MiB"
"""Of a test's tape: sixteen blocks."""


@dataclass(frozen=True, kw_only=True)
class Bag:
    """A packed bag: its places in order, its papers, what the program said."""

    places: tuple[Path, ...]
    papers: Path
    said: dict[str, Any]


def run(*arguments: object, expect: int | None = 0) -> Any:
    """A command in this process, with nobody at the terminal; its JSON, or what it complained."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), Path(os.devnull).open() as nobody:
        before, sys.stdin = sys.stdin, nobody
        try:
            code = main(["--json", *map(str, arguments)])
        finally:
            sys.stdin = before
    assert expect in {None, code}, (arguments, code, out.getvalue(), err.getvalue())
    return json.loads(out.getvalue()) if out.getvalue() else err.getvalue()


def pack_folder(embassy: Embassy, seat: int, place: Path, *more: object) -> Bag:
    """`exclave bag pack --folder`."""
    papers = place.with_name(f"{place.name}-papers")
    said = run(
        "bag", "pack", "-c", embassy.write_config(), "--seat", seat, "--folder", place,
        "--papers", papers, *more,
    )  # fmt: skip
    return Bag(places=(place,), papers=papers, said=said)


def pack_volumes(embassy: Embassy, seat: int, place: Path, *more: object, most: int = 99) -> Bag:
    """`exclave bag pack --volumes`, with as many small volumes as it takes."""
    place.mkdir()
    papers = place / "papers"
    volumes = [place / f"{number:02}.tape" for number in range(1, most + 1)]
    said = run(
        "bag", "pack", "-c", embassy.write_config(), "--seat", seat, "--volumes", *volumes,
        "--capacity", CAPACITY, "--papers", papers, *more,
    )  # fmt: skip
    return Bag(places=tuple(v for v in volumes if v.exists()), papers=papers, said=said)
