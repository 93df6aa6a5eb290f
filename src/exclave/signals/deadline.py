"""An end to talking: a peer that trickles keeps each single read alive, but not the whole."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["SECONDS", "STEP_SECONDS", "deadline"]

STEP_SECONDS: Final = 10
"""What one connect, read or write may take."""
SECONDS: Final = 30
"""What one message may take."""


@contextlib.contextmanager
def deadline(seconds: float, connection: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Shut down what `connection` gives by then, so that whoever waits for it gets an error."""

    def end() -> None:
        found = connection()
        if found is not None:
            with contextlib.suppress(OSError, ValueError):
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
