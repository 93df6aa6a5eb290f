"""pgBackRest: a full backup of the cluster that holds the benchmark's tables, and its restore.

It copies the files of a whole cluster, indexes included, and the write-ahead log beside them. It
proves no rows and compares none: what it restores are the pages as they were, into the same major
version and kind of machine. The newest major that the installed version knows is measured, so the
cluster is one of its own beside the other contenders', with the same tables.

It runs as the server's own account, which may be another than ours. The log goes to its repository
by `archive_command`, as the backup is of no use without it; restoring includes starting the server
until it has become consistent, for before that nothing can be read.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.measuring import BenchFailed, Cost, Run, cpu_below, run_program, tree_size
from bench.peers import version_line
from bench.postgres import ALL, fill
from exclave.postgres_server.account import server_account
from exclave.postgres_server.programs import short_temporary_folder
from exclave.postgres_server.server import (
    PostgresServer,
    available_majors,
    start_server,
    write_passfile,
)

__all__ = ["PGBACKREST", "Cluster", "cluster", "pgbackrest_version"]

PGBACKREST: Final = "pgBackRest"
_PROGRAM: Final = "pgbackrest"
_PASSWORD: Final = "bench"  # of a server that ends with the benchmark
_CONFIG: Final = """
[global]
repo1-path={folder}/repo
lock-path={folder}/lock
log-path={folder}/log
spool-path={folder}/spool
log-level-file=off
compress-type={compress}
compress-level=1
process-max=2
start-fast=y

[bench]
pg1-path={data}
pg1-socket-path={socket}
pg1-port={port}
pg1-user={user}
pg1-database=postgres
"""


def pgbackrest_version() -> str | None:
    """What `pgbackrest version` says, or None."""
    return version_line([_PROGRAM, "version"])


@contextmanager
def cluster(place: Path, *, scale: float) -> Iterator[Cluster | None]:
    """A server with the tables, of the newest major that pgBackRest knows; None where it is not."""
    account = server_account()
    if pgbackrest_version() is None:
        yield None
        return
    folder = short_temporary_folder(account)
    account.give(folder)
    try:
        for major in sorted(available_majors(), reverse=True):
            server = start_server(
                major, place / f"pg-{major}", password=_PASSWORD, settings={"archive_mode": "on"}
            )
            try:
                found = Cluster(server=server, folder=folder, compress=_compression())
                if found.known():
                    fill(server, scale)
                    found.archive()
                    yield found
                    return
            finally:
                server.remove()
        yield None
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A server that pgBackRest can back up, and the folder of its repository."""

    server: PostgresServer
    folder: Path
    compress: str

    def known(self) -> bool:
        """Configure pgBackRest; whether it knows the server's version."""
        server, account = self.server, server_account()
        config = _CONFIG.format(
            folder=self.folder,
            compress=self.compress,
            data=server.data_dir,
            socket=server.socket_dir,
            port=server.port,
            user=server.user,
        )
        self._config.write_text(config)
        account.give(write_passfile(self._passfile, server.port, server.user, _PASSWORD))
        try:
            self._tool("stanza-create", "--no-online")
        except BenchFailed as error:
            if "version" in str(error):
                return False
            raise
        shutil.rmtree(self.folder / "repo")
        # The tables are made meanwhile: their log belongs to no backup.
        self._set("archive_command", "true")
        return True

    def archive(self) -> None:
        """From now on the server's log goes to the repository."""
        command = f"{_PROGRAM} --config={self._config} --stanza=bench archive-push %p"
        self._set("archive_command", command)

    def measure(self, repeat: int) -> list[Run]:
        """One full backup and one restore into a new folder."""
        self._tool("stanza-create")
        before = cpu_below(self.server.process.pid)
        dumped = self._tool("backup", "--type=full")
        dumping = cpu_below(self.server.process.pid) - before
        stored = tree_size(self.folder / "repo")
        loaded = self._restore()
        shutil.rmtree(self.folder / "repo")
        # It works in children, and the server does part of it: no peak of it says anything.
        return [
            replace(
                cost.as_run(PGBACKREST, f"{act}, {ALL}", repeat, stored=stored, other_cpu=cpu),
                peak=None,
            )
            for act, cost, cpu in (("dump", dumped, dumping), ("load", loaded, None))
        ]

    def _restore(self) -> Cost:
        data = self.folder / "restored"
        data.mkdir(mode=0o700)
        server_account().give(data)
        copied = self._tool(
            "restore", "--type=immediate", "--target-action=promote", f"--pg1-path={data}"
        )
        begun = time.monotonic()
        # It recovers with the `restore_command` that pgBackRest has written into its settings.
        server = start_server(
            self.server.major, data, password=_PASSWORD, settings={"archive_mode": "off"}
        )
        seconds = time.monotonic() - begun
        server.remove()
        return replace(copied, seconds=copied.seconds + seconds)

    def _tool(self, command: str, *words: str) -> Cost:
        return run_program(
            [_PROGRAM, f"--config={self._config}", "--stanza=bench", *words, command],
            environment={"PGPASSFILE": str(self._passfile), "HOME": str(self.folder)},
            folder=self.folder,
            account=server_account(),
        )

    def _set(self, name: str, value: str) -> None:
        with self.server.connect() as session:
            session.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            session.execute(b"SELECT pg_reload_conf()")

    @property
    def _config(self) -> Path:
        return self.folder / "conf"

    @property
    def _passfile(self) -> Path:
        return self.folder / "pgpass"


def _compression() -> str:
    """zstd where it was built in."""
    words = [_PROGRAM, "help", "backup", "compress-type"]
    known = subprocess.run(words, capture_output=True, check=False)
    return "zst" if b"zst" in known.stdout else "gz"
