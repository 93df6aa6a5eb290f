"""A home that needs no mission to be read, for agents whose runs are others; and who hears them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from exclave.agent.settings import AgentSettings, load_agent_settings

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
_PATIENCE = 60.0

DEPOSIT = """
depositor = "depositor"
plan = "registers.toml"
journal = "state/journal.db"
catalogue = "state/catalogue"
spool = "state/spool"
spool_limit = "1GiB"
scratch = "state/scratch"
"""
REGISTER = """
[[register]]
id = "{id}"
title = "Register {id}"
owner = "somebody"
classification = "public"
rpo = "26h"
rto = "12h"
[register.source]
kind = "files"
path = "{id}"
"""
JOB = """
[[job]]
id = "daily"
kind = "deposit"
schedule = ["*-*-* 02:00"]
"""


def write_home(folder: Path, *, registers: tuple[str, ...] = ("land", "gazette")) -> None:
    """`deposit.toml` and a plan."""
    (folder / "deposit.toml").write_text(DEPOSIT)
    (folder / "registers.toml").write_text("".join(REGISTER.format(id=r) for r in registers))


def write_agent(folder: Path, jobs: str = JOB) -> Path:
    """`agent.toml`, which is returned, and what it needs."""
    if not (folder / "deposit.toml").exists():
        write_home(folder)
    path = folder / "agent.toml"
    path.write_text(jobs)
    return path


def load(path: Path, *, now: datetime = NOON) -> AgentSettings:
    """As a machine in UTC reads it."""
    return load_agent_settings(path, machine="machine", now=now, local=UTC)


class NotifySocket:
    """In the place of systemd: hears what a service says of itself."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.said: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def environment(self, *, watchdog: float | None = None) -> Mapping[str, str]:
        """What systemd sets for the service."""
        found = {"NOTIFY_SOCKET": str(self.path)}
        return found if watchdog is None else {**found, "WATCHDOG_USEC": str(int(watchdog * 1e6))}

    def hear(self) -> None:
        """Take everything that was said until now."""
        self._socket.setblocking(False)
        try:
            while True:
                self._take()
        except BlockingIOError:
            return

    def wait_for(self, key: str) -> str:
        """Wait until a key is said; anew at each call. Raises `TimeoutError`."""
        self._socket.settimeout(_PATIENCE)
        while True:
            said = self._take()
            if key in said:
                return said[key]

    def _take(self) -> dict[str, str]:
        text = self._socket.recv(65536).decode()
        said = dict(line.partition("=")[::2] for line in text.splitlines())
        self.said.append(said)
        return said
