"""The one module that owns the terminal: what people read, and what they are asked.

Results go to standard output, everything else to standard error; `--json` turns results into one
line of JSON, `--quiet` leaves only results, warnings and errors. Nothing else prints. Rules: no
colour or movement unless standard error is a terminal; a secret is never echoed.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from exclave.errors import ExclaveError, StorageError, UsageError

__all__ = ["Json", "NoTerminal", "OutputLost", "Terminal"]

Json = Mapping[str, object]


class NoTerminal(UsageError):
    """Something must be asked, and there is nobody to ask."""


class OutputLost(StorageError):
    """What the command was run for cannot be written: its disk is full, or nothing is there."""


class Terminal:
    """Where one run of the program speaks; tests give it other streams."""

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
        ask: TextIO | None = None,
    ) -> None:
        self.json = json
        self.quiet = quiet
        # None where whoever started us closed it.
        self._out: TextIO | None = sys.stdout if out is None else out
        self._err = (sys.stderr or io.StringIO()) if err is None else err
        self._ask = sys.stdin if ask is None else ask

    @property
    def moving(self) -> bool:
        """Whether bars may be drawn."""
        return self._err.isatty() and not self.quiet

    @property
    def err(self) -> TextIO:
        """For bars only."""
        return self._err

    def result(self, value: Json, lines: Iterable[str]) -> None:
        """What the command was run for: JSON when asked for, else lines."""
        if self.json:
            self._print(json.dumps(value, ensure_ascii=False, sort_keys=True))
            return
        for line in lines:
            self._print(line)

    def info(self, text: str) -> None:
        """What happens, for whoever watches."""
        if not self.quiet:
            self._write(self._err, text)

    def warning(self, text: str, *, hint: str | None = None) -> None:
        """Something that should be looked at; the command goes on."""
        self._write(self._err, f"warning: {text}")
        self._hint(hint)

    def error(self, error: ExclaveError) -> None:
        """Why the command failed, and what to try."""
        for line in error.message.splitlines() or [type(error).__name__]:
            self._write(self._err, f"exclave: {line}")
        self._hint(error.hint)

    def failure(self, text: str, *, hint: str | None = None) -> None:
        """A failure that is no `ExclaveError`."""
        self._write(self._err, f"exclave: {text}")
        self._hint(hint)

    def confirm(self, question: str) -> bool:
        """Ask for a yes; anything else is a no."""
        if not self._ask.isatty():
            raise NoTerminal(f"{question}: nobody to ask", hint="say --yes where it is meant")
        self._err.write(f"{question} [y/N] ")
        self._err.flush()
        return self._ask.readline().strip().lower() in {"y", "yes"}

    def wait_for(self, what: str) -> None:
        """Ask for something to be done; goes on when Enter was pressed."""
        if not self._ask.isatty():
            raise NoTerminal(f"{what}: nobody to ask", hint="name one file or device for each")
        self._err.write(f"{what}, then press Enter: ")
        self._err.flush()
        self._ask.readline()

    def line(self, question: str) -> str:
        """Ask for a line; an empty one where nobody is there."""
        if not self._ask.isatty():
            return ""
        self._err.write(f"{question}: ")
        self._err.flush()
        return self._ask.readline().strip()

    def show_log(self) -> None:
        """Write what this program's parts log to standard error, a line each."""
        import logging

        handler = logging.StreamHandler(self._err)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log = logging.getLogger("exclave")
        log.addHandler(handler)
        log.setLevel(logging.WARNING if self.quiet else logging.INFO)

    @contextmanager
    def telling(self, part: str) -> Iterator[None]:
        """Say at the end what a part of this program logged: amid bars nobody would read it."""
        import logging

        said: list[str] = []

        class Kept(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                said.append(record.getMessage())

        log, kept = logging.getLogger(part), Kept()
        log.addHandler(kept)
        log.setLevel(logging.INFO)
        try:
            yield
        finally:
            log.removeHandler(kept)
            for text in sorted(said):
                self.info(text)

    @property
    def attended(self) -> bool:
        """Whether somebody can be asked."""
        return self._ask.isatty()

    def words(self, prompt: str, complete: Callable[[str], Sequence[str]]) -> str:
        """Ask for words of a list, completed with Tab; ends the command when input ends."""
        import readline

        def completer(text: str, state: int) -> str | None:
            found = complete(text) if text else ()
            return found[state] if state < len(found) else None

        readline.set_completer(completer)
        readline.parse_and_bind("tab: complete")
        # Words of a card must not be found again with the arrow keys.
        readline.set_auto_history(False)
        try:
            return input(prompt)
        except EOFError as error:
            raise NoTerminal("input ended before a card was complete") from error
        finally:
            readline.set_completer(None)

    def require_person(self, why: str) -> None:
        """Raise `NoTerminal` unless somebody sits at the terminal."""
        if not (self._ask.isatty() and self._err.isatty()):
            raise NoTerminal(why, hint="name another place for it, see --help")

    def show_alone(self, title: str, text: str) -> None:
        """Show something that only one person may see: it is wiped when he has said so."""
        self._err.write(f"\033[2J\033[H{title}\n\n{text}\nEnter when it is copied: ")
        self._err.flush()
        self._ask.readline()
        # Screen and scrollback: terminals that keep neither are the holder's to choose.
        self._err.write("\033[2J\033[3J\033[H")
        self._err.flush()

    def secret(self, question: str) -> bytes:
        """Ask for a passphrase without showing it."""
        if not self._ask.isatty():
            raise NoTerminal(
                f"{question}: nobody to ask", hint="give --passphrase-file or --passphrase-fd"
            )
        import getpass

        return getpass.getpass(f"{question}: ").encode()

    def _hint(self, hint: str | None) -> None:
        for line in (hint or "").splitlines():
            self._write(self._err, f"hint: {line}")

    def _print(self, line: str) -> None:
        if self._out is None:
            raise OutputLost("standard output: expected one that can be written, got none")
        try:
            self._write(self._out, line)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputLost(
                f"standard output: cannot be written: {error.strerror}",
                hint="the command itself has run; nothing of what it said is kept",
            ) from error

    def _write(self, stream: TextIO, line: str) -> None:
        stream.write(line + "\n")
        stream.flush()
