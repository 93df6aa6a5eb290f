"""Telling systemd how a service is: sd_notify(3), as lines on the socket that it names.

Of our own, since it is one datagram: a library would be a dependency for thirty lines. Rules: where
nobody listens, nothing is said; a supervisor that cannot be reached is no reason to stop.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

__all__ = ["ENVIRONMENT", "Supervisor", "supervisor_of"]

ENVIRONMENT: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What a child must not inherit: it would speak in its parent's name."""


class Supervisor:
    """Who started this service and wants to know how it is."""

    def __init__(self, address: str | None, watchdog: float | None) -> None:
        """`watchdog`: seconds after which a service that says nothing is taken to hang."""
        self._address = None if address is None else address.replace("@", "\0", 1)
        self.watchdog = watchdog

    def ready(self, status: str) -> None:
        """The service does now what it is for."""
        self._tell("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """One line for people."""
        self._tell(f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` says that this has ended."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends in an orderly way."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """To be said by the loop that does the work, and by nothing beside it."""
        if self.watchdog is not None:
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return


def supervisor_of(environment: Mapping[str, str]) -> Supervisor:
    """The supervisor that a process's environment names; one that hears nothing where none is."""
    address = environment.get("NOTIFY_SOCKET") or None
    watchdog = None
    if environment.get("WATCHDOG_PID") in {None, str(os.getpid())}:
        text = environment.get("WATCHDOG_USEC", "")
        watchdog = int(text) / 1e6 if text.isdecimal() and int(text) else None
    return Supervisor(address, watchdog)
