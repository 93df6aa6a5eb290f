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
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave.vault.line.problems import refused

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["SOCKET", "local_path", "require_own_account"]

SOCKET: Final = "local.sock"
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


@contextmanager
def local_path(folder: Path) -> Iterator[Path]:
    """The socket's path, short enough for any folder: the kernel takes 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{SOCKET}")
    finally:
        os.close(descriptor)


def require_own_account(request: web.Request) -> None:
    """Refuse with `identity` whoever is neither the server's account nor root."""
    connection = request.get_extra_info("socket")
    size = _CREDENTIALS.size
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid not in {0, os.geteuid()}:
        raise refused("identity", "local door: expected the vault's own account, got another")
