"""How far deposits and reconstructions are: bars on a terminal, plain lines elsewhere.

Totals are not known beforehand, so bars show what was done and how fast. Nothing here raises.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from exclave.plain_words import count, size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from exclave.cli.terminal import Terminal
    from exclave.reconstruct.report import RegisterOutcome

__all__ = ["ShownDeposit", "ShownReconstruction"]


class _Board:
    """One row a register: a moving one on a terminal, a line at begin and end elsewhere."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._bars: Progress | None = None
        self._row: TaskID | None = None
        self._units = self._bytes = 0
        self._begun = 0.0

    def __enter__(self) -> _Board:
        if self._terminal.moving:
            self._bars = self._stack.enter_context(_bars(self._terminal))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, text: str) -> None:
        """A new row."""
        with self._lock:
            self._units = self._bytes = 0
            self._begun = time.monotonic()
            if self._bars is None:
                self._terminal.info(text)
            else:
                self._row = self._bars.add_task(text, total=None, amount="")

    def add(self, units: int, amount: int) -> None:
        """More was done in the present row."""
        with self._lock:
            self._units += units
            self._bytes += amount
            if self._bars is not None and self._row is not None:
                shown = f"{self._units:,} done, {size(self._bytes)}"
                self._bars.update(self._row, amount=shown)

    def end(self, text: str) -> None:
        """The present row is finished."""
        with self._lock:
            seconds = time.monotonic() - self._begun
            if self._bars is None or self._row is None:
                self._terminal.info(f"  {text} in {seconds:.1f} s")
            else:
                self._bars.update(self._row, total=1, completed=1, amount=f"{text}")
            self._row = None

    def say(self, text: str) -> None:
        """A line between rows."""
        if self._bars is None:
            self._terminal.info(text)
        else:
            self._bars.console.print(text, markup=False, highlight=False)


class ShownDeposit(_Board):
    """`DepositProgress` on the terminal."""

    def __enter__(self) -> ShownDeposit:
        super().__enter__()
        return self

    def register_started(self, register: str, title: str) -> None:
        """A register's capture begins."""
        self.begin(f"capture {register} ({title})")

    def captured(self, register: str, what: str, units: int, size: int) -> None:
        """More was read."""
        del register, what
        self.add(units, size)

    def register_ended(self, register: str, rows: int, files: int) -> None:
        """A register is captured."""
        del register
        self.end(count(rows, files))

    def phase(self, name: str) -> None:
        """Another step begins."""
        self.say(name)


class ShownReconstruction(_Board):
    """`ReconstructProgress` on the terminal."""

    def __enter__(self) -> ShownReconstruction:
        super().__enter__()
        return self

    def register_started(self, register: str, title: str) -> None:
        """A register's restore begins."""
        self.begin(f"restore {register} ({title})")

    def restored(self, register: str, what: str, units: int, size: int) -> None:
        """More was restored."""
        del register, what
        self.add(units, size)

    def compared(self, register: str, what: str, units: int, size: int) -> None:
        """More was compared."""
        del register, what
        self.add(units, size)

    def register_ended(self, outcome: RegisterOutcome) -> None:
        """A register is restored and compared."""
        verdict = "proven" if outcome.proven else f"{len(outcome.differences)} DIFFERENCES"
        self.end(f"{count(outcome.rows, outcome.files)}, {verdict},")


def _bars(terminal: Terminal) -> Progress:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(finished_text="*"),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=terminal.err),
    )
