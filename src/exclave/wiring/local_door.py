"""Opens the local door of a vault that is served (spec/vault-http.md 9).

Here and not beside the server: what removes files is kept out of what keeps objects.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exclave.errors import ConfigurationError
from exclave.vault.line.local_door import SOCKET, local_path

__all__ = ["open_door"]


@contextmanager
def open_door(folder: Path) -> Iterator[socket.socket]:
    """A bound socket in a vault's folder; gone at an orderly end.

    The caller has the vault's lock: what lies there is left over from a server that was killed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door, local_path(folder) as path:
        try:
            path.unlink(missing_ok=True)
            door.bind(str(path))
            path.chmod(0o600)
        except OSError as error:
            raise ConfigurationError(
                f"{folder / SOCKET}: cannot be bound: {error.strerror}"
            ) from error
        try:
            yield door
        finally:
            with suppress(OSError):
                path.unlink()
