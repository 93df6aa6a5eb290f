"""Where the demo plays: its folder, the processes that it starts, and their end.

Every act of the demo is a run of the real program in a process of its own. Rules: only processes
started here are signalled, by their own handles; everything is stopped and removed when the
stage is left, however it is left, unless `keep` was called; a child's failure becomes a
`StepFailed` with its last words.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import exclave
from exclave.errors import ConfigurationError, ExclaveError
from exclave.values import dataclass

__all__ = ["Background", "Stage", "StageInUse", "StepFailed"]

_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from exclave.cli import main; sys.exit(main())"
)
_STOP_SECONDS: Final = 15


class StepFailed(ExclaveError):
    """A step of the demo did not end as it must."""


class StageInUse(ConfigurationError):
    """The folder to play in holds something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """A running process of the program."""

    name: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def stop(self) -> None:
        """Ask it to end, and make it end if it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Stage:
    """Use as a context: what was started and made ends with it."""

    def __init__(self, folder: Path, *, quiet: bool, temporary: bool) -> None:
        """`folder`: new or empty; one that was there stays, unless it is a temporary one."""
        self.folder = folder
        self._temporary = temporary
        self._quiet = quiet
        self._stack = ExitStack()
        self._kept = False

    def __enter__(self) -> Self:
        existed = self.folder.exists()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if existed and any(self.folder.iterdir()):
            raise StageInUse(
                f"{self.folder}: expected a new or empty folder, got one with files in it",
                hint="name another with --folder",
            )
        self._stack.callback(self._clear, remove=self._temporary or not existed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._kept:
            with _undisturbed():
                self._stack.close()

    @property
    def at_end(self) -> ExitStack:
        """What is to be undone when the stage is left."""
        return self._stack

    def keep(self) -> None:
        """Leave everything as it stands."""
        self._kept = True

    def make(self, *parts: str) -> Path:
        """A folder (0700) below the stage."""
        path = self.folder.joinpath(*parts)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def run(
        self,
        *arguments: str | Path,
        show: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        accept: Sequence[int] = (0,),
    ) -> Any:
        """Run one command to its end; its JSON result. `show` lets it draw its progress."""
        options = ["--quiet"] if self._quiet or not show else []
        done = subprocess.run(
            [*_interpreter(), "--json", *options, *map(str, arguments)],
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            check=False,
        )
        if done.returncode not in accept:
            said = (done.stderr or b"").decode(errors="replace").strip()
            raise StepFailed(
                f"exclave {arguments[0]}: ended with {done.returncode}", hint=said or None
            )
        lines = done.stdout.decode().splitlines()
        return json.loads(lines[-1]) if lines else None

    def start(self, name: str, *arguments: str | Path, log: Path) -> Background:
        """Start a serving command; returns once it printed the line that says so."""
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            process = subprocess.Popen(
                [*_interpreter(), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stream,
                # Ctrl-C at the terminal is ours to pass on, in our order.
                start_new_session=True,
            )
        started = Background(name=name, process=process)
        self._stack.callback(started.stop)
        assert process.stdout is not None
        _await_line(process.stdout, name, log)
        return started

    def _clear(self, *, remove: bool) -> None:
        for item in self.folder.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item, ignore_errors=True)
            else:
                item.unlink(missing_ok=True)
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interpreter() -> list[str]:
    # The path stands in the arguments, so that an empty environment is enough.
    source = str(Path(exclave.__file__).resolve().parents[1])
    return [sys.executable, "-I", "-c", _PROGRAM, source]


def _await_line(stream: IO[bytes], name: str, log: Path) -> None:
    # An ended process closes the pipe, and the line is empty.
    if b'"ready"' not in stream.readline():
        raise StepFailed(
            f"{name}: did not begin to serve",
            hint=log.read_text(errors="replace").strip()[-500:] or None,
        )
