"""Tells whoever watches how far it is: a call for each file would cost more than the file."""

from __future__ import annotations

from typing import Final

from exclave.source.interface import Progress

__all__ = ["Told"]

_UNITS: Final = 512
_BYTES: Final = 16 * 1024 * 1024


class Told:
    """Counts for whoever watches: not more often than somebody could see."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name = name
        self._progress = progress
        self._units = self._size = 0

    def add(self, size: int) -> None:
        """One more unit of so many bytes."""
        self._units += 1
        self._size += size
        if self._units == _UNITS or self._size > _BYTES:
            self.end()

    def end(self) -> None:
        """Tell what was not told yet."""
        if self._units:
            self._progress(self._name, self._units, self._size)
        self._units = self._size = 0
