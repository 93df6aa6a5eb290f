"""How tests run `exclave`, and what the processes of a mission need."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

PROGRAM = (sys.executable, "-c", "import sys; from exclave.cli import main; sys.exit(main())")
"""How tests run `exclave`."""


def serve_process(folder: Path) -> subprocess.Popen[bytes]:
    """A vault of this folder that is ready."""
    process = subprocess.Popen(
        [*PROGRAM, "vault", "serve", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"ready" in process.stdout.readline(), "the vault did not begin to serve"
    return process


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()
