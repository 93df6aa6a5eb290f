"""Walking one seat's log with bounds: what it may cost to listen to a host that lies.

A walk takes the checkpoint, the tiles and the bodies of one seat and gives what it got, with a
named problem for everything that was missing, wrong or too much. It believes nothing: what the
statements are worth is `exclave.vault.survey.survey`'s matter.

Rules
- A log that its seat's key did not sign is read up to a small size only.
- The root is computed from the entries themselves, whatever the tiles between them say.
- Tiles come in batches; the first that is missing ends the walk. Bytes and time are bounded.
- A body that several seats have is kept once.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import hmac
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from itertools import islice
from typing import TypeVar

from exclave.errors import ExclaveError, IntegrityError, VaultUnreachable
from exclave.ids import MissionId, Seat, StatementHash
from exclave.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from exclave.ledger.entry import EntryType, LogEntry, parse_entry
from exclave.ledger.note import NoteVerifier, parse_note
from exclave.ledger.tiles import TILE_WIDTH, Tile, TileReader, parse_bundle, tiles_of
from exclave.merkle import leaf_hash, tree_root
from exclave.values import dataclass, field
from exclave.vault.interface import PublicRecord

__all__ = [
    "CarriedRecord",
    "Fault",
    "Problem",
    "SurveyLimits",
    "Walk",
    "ask_time",
    "begin_walk",
    "carried_walk",
    "open_by_any",
    "walk_log",
]

T = TypeVar("T")
_AT_ONCE = 8
_BODIES = frozenset(EntryType) - {EntryType.ANNEX, EntryType.REFUSALS}


class LogTooLarge(IntegrityError):
    """A seat claims or sends more than a survey takes of one seat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyLimits:
    """The most that one seat may cost a survey."""

    entries: int = 10**7
    unsigned_entries: int = 2**14  # of a log that is not signed by a key that a charter names
    log_bytes: int = 2**28
    body_bytes: int = 2**30
    seconds: float = 900


class Fault(enum.Enum):
    """What kind of thing is wrong at a seat."""

    SILENT = "silent"  # no answer, or another identity
    SIGNATURE = "signature"  # a checkpoint that is not the seat's
    TRUNCATED = "truncated"  # tiles or entries are missing, or do not lead to the checkpoint
    BODY = "missing-body"
    FORK = "fork"  # two checkpoints that the seat signed and that cannot both be true
    WITNESSED = "witnessed"  # an entry of that type which no quorum stands behind
    STATEMENT = "statement"  # what is logged is not what it must be
    TOO_MUCH = "too-much"  # more than a survey takes of one seat


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong at a seat."""

    seat: Seat
    what: str
    fault: Fault = Fault.STATEMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedRecord:
    """What a bag of a seat says: statements without a log."""

    seat: Seat
    packed: datetime
    statements: tuple[tuple[EntryType, StatementHash, bytes], ...]
    faults: tuple[str, ...]


@dataclass(kw_only=True)
class Walk:
    """What one seat gave, before anything of it is known to be true."""

    source: PublicRecord | None  # None: it was carried
    seat: Seat
    limits: SurveyLimits
    bodies: dict[bytes, bytes]  # of all seats
    note: bytes = b""
    checkpoint: Checkpoint | None = None
    first: bytes = b""  # the body of entry 0
    kinds: Collection[EntryType] = _BODIES  # of which bodies are wanted
    claimed: int = 0  # service time there now, as its status says
    consistent: bool = False
    entries: list[LogEntry] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)  # leaf hashes of the entries
    own: set[bytes] = field(default_factory=set)  # bodies that this seat gave
    problems: list[Problem] = field(default_factory=list)

    @property
    def asked(self) -> PublicRecord:
        """Who is asked."""
        assert self.source is not None
        return self.source

    @property
    def size(self) -> int:
        """Entries that the checkpoint claims."""
        return 0 if self.checkpoint is None else self.checkpoint.size

    def complain(self, what: str, fault: Fault = Fault.STATEMENT) -> None:
        """Name a problem of this seat, which the message of an error may name too."""
        what = what.removeprefix(f"seat {self.seat}: ")
        problem = Problem(seat=self.seat, what=what, fault=fault)
        if problem not in self.problems[-8:]:
            self.problems.append(problem)

    def body(self, digest: bytes) -> bytes | None:
        """A body, when this seat gave it and it was not let go."""
        return self.bodies.get(digest) if digest in self.own else None

    @asynccontextmanager
    async def bounded(self, doing: str, fault: Fault) -> AsyncIterator[None]:
        """Ends what takes too long; what failed is this seat's problem, `fault` unless silent."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError:
            late = f"{doing}: not done after {self.limits.seconds:.0f} seconds"
            self.complain(late, Fault.SILENT)
        except ExclaveError as error:
            self.complain(error.message, _fault(error, fault))


