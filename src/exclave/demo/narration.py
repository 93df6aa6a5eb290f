"""What the demo says: phases with their times, plain words, a table of verdicts.

The only module of the demo that writes. On a terminal rich draws rules, spinners and a table; in
a pipe everything is plain lines. With JSON asked for, words go to standard error and one JSON
object to standard output at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from exclave.values import dataclass

__all__ = ["Narrator", "PhaseTime", "amount", "duration"]


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """How long a phase took."""

    title: str
    seconds: float


class Narrator:
    """Tells the story."""

    def __init__(self, *, quiet: bool, json: bool) -> None:
        self._quiet = quiet
        self._json = json
        self._console = Console(stderr=json, highlight=False, markup=False, soft_wrap=True)
        self.times: list[PhaseTime] = []

    @property
    def moving(self) -> bool:
        """Whether the words go to a terminal."""
        return self._console.is_terminal and not self._quiet

    @contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """A step of the story; its time is kept."""
        if not self._quiet:
            self._heading(f"{len(self.times) + 1}. {title}")
        begun = time.monotonic()
        yield
        seconds = time.monotonic() - begun
        self.times.append(PhaseTime(title, seconds))
        self.say(f"({seconds:.1f} s)")

    def say(self, text: str) -> None:
        """A line of the story."""
        if not self._quiet:
            self._line(f"   {text}")

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """A line of the story about something that takes a while."""
        if self.moving:
            with self._console.status(text):
                yield
            self.say(text)
        else:
            self.say(text)
            yield

    def verdict(self, text: str) -> None:
        """What is said even when quiet."""
        self._line(text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows with headings; the first column is text, the others are figures."""
        if self._console.is_terminal:
            table = Table(title=title, title_justify="left")
            for index, column in enumerate(columns):
                table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
            for row in rows:
                table.add_row(*row)
            self._console.print(table)
            return
        widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
        self._line(title)
        for row in (columns, *rows):
            cells = [
                text.ljust(width) if index == 0 else text.rjust(width)
                for index, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            self._line("   " + "  ".join(cells).rstrip())

    def result(self, value: Mapping[str, object]) -> None:
        """The one JSON object, when it was asked for."""
        if self._json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n")
            sys.stdout.flush()

    def _heading(self, text: str) -> None:
        if self._console.is_terminal:
            self._console.rule(text, align="left", style="bold")
        else:
            self._line("")
            self._line(text)

    def _line(self, text: str) -> None:
        self._console.print(text)
        self._console.file.flush()


def amount(size: int) -> str:
    """Bytes for people."""
    for length, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size} B"


def duration(seconds: float) -> str:
    """Seconds for people: the two largest units."""
    whole = round(seconds)
    if whole < 120:
        return f"{seconds:.1f} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
