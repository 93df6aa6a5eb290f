"""Checking everything that a mission keeps at a vault, byte by byte.

Names each bad object and changes none. Reads through the engine only; `--rebuild` is
`Mission.rebuild`. It looks at: every shard against its root and address, every body against its
hash, the log against its checkpoint and signature, every entry's body for being there, and the
shards of lodged records for being there unless they were swept since.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exclave.authority.envelope import parse_envelope
from exclave.authority.record import parse_record
from exclave.authority.swept import parse_swept
from exclave.dispersal.shard import ShardHasher
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat, ShardRoot
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.entry import EntryType, LogEntry, parse_entry
from exclave.ledger.tiles import TILE_WIDTH, TileReader
from exclave.vault.fold import named_shards
from exclave.vault.rules import check_address
from exclave.vault.storage import CHECKPOINT, ObjectStore, body_key, read_optional, shard_key

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
    swept: int  # shards that the log says were removed, and that are not here
    bad: tuple[BadObject, ...]


def check_objects(
    store: ObjectStore, *, mission: MissionId, seat: Seat, log_public: bytes
) -> FsckReport:
    """Check all of a mission's objects in bounded memory."""
    bad: list[BadObject] = []
    size = bodies = 0
    here: set[bytes] = set()
    for key in store.keys("shards/"):
        here.add(_root_of(key))
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
    wanted = _Wanted(store, seat)
    try:
        for entry, found in _check_log(store, mission, seat, log_public):
            if found:
                bad.append(BadObject(body_key(entry.hash), found))
            else:
                with contextlib.suppress(ExclaveError):  # a body that changed is named above
                    wanted.add(entries, entry)
            entries += 1
        bad.extend(wanted.missing(here))
    except ExclaveError as error:
        bad.append(BadObject("log", error.message))
    return FsckReport(
        shards=len(here),
        shard_bytes=size,
        bodies=bodies,
        entries=entries,
        swept=len(wanted.swept.keys() - here),
        bad=tuple(bad),
    )


class _Wanted:
    """Shards that lodged records want here, and those that were swept; the later entry counts."""

    def __init__(self, store: ObjectStore, seat: Seat) -> None:
        self._store = store
        self._seat = seat
        self._lodged: dict[bytes, int] = {}
        self.swept: dict[bytes, int] = {}

    def add(self, number: int, entry: LogEntry) -> None:
        if entry.type is EntryType.LODGED:
            record = parse_record(parse_envelope(self._store.get(body_key(entry.hash))))
            self._lodged.update((shard.root, number) for shard in named_shards(record, self._seat))
        elif entry.type is EntryType.SWEPT:
            swept = parse_swept(parse_envelope(self._store.get(body_key(entry.hash))))
            self.swept.update((root, number) for root in swept.shards)

    def missing(self, here: set[bytes]) -> Iterator[BadObject]:
        for root in sorted(self._lodged.keys() - here):
            if self.swept.get(root, -1) < self._lodged[root]:
                yield BadObject(shard_key(ShardRoot(root)), "missing; a lodged record names it")


def _root_of(key: str) -> bytes:
    try:
        return bytes.fromhex(key.rsplit("/", 1)[1])
    except ValueError:
        return b""


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
) -> Iterator[tuple[LogEntry, str]]:
    """Each entry with what is wrong about its body; raises when the log itself is broken."""
    checkpoint = open_checkpoint(store.get(CHECKPOINT), log_verifier(mission, seat, log_public))
    reader = TileReader(checkpoint.size, lambda path: read_optional(store, f"log/{path}"))
    if reader.root() != checkpoint.root:
        raise IntegrityError("log: its tiles do not lead to its checkpoint")
    for bundle in range(-(-checkpoint.size // TILE_WIDTH)):
        for data in reader.entries(bundle):
            entry = parse_entry(data)
            key = body_key(entry.hash)
            there = read_optional(store, key, 0, 1) is not None
            yield entry, "" if there else f"missing; the log names it as {entry.type.value}"


def _say(error: Exception) -> str:
    return error.message if isinstance(error, ExclaveError) else str(error)
