"""The local door: how a bag reaches a vault that is being served (spec/vault-http.md 9).

A socket in the vault's folder. Whoever can open it has the account that the server runs under, and
with it the vault's keys and disks: it lets him do nothing that a stopped vault would not. It has
the vault's own verbs and none of its own; shards go in sealed, and only where a record names them.

Rules
- The kernel says whose process asks: the server's own account or root, nobody else.
- Nothing is read here but where a statement stands.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave.errors import ConfigurationError
from exclave.vault.problems import refused

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["SOCKET", "local_path", "open_door", "require_own_account", "shut_door"]

SOCKET: Final = "local.sock"
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


@contextmanager
def local_path(folder: Path) -> Iterator[str]:
    """The socket's path, short enough for any folder: the kernel takes 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def open_door(folder: Path) -> socket.socket:
    """A bound socket; the caller has the vault's lock, so that what lies there is left over."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with local_path(folder) as path:
            with suppress(FileNotFoundError):
                os.unlink(path)
            door.bind(path)
            os.chmod(path, 0o600)
    except OSError as error:
        door.close()
        raise ConfigurationError(f"{folder / SOCKET}: cannot be bound: {error.strerror}") from error
    return door


def shut_door(folder: Path) -> None:
    """Take the socket's name away, at an orderly end."""
    with suppress(OSError):
        (folder / SOCKET).unlink()


def require_own_account(request: web.Request) -> None:
    """Refuse with `identity` whoever is neither the server's account nor root."""
    connection = request.get_extra_info("socket")
    size = _CREDENTIALS.size
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid not in {0, os.geteuid()}:
        raise refused("identity", "local door: expected the vault's own account, got another")
