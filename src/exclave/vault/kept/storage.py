"""What a vault needs of the engine that keeps one mission's objects.

Engines live beside the vault, not below it: they have this shape without knowing this module, and
`exclave.wiring` joins them. Keys are the paths of spec/vault-folder.md below the mission's folder.

Rules
- What `commit` and `replace_head` were asked for is durable when they return.
- An object appears under its key whole or not at all, and never changes: only `replace_head`
  changes what a key holds, and engines take only `log/` and `meta/` there.
- `sweep` removes a shard and nothing else; `exclave.vault.mission.sweeper` is its only caller.
- `StorageError` means no room or a failing disk; after any
  error of a write the object is either there, whole, or not there.
- An `IntegrityError` of `get` or `size` means that there is no such object.
- Calls block; the vault calls them from threads, from several at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from exclave.errors import IntegrityError
from exclave.ids import ShardRoot

__all__ = [
    "AGREEMENT_KEY",
    "CHECKPOINT",
    "COSIGNED",
    "ENROLMENT",
    "SEAT",
    "Key",
    "ObjectStore",
    "Upload",
    "body_key",
    "read_optional",
    "shard_key",
    "store_object",
]

Key: TypeAlias = Any
"""A `str`; engines have a type of their own for it, which is not known here."""

CHECKPOINT: Final = "log/checkpoint"
COSIGNED: Final = "log/cosigned"
ENROLMENT: Final = "enrolment.json"
AGREEMENT_KEY: Final = "agreement-key"
SEAT: Final = "seat"


class Upload(Protocol):
    """An object on its way, not visible before `commit`."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""

    def commit(self) -> bool:
        """Make it appear; False when the same bytes were there already."""

    def abort(self) -> None:
        """Forget it; without effect after `commit`."""


class ObjectStore(Protocol):
    """Objects by key."""

    def create_writer(self, key: Key) -> Upload:
        """Begin an object."""

    def replace_head(self, key: Key, data: bytes) -> None:
        """Store a file of the log or of `meta/`, in place of what the key held."""

    def get(self, key: Key, offset: int = 0, length: int | None = None) -> bytes:
        """An object's bytes from `offset`."""

    def read_into(self, key: Key, into: Sequence[bytearray | memoryview]) -> int:
        """Fill the buffers with an object's first bytes; how many that were."""

    def size(self, key: Key) -> int:
        """Bytes of an object."""

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin so, ascending."""

    def free_bytes(self) -> int:
        """Room that is left."""

    def sweep(self, key: Key) -> bool:
        """Remove a shard, durably; False when it was not there."""


def shard_key(root: ShardRoot) -> str:
    """Where a shard lies."""
    return f"shards/{root.hex()[:2]}/{root.hex()}"


def body_key(sha256: bytes) -> str:
    """Where a body lies."""
    return f"bodies/{sha256.hex()[:2]}/{sha256.hex()}"


def read_optional(
    store: ObjectStore, key: str, offset: int = 0, length: int | None = None
) -> bytes | None:
    """An object's bytes; None when there is no such object."""
    try:
        return store.get(key, offset, length)
    except IntegrityError:
        return None


def store_object(store: ObjectStore, key: str, data: bytes) -> bool:
    """Store a whole object; False when the same bytes were there already."""
    writer = store.create_writer(key)
    try:
        writer.write(data)
        return writer.commit()
    finally:
        writer.abort()
