"""Alerts handed to a program: JSON on its standard input, an argument list and never a shell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from exclave.encoding import canonical_json
from exclave.signals.cause import Message
from exclave.signals.interface import AlertUndelivered
from exclave.signals.settings import CommandTarget

__all__ = ["ProgramTarget"]

_INHERITED: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")
"""Of the environment; the rest may hold what other programs were trusted with."""


class ProgramTarget:
    """One program, run for each message."""

    def __init__(self, settings: CommandTarget, folder: Path) -> None:
        self.name = settings.name
        self._settings = settings
        self._folder = folder

    def send(self, message: Message) -> None:
        """Run it; it must end with 0 in its time. Raises `AlertUndelivered`."""
        timeout = self._settings.timeout
        try:
            process = subprocess.Popen(
                list(self._settings.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                start_new_session=True,
            )
        except OSError as error:
            raise AlertUndelivered(f"command: {(error.strerror or 'failed').lower()}") from error
        try:
            with contextlib.suppress(BrokenPipeError):  # it need not read what it is given
                process.communicate(canonical_json(message.to_json()), timeout=timeout)
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise AlertUndelivered(f"command: not over within {timeout} s") from error
        finally:
            _end(process)
        if code:
            raise AlertUndelivered(f"command: expected exit code 0, got {code}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The program and what it started: nothing of it outlives its message."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
