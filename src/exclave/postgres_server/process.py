"""The process of a server: when it is ready, and how it ends.

Rules
- A server is known by its data folder: the pid file there, and the folder that its process is in.
- Nobody reads its log for that, which may quote rows.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

__all__ = ["await_ready", "end_process", "end_server_of"]

_PID_FILE: Final = "postmaster.pid"
_STATUS_LINE: Final = 7
_PAUSE: Final = 0.01
_SECONDS: Final = 60
"""Between asking a server to end at once and killing it."""


def await_ready(process: subprocess.Popen[bytes], data: Path, *, seconds: float) -> bool:
    """Whether the server writes "ready" into its pid file in time; no password is needed."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if _says_ready(data / _PID_FILE, process.pid):
            return True
        time.sleep(_PAUSE)
    return False


def _says_ready(file: Path, pid: int) -> bool:
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return (
        lines[:1] == [str(pid)]
        and len(lines) > _STATUS_LINE
        and lines[_STATUS_LINE].strip() == "ready"
    )


def end_server_of(data: Path) -> None:
    """End the server that works in a data folder, whoever started it; nothing if none does."""
    try:
        pid = int((data / _PID_FILE).read_text().split("\n", 1)[0])
        if Path(f"/proc/{pid}/cwd").readlink() == data.resolve():
            end_process(pid)
    except (OSError, ValueError):
        return  # none was started, or it has ended


def end_process(pid: int) -> None:
    """End a server at once, as `pg_ctl stop -m immediate` would, or kill it; wait until then."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGQUIT, signal.SIGKILL):
            signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], _SECONDS)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
