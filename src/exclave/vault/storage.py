"""What a vault needs of the engine that keeps its objects.

Engines live beside the vault, not below it: each has this shape without knowing this module, and
`exclave.wiring` joins them. Keys are paths such as `missions/<m>/shards/ab/<root>`
(spec/vault-folder.md), relative to the vault's folder.

Rules
- What `commit`, `create` and `replace` were asked for is durable when they return.
- An object appears under its key whole or not at all, and never changes: only
  `replace` changes what a key holds, and the vault uses it for checkpoints and `meta/`.
- There is no verb that deletes. `StorageError` means no room or a failing disk; after any
  error of a write the object is either there, whole, or not there.
- Calls block; the vault calls them from threads, from several at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

__all__ = ["ObjectStore", "Upload"]


class Upload(Protocol):
    """An object on its way, not visible under any key."""

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes."""

    def commit(self, key: str) -> bool:
        """Make it appear under `key`; False when the key was there already (it stays)."""

    def abort(self) -> None:
        """Forget it; also allowed, without effect, after `commit`."""


class ObjectStore(Protocol):
    """Objects by key."""

    def upload(self) -> Upload:
        """Begin an object whose name is known only at its end."""

    def create(self, key: str, data: bytes) -> bool:
        """Store a small object; False when the key was there already (it stays)."""

    def replace(self, key: str, data: bytes) -> None:
        """Store a small object, or put it in the place of what the key held."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes | None:
        """An object's bytes from `start`; None when there is no such object."""

    def size(self, key: str) -> int | None:
        """Bytes of an object; None when there is no such object."""

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a prefix that ends with a slash, in any order."""

    def free_bytes(self) -> int:
        """Room that is left."""
