"""What a program writes to its standard output: a dump of something that no other source reads.

The program is started without a shell, in a process group of its own, and its output goes straight
into one stream; nothing of it touches the disk. Whether it is one consistent state is the program's
word.

Rules
- Another exit code than 0 is an error, whatever was written; so is less output than `least`, since
  a dump program that fails quietly writes little.
- A program that does not end in time is ended with all its children.
- What it says on its standard error is shown, at most its last line: it may hold anything.
- A restore creates a new file; nobody but the program's own counterpart knows what is in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from blake3 import blake3

from exclave.archive.manifest import Register
from exclave.archive.objects import CommandOutput
from exclave.errors import SourceError
from exclave.source.interface import (
    ArchiveSink,
    ArchiveSupply,
    Captured,
    Compared,
    Difference,
    Progress,
    StreamPurpose,
)
from exclave.source.single_file import (
    PIECE,
    compare_content,
    files_of,
    place_of,
    require_none,
    restore_file,
)
from exclave.values import dataclass

__all__ = [
    "CommandConfig",
    "CommandFailed",
    "CommandMissing",
    "CommandSource",
    "CommandTarget",
    "OutputTooSmall",
]

_SAID: Final = 4096  # bytes of standard error that are kept


class CommandMissing(SourceError):
    """The program is not there, or may not be run."""


class CommandFailed(SourceError):
    """The program ended with another exit code than 0, or not in time."""


class OutputTooSmall(SourceError):
    """The program wrote less than was said to be the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConfig:
    """Which program, and what is expected of it."""

    command: tuple[str, ...]
    folder: Path  # in which it runs
    file: str = "dump"  # under which its output is restored
    least: int = 1  # bytes
    timeout: float = 4 * 3600


class CommandSource:
    """The output of one program."""

    def __init__(self, config: CommandConfig) -> None:
        self._config = config

    def check(self) -> Sequence[str]:
        """Look for the program, without running it."""
        program = self._config.command[0]
        where = str(self._config.folder / program) if "/" in program else program
        if shutil.which(where) is None:
            raise CommandMissing(f"{program}: expected a program that can be run, got none")
        if not self._config.folder.is_dir():
            raise CommandMissing(f"{self._config.folder}: expected a folder to run in, got none")
        return ()

    def obstacles(self) -> Sequence[str]:
        """None that could be known without running the program."""
        return ()

    def size(self) -> None:
        """Only the program can tell."""

    def capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        """Run the program and capture its output; see the module's rules."""
        config = self._config
        digest, size = blake3(), 0
        stream = sink.open_stream(StreamPurpose.CONTENT)
        with _running(config) as output:
            while piece := output.read(PIECE):
                stream.write(piece)
                digest.update(piece)
                size += len(piece)
                progress(config.file, 0, len(piece))
        if size < config.least:
            raise OutputTooSmall(
                f"{config.command[0]}: expected at least {config.least} bytes of output, "
                f"got {size}",
                hint="look at what it dumps; `least` in the plan says what is too little",
            )
        output_object = CommandOutput(
            file=config.file, blake3=digest.digest(), size=size, data=stream.finish()
        )
        progress(config.file, 1, 0)
        return Captured(
            objects=(output_object,),
            facts=(("command", " ".join(config.command)),),
            notes=(),
            rows=0,
            files=1,
            bytes_read=size,
        )


@contextmanager
def _running(config: CommandConfig) -> Iterator[IO[bytes]]:
    """The output of the program, which has ended well when the block has."""
    try:
        process = subprocess.Popen(
            config.command,
            cwd=config.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandMissing(
            f"{config.command[0]}: expected a program that can be run, got: {error.strerror}"
        ) from error
    assert process.stdout is not None
    assert process.stderr is not None
    said = _Said(process.stderr)
    late = threading.Event()

    def end() -> None:
        late.set()
        _end(process)

    timer = threading.Timer(config.timeout, end)
    timer.daemon = True
    timer.start()
    try:
        with process.stdout as output:
            yield output
        process.wait()
    finally:
        timer.cancel()
        _end(process)
        said.join()
    name = config.command[0]
    if late.is_set():
        raise CommandFailed(
            f"{name}: expected to end within {config.timeout:.0f} s, got none of it",
            hint="`timeout` in the plan says how long it may take",
        )
    if process.returncode != 0:
        raise CommandFailed(
            f"{name}: expected exit code 0, got {process.returncode}: {said.last_line()}"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the program's group while it is ours, and wait: nothing of it may live on."""
    if process.returncode is None:
        # Not yet waited for, so the group's number cannot be anybody else's.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Said(threading.Thread):
    """Keeps the end of what a program says, so that it never waits to be heard."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(name="command-stderr", daemon=True)
        self._stream = stream
        self._kept = b""
        self.start()

    def run(self) -> None:
        """Read to the end."""
        with self._stream:
            while piece := self._stream.read1(PIECE):  # type: ignore[attr-defined]
                self._kept = (self._kept + piece)[-_SAID:]

    def last_line(self) -> str:
        """What it said last."""
        lines = self._kept.decode(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else "it said nothing"


class CommandTarget:
    """A folder into which a program's output is restored under the name that the plan gave it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check_empty(self, register: Register) -> None:
        """Raise `FileExists` unless the file does not exist."""
        for output in files_of(register, CommandOutput, ()):
            require_none(place_of(self._folder, output))

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Write the file, whole or not at all; a later call begins anew."""
        todo = files_of(register, CommandOutput, only)
        self.check_empty(register)
        for output in todo:
            restore_file(self._folder, output, supply, progress, units=1)

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """Compare the bytes of the file."""
        del supply
        outputs = files_of(register, CommandOutput, only)
        differences: list[Difference] = []
        for output in outputs:
            differences += _compare(register.id, output, place_of(self._folder, output))
            progress(output.file, 1, output.size)
        return Compared(
            rows=0,
            files=len(outputs),
            objects=len(outputs),
            differences=tuple(differences),
            not_compared=("what the dump means: only the program that reads it can tell",),
        )


def _compare(register: str, output: CommandOutput, path: Path) -> list[Difference]:
    try:
        return compare_content(register, output, path)
    except OSError as error:
        unread = Difference(
            register=register, subject=output.file, what="unreadable", got=str(error.strerror)
        )
        return [unread]
