"""Buffers for opened packs, used again once nobody looks at what they held.

Memory that is new for every pack costs more than decrypting into it: it is cleared, and then every
page of it is a fault. Who reads an opened pack keeps views of it, for as long as he likes.

Rule: a buffer is given out again only when no view of it is left.
"""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["OpenedBuffers"]

_KEPT: Final = 4
"""As many as are read from, opened into and cached at once; others are left to the collector."""


class OpenedBuffers:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[bytearray] = []

    def take(self, size: int) -> memoryview:
        """Room for `size` bytes, which hold anything."""
        with self._lock:
            for buffer in self._known:
                # A small pack must not keep a large buffer from the next large one.
                if size <= len(buffer) <= 2 * size and _unseen(buffer):
                    return memoryview(buffer)[:size]
            buffer = bytearray(size + 1)
            del buffer[size:]  # room for what `_unseen` tries, so that it never moves the rest
            self._known = [*self._known[-_KEPT + 1 :], buffer]
            return memoryview(buffer)


def _unseen(buffer: bytearray) -> bool:
    """Whether no view of it is left: only then can it be resized."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    del buffer[-1:]
    return True