def _fault(error: ExclaveError, otherwise: Fault) -> Fault:
    if isinstance(error, LogTooLarge):
        return Fault.TOO_MUCH
    return Fault.SILENT if isinstance(error, VaultUnreachable) else otherwise


def carried_walk(
    carried: CarriedRecord, mission: MissionId, limits: SurveyLimits, bodies: dict[bytes, bytes]
) -> Walk:
    """A bag's statements as a walk without a checkpoint: nothing of it is known as logged."""
    walk = Walk(source=None, seat=carried.seat, limits=limits, bodies=bodies)
    for kind, statement, data in carried.statements:
        digest = hashlib.sha256(data).digest()
        bodies.setdefault(digest, data)
        walk.own.add(digest)
        walk.entries.append(
            LogEntry(
                type=kind,
                mission=mission,
                hash=digest,
                size=len(data),
                statement=statement,
                logged=carried.packed,
                service=0,
            )
        )
    for fault in carried.faults:
        walk.complain(fault, Fault.BODY)
    return walk


async def begin_walk(walk: Walk) -> None:
    """Fetch the checkpoint and what entry 0 names: charter 1, when the seat is honest."""
    async with walk.bounded("checkpoint", Fault.SILENT):
        walk.note = await walk.asked.checkpoint()
    async with walk.bounded("first charter", Fault.TRUNCATED):
        if not walk.note:
            return
        walk.checkpoint = parse_checkpoint(parse_note(walk.note).text)
        if walk.size == 0:
            raise IntegrityError("log: expected charter 1 as its first entry, got an empty log")
        bundle = Tile(level=None, index=0, width=min(TILE_WIDTH, walk.size))
        data, width = await _tile(walk.asked, bundle)
        entry = parse_entry(parse_bundle(data, width)[0])
        async with walk.bounded("first charter", Fault.BODY):
            walk.first = await _body(walk.asked, entry)


