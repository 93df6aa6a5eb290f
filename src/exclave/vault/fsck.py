"""Checking everything that a mission keeps at a vault, byte by byte.

Names each bad object and changes none. Reads through the engine only; `--rebuild` is
`Mission.rebuild`. It looks at: every shard against its root and address, every body against its
hash, the log against its checkpoint and signature, every entry's body for being there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exclave.dispersal.shard import ShardHasher
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat, ShardRoot
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.entry import parse_entry
from exclave.ledger.tiles import TILE_WIDTH, TileReader
from exclave.vault.rules import check_address
from exclave.vault.storage import CHECKPOINT, ObjectStore, body_key, read_optional

__all__ = ["BadObject", "FsckReport", "check_objects"]

_PIECE: Final = 2**20


@dataclass(frozen=True, slots=True)
class BadObject:
    """A key and what is wrong with it."""

    key: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckReport:
    """What was looked at and what was found."""

    shards: int
    shard_bytes: int
    bodies: int
    entries: int
    bad: tuple[BadObject, ...]


def check_objects(
    store: ObjectStore, *, mission: MissionId, seat: Seat, log_public: bytes
) -> FsckReport:
    """Check all of a mission's objects in bounded memory."""
    bad: list[BadObject] = []
    shards = size = bodies = 0
    for key in store.keys("shards/"):
        shards += 1
        try:
            size += _check_shard(store, key, mission, seat)
        except (ExclaveError, ValueError) as error:
            bad.append(BadObject(key, _say(error)))
    for key in store.keys("bodies/"):
        bodies += 1
        try:
            _check_body(store, key)
        except (ExclaveError, ValueError) as error:
            bad.append(BadObject(key, _say(error)))
    entries = 0
    try:
        for name, found in _check_log(store, mission, seat, log_public):
            entries += 1
            bad.extend([BadObject(name, found)] if found else [])
    except ExclaveError as error:
        bad.append(BadObject("log", error.message))
    return FsckReport(
        shards=shards, shard_bytes=size, bodies=bodies, entries=entries, bad=tuple(bad)
    )


def _check_shard(store: ObjectStore, key: str, mission: MissionId, seat: Seat) -> int:
    hasher = ShardHasher(ShardRoot(bytes.fromhex(key.rsplit("/", 1)[1])))
    for at in range(0, store.size(key), _PIECE):
        hasher.feed(store.get(key, at, _PIECE))
    _, header = hasher.finish()
    check_address(header, mission, seat)
    return header.shard_length


def _check_body(store: ObjectStore, key: str) -> None:
    digest = hashlib.sha256()
    for at in range(0, store.size(key), _PIECE):
        digest.update(store.get(key, at, _PIECE))
    if digest.hexdigest() != key.rsplit("/", 1)[1]:
        raise IntegrityError(f"body: its bytes have hash {digest.hexdigest()}")


def _check_log(
    store: ObjectStore, mission: MissionId, seat: Seat, log_public: bytes
) -> Iterator[tuple[str, str]]:
    """Each entry's body with what is wrong about it; raises when the log itself is broken."""
    checkpoint = open_checkpoint(store.get(CHECKPOINT), log_verifier(mission, seat, log_public))
    reader = TileReader(checkpoint.size, lambda path: read_optional(store, f"log/{path}"))
    if reader.root() != checkpoint.root:
        raise IntegrityError("log: its tiles do not lead to its checkpoint")
    for bundle in range(-(-checkpoint.size // TILE_WIDTH)):
        for data in reader.entries(bundle):
            entry = parse_entry(data)
            key = body_key(entry.hash)
            there = read_optional(store, key, 0, 1) is not None
            yield key, "" if there else f"missing; the log names it as {entry.type.value}"


def _say(error: Exception) -> str:
    return error.message if isinstance(error, ExclaveError) else str(error)
