"""A table's rows as COPY text, in blocks of whole lines.

psycopg hands over one object a row; psql, a program of the same folder as pg_dump and of the same
libpq, copies rows into a pipe. For tables worth a process that takes about a fifth of the
processor time, so they are read through it, smaller ones through the session. Where coreutils'
stdbuf is installed, psql writes to the pipe a block at a time, not a page.

Rules
- psql reads under the session's snapshot, in a read-only transaction with the same settings. It
  takes its lock without waiting: who waits behind the session's own lock would be waited for.
- Before its first row psql may fail to connect or to lock: then the session reads, as it does
  where there is no psql. Later failures are raised, as the psycopg error of the same SQLSTATE.
- The text of statements goes through psql's input, never its arguments; so does no password.
- When the reader of the blocks stops, the statement is cancelled and the process has ended.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Final

import psycopg
from psycopg import errors

from exclave.source.postgresql.config import PostgresConfig
from exclave.source.postgresql.connect import Connection, conninfo, pinned_sql, tool_environment

__all__ = ["RowReader", "copy_blocks", "whole_lines"]

BLOCK: Final = 256 * 1024
_PIPE: Final = 1024 * 1024
_END_WAIT: Final = 5.0  # seconds for a cancelled psql to end by itself
_AGAIN: Final = 0.05  # seconds until one that has not ended is told once more
_OPTIONS: Final = (
    "--no-password",
    "--no-psqlrc",
    "--quiet",
    "--set=ON_ERROR_STOP=1",
    "--set=VERBOSITY=verbose",
    "--file=-",
)
_NO_CONNECTION: Final = 2  # psql's exit status
_NO_PROGRAM: Final = (126, 127)  # stdbuf's, where there is no psql to become
_ERROR: Final = re.compile(r"^(?:psql:\S* )?[^\s:]+:\s+([0-9A-Z]{5}): (.*)$", re.MULTILINE)


class _NotStarted(Exception):
    """psql got neither connection nor lock; it has read nothing."""


def copy_blocks(session: Connection, command: str) -> Iterator[bytes]:
    """COPY TO STDOUT through the session, in blocks of whole lines; raises `psycopg.Error`."""
    held: list[bytes | bytearray | memoryview] = []
    size = 0
    with session.cursor().copy(command.encode()) as copy:
        for data in copy:
            held.append(data)
            size += len(data)
            # A message is a row with its LF, but only the LF is promised by the format.
            if size >= BLOCK and data[-1] == 0x0A:
                yield b"".join(held)
                held = []
                size = 0
    if held:
        yield b"".join(held)


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any size as blocks that end with a line's LF, but for a last line without one."""
    held: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            held.append(piece[:end])
            yield b"".join(held)
            held = [piece[end:]] if end < len(piece) else []
        else:
            held.append(piece)  # of a row that may have a gigabyte: joined once
    if held:
        yield b"".join(held)


