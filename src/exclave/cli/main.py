"""From a command line to an exit code (docs/exit-codes.md); no stack trace reaches a user.

Rules: an `ExclaveError` is a message, its hints and its code; anything unexpected leaves a crash
file for its owner alone, with the trace but without the values of variables, since those may be
secrets. For the same reason no core file is ever written. The tree of commands is imported only
after the collector was told to wait: most objects that ever come to be are modules'.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Final

from exclave.cli.core_dumps import forbid_core_dumps
from exclave.cli.terminal import Terminal
from exclave.errors import ConfigurationError, ExclaveError, StorageError, UsageError

if TYPE_CHECKING:
    from cyclopts import CycloptsError

__all__ = ["INTERRUPTED", "PIPE_CLOSED", "TERMINATED", "UNEXPECTED", "main"]

UNEXPECTED = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
TERMINATED = 143

_REFUSED = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
)

_COLLECT_AFTER: Final = 20_000
"""New objects before the collector looks for cycles: modules, records and entries of files come in
great numbers and hold none, and looking through them took a fifteenth of a reconstruction."""


class _Terminated(BaseException):
    """SIGTERM arrived: everything on the stack is closed on the way out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    terminal = Terminal()
    forbid_core_dumps()
    gc.set_threshold(_COLLECT_AFTER, 10, 20)
    # The interpreter's last collection frees what the end of the process frees anyway.
    atexit.register(gc.freeze)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments), terminal)
    except KeyboardInterrupt:
        terminal.failure("interrupted")
        return INTERRUPTED
    except _Terminated:
        terminal.failure("terminated")
        return TERMINATED
    except BrokenPipeError:
        # Whoever read our output has enough.
        return PIPE_CLOSED
    finally:
        _flush()
        signal.signal(signal.SIGTERM, before)
        # The interpreter looks for cycles once more at its end, among everything that was imported:
        # a tenth of a second for memory that the system takes back at once.
        gc.freeze()


def _flush() -> None:
    """What cannot be written has been told of: the interpreter must not complain at its end too."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str], terminal: Terminal) -> int:
    from exclave.cli.plain import plain_call

    try:
        plain = plain_call(arguments)
        code = _called(arguments) if plain is None else plain.run()
    except ExclaveError as error:
        terminal.error(error)
        return error.exit_code
    except SystemExit as error:
        # The library that prints help ends the program so when nobody reads on.
        if isinstance(error.__context__, BrokenPipeError):
            return PIPE_CLOSED
        raise
    except BrokenPipeError:
        raise
    except Exception as error:
        known = _of_the_system(error)
        if known is not None:
            terminal.error(known)
            return known.exit_code
        file = _write_crash(error)
        terminal.failure(
            f"unexpected {type(error).__name__}: a fault of this program, written to {file}",
            hint="look through the file before you send it to anybody",
        )
        return UNEXPECTED
    return code if isinstance(code, int) else 0


def _called(arguments: list[str]) -> object:
    from cyclopts import CycloptsError

    from exclave.cli.tree import command_tree

    try:
        return command_tree(arguments).meta(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        raise _usage(error) from error


def _usage(error: CycloptsError) -> UsageError:
    text = " ".join(str(error).split())
    command = " ".join(error.command_chain or ())
    return UsageError(
        text[:1].lower() + text[1:].rstrip("."),
        hint=f"exclave {command + ' ' if command else ''}--help",
    )


def _of_the_system(error: Exception) -> ExclaveError | None:
    """What the file system refuses at a path is the user's to mend, not a fault of the program."""
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename or "output"  # the system names what is opened, not what is written
        return StorageError(f"{where}: {error.strerror}", hint="free some space")
    if error.filename is not None and error.errno in _REFUSED:
        return ConfigurationError(f"{error.filename}: cannot be used: {error.strerror}")
    return None


def _write_crash(error: Exception) -> str:
    import tempfile
    import traceback

    # `mkstemp` makes the file for its owner alone.
    handle, path = tempfile.mkstemp(prefix="exclave-crash-", suffix=".txt")
    trace = traceback.TracebackException.from_exception(error, capture_locals=False)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        # The messages are left out as well: a foreign library may quote what it was given.
        stream.writelines(trace.stack.format())
        stream.write(f"{type(error).__module__}.{type(error).__qualname__}\n")
    return path


def _terminate(_: int, __: FrameType | None) -> None:
    raise _Terminated
