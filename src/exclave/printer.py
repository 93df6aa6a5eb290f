"""A printer: the command that takes what is to be printed, such as `lpr -P vault`.

Rules: the command is split into words and given to no shell; what is printed goes to its standard
input, and into no error and no argument list, since it may be a share card.
"""

from __future__ import annotations

import shlex
import subprocess

from exclave.errors import ConfigurationError

__all__ = ["Printer", "PrinterFailed"]


class PrinterFailed(ConfigurationError):
    """A printer's command cannot be run, or did not take what it was given."""


class Printer:
    """The command of one printer."""

    def __init__(self, command: str) -> None:
        """Raises `PrinterFailed` for a line that names no program."""
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise PrinterFailed(f"printer: expected a command, got {command!r}: {error}") from error
        if not self._words:
            raise PrinterFailed(f"printer: expected a command, got {command!r}")

    def take(self, data: bytes, subject: str) -> None:
        """Print `data`; `subject` is what the error calls it. Raises `PrinterFailed`."""
        program = self._words[0]
        try:
            done = subprocess.run(self._words, input=data, check=False)
        except OSError as error:
            raise PrinterFailed(f"{program}: cannot run: {error.strerror}") from error
        if done.returncode:
            raise PrinterFailed(
                f"{program}: expected exit status 0 for {subject}, got {done.returncode}"
            )
