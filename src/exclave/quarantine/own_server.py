"""PostgreSQL servers of a quarantine's own, gone with its folder.

    <quarantine>/server/     the data folder
    <quarantine>/s/          of a quick one, its socket

`quick_server` is for proofs, where nothing of a server is to survive: nothing is synced, there is
no password and no address, and only this user gets to its socket. `measured_server` is for drills,
which measure how long a restore takes: it is set up as an administrator's would be.

Rules
- One is ended at once when its run has ended, and by the next run when it was killed: known by its
  data folder, and by nothing else that a process might share with it.
- PostgreSQL refuses to run as root. A quick one is refused there; a measured one runs as another
  account, and what that needs outside of the quarantine is noted while it is empty.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exclave.errors import ConfigurationError, TargetError
from exclave.postgres_server.account import OWN_ACCOUNT
from exclave.postgres_server.process import await_ready, end_process, end_server_of
from exclave.quarantine.note import QuarantineServer, keep_note, read_note
from exclave.values import replace

__all__ = [
    "DATA",
    "NoServer",
    "ServerNotStarted",
    "ServerPathTooLong",
    "end_left_server",
    "measured_server",
    "quick_server",
]

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


class NoServer(ConfigurationError):
    """A register needs a PostgreSQL server, and none was given or can be started."""


class ServerNotStarted(TargetError):
    """The quarantine's own server could not be made or started."""


class ServerPathTooLong(ConfigurationError):
    """The quarantine lies too deep for a socket."""


@contextmanager
def quick_server(folder: Path, bin_dir: Path, *, jobs: int) -> Iterator[QuarantineServer]:
    """A server of these programs in the folder of a quarantine; it has ended when this is left."""
    if os.geteuid() == 0:
        raise ServerNotStarted(
            "quarantine: expected a user that PostgreSQL runs as, got root",
            hint="deposit as another user, or name a server under [quarantine.postgresql]",
        )
    folder, bin_dir = folder.absolute(), bin_dir.absolute()  # programs run in another folder
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
        if not await_ready(process, folder / DATA, seconds=_SECONDS):
            raise ServerNotStarted(
                f"quarantine: expected a running server in {folder / DATA}, got none"
            )
        yield QuarantineServer(
            host=str(sockets), port=_PORT, user=user, bin_dir=str(bin_dir), jobs=jobs, own=True
        )
    finally:
        end_process(process.pid)
        process.wait()


@contextmanager
def measured_server(folder: Path) -> Iterator[QuarantineServer]:
    """A server of the newest programs here; it has ended when this is left. Raises `NoServer`."""
    from exclave.postgres_server.programs import available_majors
    from exclave.postgres_server.server import start_server

    majors = available_majors()
    if not majors:
        raise NoServer(
            "quarantine: expected a PostgreSQL server or its programs, got neither",
            hint="name one in --targets ([default.postgresql]), or install the programs",
        )

    def note_folder(made: Path) -> None:
        note = read_note(folder)
        keep_note(folder, replace(note, folders=(*note.folders, str(made))))

    try:
        server = start_server(majors[-1], folder / DATA, made=note_folder)
        try:
            yield QuarantineServer(
                host=server.host,
                port=server.port,
                user=server.user,
                password_file=str(server.passfile),
                bin_dir=str(server.bin_dir),
                own=True,
            )
        finally:
            server.remove()
    finally:
        # All of them are gone, but for copied programs, which go at the end of this process: it
        # may start other servers of them.
        keep_note(folder, replace(read_note(folder), folders=()))


def end_left_server(folder: Path) -> None:
    """End the server of a run that was killed, if it still runs."""
    end_server_of(folder / DATA)


def _make(bin_dir: Path, data: Path, user: str) -> None:
    words = [
        str(bin_dir / "initdb"),
        f"--pgdata={data}",
        f"--username={user}",
        *("--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--no-locale"),
        *("--no-sync", "--no-instructions"),
    ]
    try:
        done = OWN_ACCOUNT.run(words)
    except OSError as error:
        raise ServerNotStarted(
            f"{words[0]}: expected a program, got: {error.strerror}",
            hint="bin_dir is the folder with the server's own programs: initdb and postgres",
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ServerNotStarted(
            f"quarantine: expected initdb to make a server, got: {''.join(said)}"
        )


def _start(bin_dir: Path, data: Path, sockets: Path) -> subprocess.Popen[bytes]:
    options = [*_OPTIONS, f"unix_socket_directories={sockets}", f"port={_PORT}"]
    words = [str(bin_dir / "postgres"), "-D", str(data)]
    words += [word for option in options for word in ("-c", option)]
    with Path(os.devnull).open("wb") as nowhere:  # its log may quote rows: nobody reads that
        return OWN_ACCOUNT.spawn(words, nowhere)
