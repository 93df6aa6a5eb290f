"""Plays one script on a stage of its own, and gives the verdict."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from exclave.demo.attack.findings import Book
from exclave.demo.attack.place import Place, set_up
from exclave.demo.founding import Law
from exclave.demo.narration import Narrator, duration
from exclave.demo.stage import Stage
from exclave.errors import DifferenceFound
from exclave.values import dataclass

__all__ = ["Script", "play"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is played once a mission under `law` stands."""

    name: str
    law: Law
    act: Callable[[Place], None]


def play(
    script: Script, *, keep: bool, folder: Path | None, quiet: bool = False, json: bool = False
) -> int:
    """Play a script; 0 when all that it expects holds, else 1."""
    narrator = Narrator(quiet=quiet, json=json)
    book = Book(narrator)
    begun = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="exclave-drill-")) if folder is None else folder
    with Stage(home.resolve(), quiet=True, temporary=folder is None) as stage:
        with ExitStack() as lines:
            with book.scene("A mission made for this drill: three vaults, 2 of 3"):
                place = set_up(stage, narrator, book, script.law, lines)
            script.act(place)
        if keep:
            stage.keep()
        seconds = time.monotonic() - begun
        narrator.result(_verdict(script, book, narrator, seconds, place if keep else None))
        _tell(script, book, narrator, seconds, place if keep else None)
    return 0 if book.good else DifferenceFound.exit_code


def _tell(
    script: Script, book: Book, narrator: Narrator, seconds: float, kept: Place | None
) -> None:
    held = sum(item.held for item in book.findings)
    verdict = "it held" if book.good else "IT DID NOT HOLD"
    narrator.verdict(
        f"drill {script.name}: {verdict}: {held} of {len(book.findings)} findings, "
        f"in {duration(seconds)}"
    )
    if kept is not None:
        pids = " ".join(map(str, _pids(kept)))
        narrator.verdict(f"   left as it stands: {kept.stage.folder}")
        narrator.verdict(f"   to stop:   kill {pids}")
        narrator.verdict(f"   to remove: rm -r {kept.stage.folder}")


def _verdict(
    script: Script, book: Book, narrator: Narrator, seconds: float, kept: Place | None
) -> dict[str, object]:
    return {
        "script": script.name,
        "held": book.good,
        "seconds": seconds,
        "scenes": [{"title": item.title, "seconds": item.seconds} for item in narrator.times],
        "findings": [item.to_json() for item in book.findings],
        "kept": None if kept is None else {"folder": str(kept.stage.folder), "pids": _pids(kept)},
    }


def _pids(place: Place) -> list[int]:
    processes = [vault.process for vault in place.vaults.values()]
    return [item.pid for item in processes if item is not None and item.process.poll() is None]
