"""A cursor over bytes for strict decoders: fields in order, never past the end."""

from __future__ import annotations

from exclave.errors import MalformedData

__all__ = ["ByteReader"]


class ByteReader:
    """Reads big-endian integers and byte strings; `error` is raised where bytes are missing."""

    __slots__ = ("_data", "_error", "_position", "_subject")

    def __init__(self, data: bytes, subject: str, error: type[MalformedData]) -> None:
        self._data = data
        self._subject = subject
        self._error = error
        self._position = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self._position + count
        if end > len(self._data):
            raise self._error(
                f"{self._subject}: expected {count} bytes at {self._position}, "
                f"got {len(self._data) - self._position}"
            )
        found = self._data[self._position : end]
        self._position = end
        return found

    def integer(self, size: int) -> int:
        """An unsigned integer of that many bytes."""
        return int.from_bytes(self.take(size), "big")

    def signed(self, size: int) -> int:
        """A two's complement integer of that many bytes."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def prefixed(self, size: int) -> bytes:
        """Bytes after their length, an unsigned integer of `size` bytes."""
        return self.take(self.integer(size))

    def text(self, size: int) -> str:
        """UTF-8 after its length."""
        try:
            return self.prefixed(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._error(f"{self._subject}: expected text in UTF-8") from error

    def end(self) -> None:
        """Refuse bytes that are left over."""
        rest = len(self._data) - self._position
        if rest:
            raise self._error(f"{self._subject}: expected no more bytes, got {rest}")
