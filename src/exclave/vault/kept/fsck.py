"""Checking everything that a mission keeps at a vault, byte by byte.

Names each bad object and changes none. Reads through the engine only; `--rebuild` is
`Mission.rebuild`. It looks at: every shard against its root and address, every body against its
hash, the log against its checkpoint and signature, every entry's body for being there and for what
it says (`exclave.vault.kept.fsck_statements`), the checkpoint that a quorum cosigned, the small
facts below `meta/`, and the shards of lodged records for being there unless they were swept since.

It may run beside a server: what was read first is the older.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from exclave.authority.envelope import parse_envelope
from exclave.authority.record import parse_record
from exclave.authority.swept import parse_swept
from exclave.clock import parse_time
from exclave.dispersal.shard import ShardHasher
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat, ShardRoot
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.entry import EntryType, LogEntry, parse_entry
from exclave.ledger.tiles import TILE_WIDTH, TileReader
from exclave.values import dataclass
from exclave.vault.kept.fold import named_shards
from exclave.vault.kept.fsck_statements import StatementCheck
from exclave.vault.kept.hearing import FOLLOWED
from exclave.vault.kept.rules import check_address
from exclave.vault.kept.staging import check_staged
from exclave.vault.kept.storage import (
    CHECKPOINT,
    COSIGNED,
    ObjectStore,
    body_key,
    read_optional,
    shard_key,
)

__all__ = ["BadObject", "FsckReport", "check_objects"]

_PIECE: Final = 2**20
_NUMBER: Final = re.compile(rb"[0-9]{1,20}\n")
_READ: Final = FOLLOWED | {
    EntryType.RECORD,
    EntryType.LODGED,
    EntryType.SWEPT,
    EntryType.EVIDENCE,
    EntryType.ALARM,
    EntryType.CUSTODY,
    EntryType.ATTESTATION,
}
"""Entries whose bodies are read for what they say; of the rest only the bytes are compared."""


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
    cosigned: int  # how many of them a quorum of witnesses has cosigned
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
    log = _LogCheck(store, mission=mission, seat=seat, log_public=log_public)
    bad.extend(log.run())
    bad.extend(log.wanted.missing(here) if log.followed else ())
    return FsckReport(
        shards=len(here),
        shard_bytes=size,
        bodies=bodies,
        entries=log.entries,
        cosigned=log.cosigned,
        swept=len(log.wanted.swept.keys() - here),
        bad=tuple(bad),
    )


class _LogCheck:
    """The log, what its entries say, and what is kept beside it."""

    def __init__(
        self, store: ObjectStore, *, mission: MissionId, seat: Seat, log_public: bytes
    ) -> None:
        self._store = store
        self._mission = mission
        self._seat = seat
        self._log = log_verifier(mission, seat, log_public)
        self._service = 0  # of the last entry
        self.wanted = _Wanted(seat)
        self.entries = self.cosigned = 0
        self.followed = False

    def run(self) -> Iterator[BadObject]:
        """Everything that is wrong."""
        store = self._store
        # Before the checkpoint: a server may go on meanwhile.
        heads = {key: read_optional(store, key) for key in (COSIGNED, *store.keys("meta/"))}
        try:
            check = self._opened()
            yield from self._entries(check)
            self.followed = True
        except ExclaveError as error:
            yield BadObject("log", error.message)
            return
        for key, data in heads.items():
            try:
                if data is not None:
                    self._head(key, data, check)
            except (ExclaveError, ValueError) as error:
                yield BadObject(key, _say(error))

    def _opened(self) -> StatementCheck:
        checkpoint = open_checkpoint(self._store.get(CHECKPOINT), self._log)
        tree = TileReader(checkpoint.size, lambda path: read_optional(self._store, f"log/{path}"))
        if tree.root() != checkpoint.root:
            raise IntegrityError("log: its tiles do not lead to its checkpoint")
        return StatementCheck(
            mission=self._mission, seat=self._seat, log=self._log, checkpoint=checkpoint, tree=tree
        )

    def _entries(self, check: StatementCheck) -> Iterator[BadObject]:
        """What is wrong about the entries' bodies; raises when the log itself is broken."""
        for bundle in range(-(-check.checkpoint.size // TILE_WIDTH)):
            for number, data in enumerate(check.tree.entries(bundle), bundle * TILE_WIDTH):
                entry = parse_entry(data)
                self.entries, self._service = number + 1, entry.service
                wrong = self._entry(check, number, entry)
                if wrong is not None:
                    yield BadObject(body_key(entry.hash), wrong)

    def _entry(self, check: StatementCheck, number: int, entry: LogEntry) -> str | None:
        key = body_key(entry.hash)
        if read_optional(self._store, key, 0, 1) is None:
            return f"missing; the log names it as {entry.type.value}"
        if entry.type not in _READ:
            return None
        body = self._store.get(key)
        if hashlib.sha256(body).digest() != entry.hash:
            return None  # named among the bodies
        try:
            self.wanted.add(number, entry, body)
            check.entry(number, entry, body)
        except (ExclaveError, ValueError) as error:
            return f"entry {number}, {entry.type.value}: {_say(error)}"
        return None

    def _head(self, key: str, data: bytes, check: StatementCheck) -> None:
        name = key.removeprefix("meta/")
        if key == COSIGNED:
            self.cosigned = check.cosigned(data, self._service).size
        elif name.startswith("witness-"):
            check.kept(data, Seat(int(name.removeprefix("witness-"))))
        elif name == "service" or name.startswith("mirrored-"):
            if _NUMBER.fullmatch(data) is None:
                raise IntegrityError(f"expected a number, got {data[:40]!r}")
        elif name == "expiry":
            parse_time(data.decode("ascii", "replace").removesuffix("\n"))
        elif name == "staged":
            check_staged(data)


class _Wanted:
    """Shards that lodged records want here, and those that were swept; the later entry counts."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._lodged: dict[bytes, int] = {}
        self.swept: dict[bytes, int] = {}

    def add(self, number: int, entry: LogEntry, body: bytes) -> None:
        if entry.type is EntryType.LODGED:
            record = parse_record(parse_envelope(body))
            self._lodged.update((shard.root, number) for shard in named_shards(record, self._seat))
        elif entry.type is EntryType.SWEPT:
            swept = parse_swept(parse_envelope(body))
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


def _say(error: Exception) -> str:
    return error.message if isinstance(error, ExclaveError) else str(error)
