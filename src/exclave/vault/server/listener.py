"""One address of a vault, with a bounded number of connections.

Every guest of an installation has listeners of its own. Whoever opens more connections than one
listener takes waits at that listener's door: the process keeps descriptors for all others.

Rule: a connection is counted from when it is accepted until it is closed, its handshake included.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Final

from aiohttp import web

from exclave.errors import ConfigurationError
from exclave.vault.line.addresses import Address

__all__ = ["Listener", "share_of_connections"]

_LOG = logging.getLogger(__name__)
_HANDSHAKE_SECONDS: Final = 15
_BACKLOG: Final = 128
_FULL_SECONDS: Final = 0.05
_TROUBLE_SECONDS: Final = 1.0
_OTHER_FILES: Final = 256
"""Descriptors for what is no connection of a guest's: objects, indexes, calls of fellows."""
_FEWEST: Final = 8


def share_of_connections(wanted: int, *, listeners: int, files: int) -> int:
    """How many each of so many listeners may have, where the process may have `files` open.

    Connections may have a stored object open: each counts twice.
    """
    share = (files - _OTHER_FILES) // (2 * max(1, listeners))
    return max(_FEWEST, min(wanted, share))


class Listener:
    """Accepts for an application until closed."""

    def __init__(self, runner: web.AppRunner, context: ssl.SSLContext | None, *, most: int) -> None:
        """`runner` has been set up; `most` connections at once; in clear without a context."""
        assert runner.server is not None
        self._runner = runner
        self._server = runner.server
        self._context = context
        self._most = most
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._shaking: set[asyncio.Task[None]] = set()

    def open(self, address: Address) -> Address:
        """Bind and accept; returns the address with the port that it got."""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((address.host, address.port))
            bound.listen(_BACKLOG)
            bound.setblocking(False)
        except OSError as error:
            bound.close()
            raise ConfigurationError(
                f"listener {address}: cannot be bound: {error.strerror}"
            ) from error
        self._socket = bound
        self._accepting = asyncio.create_task(self._accept(bound))
        return Address(address.host, int(bound.getsockname()[1]))

    async def close(self) -> None:
        """Accept no more; connections that are open go on."""
        tasks = [task for task in (self._accepting, *self._shaking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def cleanup(self) -> None:
        """Let running requests end, then close every connection."""
        await self._runner.cleanup()

    async def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if len(self._shaking) + len(self._server.connections) >= self._most:
                await asyncio.sleep(_FULL_SECONDS)
                continue
            try:
                connection, _ = await loop.sock_accept(bound)
            except OSError as error:
                _LOG.error("listener: cannot accept: %s", error.strerror)
                await asyncio.sleep(_TROUBLE_SECONDS)
                continue
            task = loop.create_task(self._shake_hands(connection))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)

    async def _shake_hands(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            # By hand: an accepted socket does not say that it is TCP's, and asyncio asks.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else _HANDSHAKE_SECONDS,
            )
        except (OSError, EOFError):  # also the errors and the time limit of a handshake
            connection.close()