class RowReader:
    """Reads tables of one database; one object serves all worker threads."""

    def __init__(
        self, config: PostgresConfig, database: str, *, psql: Path | None, snapshot: str = ""
    ) -> None:
        """`psql` None: through sessions only; without `snapshot` psql sees what is committed."""
        self._config = config
        self._database = database
        self._psql = psql
        self._snapshot = snapshot
        self._running: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False
        self._lock = threading.Lock()

    def read(
        self, session: Connection, table: str, command: str, *, size: int, settings: str = ""
    ) -> Generator[bytes]:
        """The rows that the COPY command gives, in blocks of whole lines; close it when leaving.

        `table` is the quoted name, to be locked; `size` the bytes expected; `settings` SQL that
        goes before the command in either transaction. Raises `psycopg.Error`.
        """
        if self._psql is not None and size >= self._config.psql_from:
            with suppress(_NotStarted):
                yield from self._through_psql(self._psql, table, command, settings)
                return
        if settings:
            session.execute(settings.encode())
        yield from copy_blocks(session, command)

    def cancel(self) -> None:
        """End what psql reads, now and later, from another thread; readers get an error."""
        with self._lock:
            self._cancelled = True
            running = set(self._running)
        # psql cancels its statement, and forgets an interrupt that comes before it has one.
        end = time.monotonic() + _END_WAIT
        while running and time.monotonic() < end:
            for process in running:
                process.send_signal(signal.SIGINT)
            time.sleep(_AGAIN)
            with self._lock:
                running &= self._running

    def _through_psql(
        self, program: Path, table: str, command: str, settings: str
    ) -> Generator[bytes]:
        said = os.memfd_create("psql")
        try:
            process = self._start(program, said)
            begun = False
            try:
                for block in self._blocks(process, self._script(table, command, settings)):
                    begun = True
                    yield block
                _check(process.wait(), said, begun=begun)
            finally:
                self._end(process)
        finally:
            os.close(said)

    def _start(self, program: Path, said: int) -> subprocess.Popen[bytes]:
        target = f"--dbname={conninfo(self._config, self._database)}"
        try:
            process = subprocess.Popen(
                [*_in_blocks(), str(program), target, *_OPTIONS],
                env={**tool_environment(), "PGCLIENTENCODING": "UTF8"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                bufsize=_PIPE,
                start_new_session=True,  # the terminal's interrupt is ours to pass on
            )
        except OSError as error:
            raise _NotStarted from error
        with self._lock:
            self._running.add(process)
            if self._cancelled:
                process.kill()  # it has no statement yet
        return process

    def _script(self, table: str, command: str, settings: str) -> bytes:
        lines = [
            f"{pinned_sql()} \\g /dev/null",
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;",
            f"LOCK TABLE ONLY {table} IN ACCESS SHARE MODE NOWAIT;",
            f"SET TRANSACTION SNAPSHOT '{self._snapshot}';" if self._snapshot else "",
            f"{settings};" if settings else "",
            f"{command};",
        ]
        return "\n".join(lines).encode()

    def _blocks(self, process: subprocess.Popen[bytes], script: bytes) -> Iterator[bytes]:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):  # fewer system calls where the user's limit allows it
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
        with suppress(BrokenPipeError):  # it did not connect, and says so
            process.stdin.write(script)
            process.stdin.close()
        yield from whole_lines(_pieces(process.stdout))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Cancel what still runs; nothing is left when this returns."""
        with self._lock:
            self._running.discard(process)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(_END_WAIT)
        except subprocess.TimeoutExpired:
            process.kill()  # the server ends the statement when it next writes
            process.wait()


@cache
def _in_blocks() -> tuple[str, ...]:
    """What goes before a command whose output is to come in blocks."""
    # It becomes that program, so that signals reach it.
    stdbuf = shutil.which("stdbuf")
    return () if stdbuf is None else (stdbuf, f"--output={BLOCK}")


def _pieces(pipe: IO[bytes]) -> Iterator[bytes]:
    while piece := pipe.read(BLOCK):
        yield piece


def _check(status: int, said: int, *, begun: bool) -> None:
    """Raise what psql said, unless it succeeded."""
    if status == 0:
        return
    text = os.pread(said, BLOCK, 0).decode(errors="replace")
    match = _ERROR.search(text)
    locked = match is not None and match[1] == errors.LockNotAvailable.sqlstate
    if not begun and (locked or status in (_NO_CONNECTION, *_NO_PROGRAM)):
        raise _NotStarted
    if match is None:
        words = [line for line in text.splitlines() if line.strip()] or [f"psql ended: {status}"]
        raise psycopg.OperationalError(words[0])
    raise _error_of(match[1])(match[2])


def _error_of(sqlstate: str) -> type[psycopg.Error]:
    try:
        return errors.lookup(sqlstate)
    except KeyError:
        return psycopg.DatabaseError
