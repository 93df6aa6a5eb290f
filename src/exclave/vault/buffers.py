"""Where a shard is read to whose bytes nobody checks on the way: two buffers, filled in order.

What comes of it is for the reader to check, by the pack's root and its seal
(`exclave.dispersal.room`).
"""

from __future__ import annotations

from exclave.errors import IntegrityError
from exclave.values import dataclass

__all__ = ["ShardBuffers"]


@dataclass(frozen=True, slots=True)
class ShardBuffers:
    """Leaves 0 and 1 go to `prefix`, the rest to `body`; together as long as the shard."""

    prefix: memoryview
    body: memoryview

    @property
    def size(self) -> int:
        """Bytes of the shard."""
        return len(self.prefix) + len(self.body)

    def require(self, length: int) -> None:
        """Refuse a shard of another length before anything is written."""
        if length != self.size:
            raise IntegrityError(f"shard: expected {self.size} bytes, got {length}")

    def put(self, at: int, piece: bytes | memoryview) -> None:
        """Write the shard's bytes from `at` on; none may lie beyond the end."""
        before = max(0, min(len(self.prefix) - at, len(piece)))
        if before:
            self.prefix[at : at + before] = piece[:before]
        start = at + before - len(self.prefix)
        rest = memoryview(piece)[before:]
        if start + len(rest) > len(self.body):
            raise IntegrityError(f"shard: expected {self.size} bytes, got more")
        if rest:
            self.body[start : start + len(rest)] = rest
