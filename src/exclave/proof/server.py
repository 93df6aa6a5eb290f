"""A PostgreSQL server of the quarantine's own: made for one proof, gone with its folder.

    <run>/server/      its data folder
    <run>/s/           its socket, for this user alone: there is no password and no address

Rules
- It is ended at once when the proof has ended, and by the next run when this one was killed: known
  by its data folder, and by nothing else that a process might share with it.
- Nothing of it is to survive, so nothing of it is synced.
- PostgreSQL refuses to run as root, and so is this refused.
"""

from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exclave.errors import ConfigurationError, TargetError
from exclave.proof.task import QuarantineServer

__all__ = ["DATA", "ServerNotStarted", "ServerPathTooLong", "end_left_server", "own_server"]

DATA: Final = "server"
_SOCKETS: Final = "s"
_PORT: Final = 5432
"""Only a part of the socket's name."""
_LONGEST: Final = 90
"""Bytes of the socket's folder: with its file it must stay below the 108 of a socket's address."""
_SECONDS: Final = 60
_OPTIONS: Final = (
    *("listen_addresses=", "fsync=off", "full_page_writes=off", "synchronous_commit=off"),
    *("max_wal_size=4GB", "autovacuum=off", "jit=off"),
)


class ServerNotStarted(TargetError):
    """The quarantine's own server could not be made or started."""


class ServerPathTooLong(ConfigurationError):
    """The quarantine lies too deep for a socket."""


@contextmanager
def own_server(folder: Path, bin_dir: Path, *, jobs: int) -> Iterator[QuarantineServer]:
    """A server in the folder of this run; it has ended when this is left."""
    if os.geteuid() == 0:
        raise ServerNotStarted(
            "quarantine: expected a user that PostgreSQL runs as, got root",
            hint="deposit as another user, or name a server under [quarantine.postgresql]",
        )
    sockets = folder / _SOCKETS
    if len(os.fsencode(sockets)) > _LONGEST:
        raise ServerPathTooLong(
            f"{folder.parent}: expected at most {_LONGEST} bytes up to a socket, "
            f"got {len(os.fsencode(sockets))}",
            hint="name a folder nearer to the root under [quarantine]",
        )
    sockets.mkdir(mode=0o700)
    user = pwd.getpwuid(os.geteuid()).pw_name
    _make(bin_dir, folder / DATA, user)
    process = _start(bin_dir, folder / DATA, sockets)
    try:
        _await_ready(process, folder / DATA)
        yield QuarantineServer(
            host=str(sockets), port=_PORT, user=user, bin_dir=str(bin_dir), jobs=jobs, own=True
        )
    finally:
        _end(process.pid)
        process.wait()


def end_left_server(folder: Path) -> None:
    """End the server of a run that was killed, if it still runs."""
    data = folder / DATA
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        if Path(f"/proc/{pid}/cwd").readlink() == data.resolve():
            _end(pid)
    except (OSError, ValueError):
        return  # none was started, or it has ended


def _make(bin_dir: Path, data: Path, user: str) -> None:
    words = [
        str(bin_dir / "initdb"),
        f"--pgdata={data}",
        f"--username={user}",
        *("--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--no-locale"),
        *("--no-sync", "--no-instructions"),
    ]
    done = _run(words)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ServerNotStarted(
            f"quarantine: expected initdb to make a server, got: {''.join(said)}"
        )


def _run(words: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            words, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        raise ServerNotStarted(
            f"{words[0]}: expected a program, got: {error.strerror}",
            hint="bin_dir is the folder with the server's own programs: initdb and postgres",
        ) from error


def _start(bin_dir: Path, data: Path, sockets: Path) -> subprocess.Popen[bytes]:
    options = [*_OPTIONS, f"unix_socket_directories={sockets}", f"port={_PORT}"]
    words = [str(bin_dir / "postgres"), "-D", str(data)]
    words += [word for option in options for word in ("-c", option)]
    return subprocess.Popen(
        words,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's interrupt is ours to pass on
    )


def _await_ready(process: subprocess.Popen[bytes], data: Path) -> None:
    """Until it says so in its file; its log may quote rows, so nobody reads that."""
    ends = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < ends:
        if _says_ready(data / "postmaster.pid"):
            return
        time.sleep(0.02)
    raise ServerNotStarted(f"quarantine: expected a running server in {data}, got none")


def _says_ready(file: Path) -> bool:
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _end(pid: int) -> None:
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


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PG* variables and locales must not leak in."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