async def walk_log(walk: Walk, mission: MissionId, keys: Sequence[NoteVerifier]) -> None:
    """Fetch and check the log, then its bodies; `keys` are the seat's by the charters so far."""
    checkpoint = walk.checkpoint
    if checkpoint is None:
        return
    async with walk.bounded("log", Fault.TRUNCATED):
        most = walk.limits.entries if _signed(walk, keys) else walk.limits.unsigned_entries
        if checkpoint.size > most:
            raise LogTooLarge(f"log: expected at most {most} entries, got {checkpoint.size}")
        reader = TileReader(checkpoint.size, (await _tiles(walk)).get)
        if not hmac.compare_digest(reader.root(), checkpoint.root):
            raise IntegrityError("log: its tiles do not lead to its checkpoint")
        for bundle in range(-(-checkpoint.size // TILE_WIDTH)):
            found = reader.entries(bundle)
            walk.entries += [parse_entry(data) for data in found]
            walk.leaves += [leaf_hash(data) for data in found]
        # The root that the tiles have needs no tile of level 0 that is full: those could lie.
        if not hmac.compare_digest(tree_root(walk.leaves), checkpoint.root):
            raise IntegrityError("log: its entries do not lead to its checkpoint")
        if any(entry.mission != mission for entry in walk.entries):
            raise IntegrityError("log: has entries of another mission")
        walk.consistent = True
    async with walk.bounded("bodies", Fault.BODY):
        await _bodies(walk)


async def ask_time(walk: Walk) -> None:
    """Ask what service time it is there: what takes effect by time alone no entry says.

    A claim, and worth as much as the service times of its entries. A folder has none.
    """
    with suppress(ExclaveError, TimeoutError):
        async with asyncio.timeout(walk.limits.seconds):
            walk.claimed = (await walk.asked.status()).service


def open_by_any(note: bytes, keys: Sequence[NoteVerifier]) -> Checkpoint:
    """A log's checkpoint by one of the keys that charters give its seat; raises the last refusal.

    Any of them, not the newest charter's alone: one that only waits must not make every log of the
    mission unreadable.
    """
    refusal: ExclaveError = IntegrityError("no charter names a log key of this seat")
    for key in keys:
        try:
            return open_checkpoint(note, key)
        except ExclaveError as error:
            refusal = error
    raise refusal


def _signed(walk: Walk, keys: Sequence[NoteVerifier]) -> bool:
    try:
        open_by_any(walk.note, keys)
    except ExclaveError:
        return False  # the survey names it
    return True


async def _tiles(walk: Walk) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    taken = 0

    async def fetch(tile: Tile) -> None:
        nonlocal taken
        data, width = await _tile(walk.asked, tile)
        there = Tile(level=tile.level, index=tile.index, width=width)
        taken += len(data)
        if taken > walk.limits.log_bytes:
            raise LogTooLarge(f"log: expected at most {walk.limits.log_bytes} bytes, got more")
        found[there.path()] = data

    # In batches: a log that is not there ends before many tiles were asked for.
    for batch in _batches(tiles_of(walk.size)):
        await _all(fetch(tile) for tile in batch)
    return found


async def _tile(source: PublicRecord, tile: Tile) -> tuple[bytes, int]:
    try:
        return await source.tile(tile.path()), tile.width
    except ExclaveError as error:
        if not tile.full and not isinstance(error, VaultUnreachable):
            # The log may have grown since: an older partial tile goes when the full one is there.
            try:
                return await source.tile(
                    Tile(level=tile.level, index=tile.index).path()
                ), TILE_WIDTH
            except ExclaveError:
                pass
        silent = isinstance(error, VaultUnreachable)
        named = f"{tile.path()}: {error.message}"
        raise VaultUnreachable(named) if silent else IntegrityError(named) from error


async def _body(source: PublicRecord, entry: LogEntry) -> bytes:
    data = await source.body(entry.hash)
    # What a walk takes is counted by the entries: they must not say less.
    if len(data) != entry.size:
        raise IntegrityError(
            f"body {entry.hash.hex()}: expected {entry.size} bytes, got {len(data)}"
        )
    if not hmac.compare_digest(hashlib.sha256(data).digest(), entry.hash):
        raise IntegrityError(f"body {entry.hash.hex()}: corrupted")
    return data


async def _bodies(walk: Walk) -> None:
    async def fetch(entry: LogEntry) -> None:
        try:
            data = await _body(walk.asked, entry)
        except ExclaveError as error:
            walk.complain(error.message, _fault(error, Fault.BODY))
            return
        walk.bodies.setdefault(entry.hash, data)
        walk.own.add(entry.hash)

    for batch in _batches(_wanted(walk)):
        await _all(fetch(entry) for entry in batch)


def _wanted(walk: Walk) -> Iterator[LogEntry]:
    """Entries whose bodies are wanted, charters first; ends where they name too many bytes."""
    seen: set[bytes] = set()
    taken = 0
    for entry in sorted(walk.entries, key=lambda item: item.type is not EntryType.CHARTER):
        if entry.type not in walk.kinds or entry.hash in seen:
            continue
        taken += entry.size
        if taken > walk.limits.body_bytes:
            raise LogTooLarge(f"bodies: expected at most {walk.limits.body_bytes} bytes, got more")
        seen.add(entry.hash)
        yield entry


async def _all(work: Iterable[Coroutine[None, None, None]]) -> None:
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(items, _AT_ONCE)):
        yield batch
