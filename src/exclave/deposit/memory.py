"""Memory of packs, used again: fresh pages cost several times the copy or the encryption into them.

What lies in it is an earlier pack's and nobody's any more. It goes with the deposit.
"""

from __future__ import annotations

import threading

__all__ = ["PackMemory"]


class PackMemory:
    """Pieces of memory that may be taken and given back; thread-safe."""

    def __init__(self, *, keep: int) -> None:
        """At most `keep` pieces lie here unused; what comes beyond goes back to the system."""
        self._keep = keep
        self._free: list[bytearray] = []
        self._lock = threading.Lock()

    def take(self, size: int) -> bytearray:
        """At least `size` bytes, of which nothing is known."""
        with self._lock:
            for index, memory in enumerate(self._free):
                if len(memory) >= size:
                    return self._free.pop(index)
        return bytearray(size)

    def take_any(self) -> bytearray:
        """Memory that may be too little and has to grow."""
        with self._lock:
            return self._free.pop() if self._free else bytearray()

    def give_back(self, memory: bytearray) -> None:
        """May be taken again."""
        with self._lock:
            if len(self._free) < self._keep:
                self._free.append(memory)
