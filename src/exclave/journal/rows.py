"""What the journal keeps, as values, and what can be wrong with it."""

from __future__ import annotations

from exclave.errors import ConfigurationError, StorageError
from exclave.ids import ChunkId, DepositId, PackRoot, Seat, ShardRoot
from exclave.values import dataclass

__all__ = [
    "JournalForeign",
    "JournalTooNew",
    "JournalUnusable",
    "Location",
    "PackRow",
    "RecordRow",
    "SafePack",
    "ShardRow",
]


class JournalUnusable(StorageError):
    """The journal cannot be read or written (disk, permissions, damage)."""


class JournalTooNew(ConfigurationError):
    """A later version of the program made the journal."""


class JournalForeign(ConfigurationError):
    """The journal belongs to another mission or depositor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a chunk lies."""

    pack: int  # journal's number of the pack
    offset: int
    stored: int
    plain: int
    codec: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    """One shard of a pack and whether its seat acknowledged it."""

    seat: Seat
    root: ShardRoot
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SafePack:
    """A pack that may be adopted: shards held by h states, the rest spooled."""

    root: PackRoot
    length: int
    k: int
    kind: int
    secret: bytes  # secret id
    deposit: DepositId  # that the secret was sealed for
    sealed_secret: bytes
    shards: tuple[ShardRow, ...]
    chunks: tuple[tuple[ChunkId, int, int, int, int], ...]  # id, offset, stored, plain, codec


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRow:
    """A pack as the journal knows it."""

    n: int
    root: PackRoot
    length: int
    k: int
    kind: int
    secret: bytes
    live: bool
    shards: tuple[tuple[Seat, ShardRoot], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """A record that was made, and where it is lodged."""

    sequence: int
    statement: bytes
    deposit: DepositId
    envelope: bytes
    lodged: frozenset[Seat]
