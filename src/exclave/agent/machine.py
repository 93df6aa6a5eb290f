"""What the agent takes from its machine: a name for its jitter, the local zone, a lock, deposits.

One agent for each state folder: a lock in it keeps a second one out and names the first. It ends
with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exclave.agent.settings import AgentSettings
from exclave.clock import parse_time
from exclave.deposit.catalogue import Catalogue
from exclave.durable import make_path
from exclave.errors import UsageError
from exclave.file_lock import lock_file
from exclave.wiring.settings import load_deposit_settings

__all__ = ["AgentBusy", "alone", "deposited", "local_zone", "machine_name", "working_agent"]

_LOCK: Final = "agent.lock"
_MACHINE: Final = Path("/etc/machine-id")
_ZONE: Final = Path("/etc/localtime")


class AgentBusy(UsageError):
    """Another agent serves this state folder."""


def machine_name() -> str:
    """A name that stays: the machine's id, else its host name."""
    with suppress(OSError):
        if name := _MACHINE.read_text(encoding="ascii").strip():
            return name
    return socket.gethostname()


def local_zone(environment: Mapping[str, str]) -> tzinfo:
    """The zone of calendars that name none: that of the machine, with its summers and winters."""
    name = environment.get("TZ", "").removeprefix(":")
    if name:
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(name)
    try:
        with _ZONE.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def deposited(settings: AgentSettings) -> Mapping[str, datetime]:
    """When the last deposit of each register began, as the catalogue knows."""
    folder = load_deposit_settings(settings.deposit).catalogue
    entries = Catalogue(folder).entries() if folder.is_dir() else []
    found: dict[str, datetime] = {}
    for entry in entries:
        for register in entry.registers:
            began = parse_time(entry.started)
            found[register.id] = max(found.get(register.id, began), began)
    return found


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Serve a state folder; raises `AgentBusy`, which names the process that does."""
    make_path(folder)
    with lock_file(folder / _LOCK) as held:
        if held is None:
            other = working_agent(folder) or "unknown"
            raise AgentBusy(
                f"{folder}: expected no other agent, got one at work: process {other}",
                hint="one agent serves one state folder; exclave agent status shows what it does",
            )
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
        yield


def working_agent(folder: Path) -> str | None:
    """The process that serves a state folder; None: there is none."""
    try:
        handle = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # A shared lock, given back at once: an agent that starts in this moment tries again.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(handle)
    else:
        return None
    finally:
        os.close(handle)


def _pid(handle: int) -> str:
    text = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
    return text if text.isdecimal() else "unknown"
