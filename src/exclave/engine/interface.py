"""What a vault asks of the place where one mission's objects are kept.

No call changes an object: shards and bodies are written once, and bodies stay for ever. One call
removes a shard, `sweep`, for the one caller that has logged it (spec/vault-http.md 8). Only the
log's files and the small facts under `meta/` are replaced, since a log file is not part of the
log until a checkpoint covers it.

    StorageError
    +-- NoSpace            disk or quota is full
    +-- StorageFailed      the medium failed; nothing is promised of this write
    IntegrityError
    +-- ObjectMissing      no object under that key
    +-- ObjectConflict     other bytes are there already
    UsageError
    +-- KeyRefused         no name of that kind in a vault's folder
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import NewType, Protocol, Self

from exclave.durable import NoSpace, StorageFailed
from exclave.errors import IntegrityError, UsageError
from exclave.ids import ShardRoot

__all__ = [
    "CHECKPOINT_KEY",
    "ENROLMENT_KEY",
    "Engine",
    "KeyRefused",
    "NoSpace",
    "ObjectConflict",
    "ObjectKey",
    "ObjectMissing",
    "ObjectWriter",
    "StorageFailed",
    "body_key",
    "check_head_key",
    "check_object_key",
    "check_shard_key",
    "has_object",
    "log_file_key",
    "meta_key",
    "put_object",
    "shard_key",
]

ObjectKey = NewType("ObjectKey", str)
"""A name below a mission's folder, with `/` (spec/vault-folder.md)."""

CHECKPOINT_KEY = ObjectKey("log/checkpoint")
ENROLMENT_KEY = ObjectKey("enrolment.json")

_SHARD = re.compile(r"shards/([0-9a-f]{2})/\1[0-9a-f]{62}")
_NAMED_BY_HASH = re.compile(r"(?:shards|bodies)/([0-9a-f]{2})/\1[0-9a-f]{62}")
_HEAD = re.compile(
    r"(?:log/(?:checkpoint|cosigned)|(?:log/tile|meta)(?:/[a-z0-9][a-z0-9.-]{0,80}){1,16})"
)


class ObjectMissing(IntegrityError):
    """No object has this key."""


class ObjectConflict(IntegrityError):
    """An object with this key and other bytes is there; it was not changed."""


class KeyRefused(UsageError):
    """Not a key that this call may touch."""


def shard_key(root: ShardRoot) -> ObjectKey:
    """Where a shard lies."""
    return check_object_key(f"shards/{root.hex()[:2]}/{root.hex()}")


def body_key(digest: bytes) -> ObjectKey:
    """Where a log entry's body lies: SHA-256 of its bytes."""
    return check_object_key(f"bodies/{digest.hex()[:2]}/{digest.hex()}")


def log_file_key(tile_path: str) -> ObjectKey:
    """Where a tile lies, from its path `tile/...` (spec/ledger.md 2)."""
    return check_head_key(f"log/{tile_path}")


def meta_key(name: str) -> ObjectKey:
    """Where a small durable fact lies."""
    return check_head_key(f"meta/{name}")


def check_object_key(key: str) -> ObjectKey:
    """Refuse what is not the name of a write-once object."""
    if key != ENROLMENT_KEY and not _NAMED_BY_HASH.fullmatch(key):
        raise KeyRefused(
            f"object key: expected a shard, a body or the enrolment, got {key[:120]!r}"
        )
    return ObjectKey(key)


def check_shard_key(key: str) -> ObjectKey:
    """Refuse what is not the name of a shard: nothing else is ever removed."""
    if not _SHARD.fullmatch(key):
        raise KeyRefused(f"object key: expected a shard, got {key[:120]!r}")
    return ObjectKey(key)


def check_head_key(key: str) -> ObjectKey:
    """Refuse what is not a file that may be replaced."""
    if not _HEAD.fullmatch(key):
        raise KeyRefused(f"object key: expected a name under log/ or meta/, got {key[:120]!r}")
    return ObjectKey(key)


class ObjectWriter(Protocol):
    """An object on its way in; invisible until `commit`. One thread at a time.

    As a context manager it aborts unless committed.
    """

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`. Raises `NoSpace`, `StorageFailed`; then only `abort` is left."""
        ...

    def commit(self) -> bool:
        """Make the object durable under its key; True when it is new.

        On return it outlives a power cut. When the same bytes are there already they are made
        durable too and the answer is False; other bytes raise `ObjectConflict`. After `NoSpace`
        nothing was stored; after `StorageFailed` the object may be there or not, whole in either
        case, and the caller repeats the upload.
        """
        ...

    def abort(self) -> None:
        """Forget what was written; nothing when committed or aborted before."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Engine(Protocol):
    """One mission's objects. Thread-safe; one process at a time.

    - What returns has happened durably, in order: a call that starts after another returned
      never survives a power cut without it. A log append therefore is: body, tiles, checkpoint.
    - All calls are idempotent. The engine retries nothing; the caller does.
    - Write-once keys: `shards/`, `bodies/`, `enrolment.json`. Replaceable: `log/`, `meta/`.
      Other keys raise `KeyRefused`. The engine hashes nothing: who writes checks the name.
    """

    def create_writer(self, key: ObjectKey) -> ObjectWriter:
        """Start a write-once object. Two writers may race for a key; one commit is new."""
        ...

    def replace_head(self, key: ObjectKey, data: bytes) -> None:
        """Put `data` under a replaceable key, durably: readers see the old or the new bytes.

        After `StorageFailed` either may be there.
        """
        ...

    def get(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`, at most `length` (all without it). Raises `ObjectMissing`."""
        ...

    def read_into(self, key: ObjectKey, into: Sequence[bytearray | memoryview]) -> int:
        """Fill the buffers in order with an object's first bytes; how many that were.

        Fewer than there is room for when the object is shorter. Raises `ObjectMissing`.
        """
        ...

    def size(self, key: ObjectKey) -> int:
        """Number of bytes of an object. Raises `ObjectMissing`."""
        ...

    def keys(self, prefix: str) -> Iterator[ObjectKey]:
        """Keys that start with `prefix` ("shards/", "log/tile/0/", ...), ascending."""
        ...

    def free_bytes(self) -> int:
        """Room that is left for objects, as far as is known."""
        ...

    def sweep(self, key: ObjectKey) -> bool:
        """Remove a shard, durably; False when it was not there. Any other key: `KeyRefused`.

        After `StorageFailed` it may be there or not: try again.
        """
        ...


def put_object(engine: Engine, key: ObjectKey, parts: Iterable[bytes | memoryview]) -> bool:
    """Write an object in one go; True when it is new."""
    with engine.create_writer(key) as writer:
        for part in parts:
            writer.write(part)
        return writer.commit()


def has_object(engine: Engine, key: ObjectKey) -> bool:
    """Whether an object has this key."""
    try:
        engine.size(key)
    except ObjectMissing:
        return False
    return True
