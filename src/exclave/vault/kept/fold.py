"""The fold: what each log entry and each stored shard means for the index.

The same code runs when an entry has just been logged and when an index is built again from the
objects alone, so that both give the same rows. It trusts the vault's own log: what may enter
it was decided before (`exclave.vault.kept.rules`, `exclave.vault.mission.submission`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from exclave.authority.alarm import AlarmCause, parse_alarm
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain, verify_chain, verify_successor
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.authority.record import DepositRecord, RecordPack, parse_record
from exclave.authority.record_chain import (
    AncestorMissing,
    Author,
    added_packs,
    author_of,
    live_set,
)
from exclave.authority.swept import parse_swept
from exclave.dispersal.shard import ShardHeader
from exclave.errors import ExclaveError, IntegrityError, StorageError
from exclave.ids import MissionId, Seat, ShardRoot, StatementHash
from exclave.ledger.entry import EntryType, LogEntry
from exclave.standing.values import Standing
from exclave.vault.kept.expiry import entry_time
from exclave.vault.kept.hearing import FOLLOWED, Hearing
from exclave.vault.kept.index import Index
from exclave.vault.kept.index_rows import NamedShard

__all__ = [
    "BodyMissing",
    "EntryUnfit",
    "Fold",
    "KnownRecords",
    "described",
    "named_shards",
    "payer_of",
]

_ENROLLED: Final = "enrolled"
_CACHED_RECORDS: Final = 64
"""A chain's stretch between two full records is 32 long."""


class BodyMissing(IntegrityError):
    """The log names a body that is not stored, or that is not what it was."""


class EntryUnfit(IntegrityError):
    """An entry contradicts itself or what is in the index: it cannot be folded."""


class KnownRecords(Mapping[StatementHash, DepositRecord]):
    """Parsed records by statement hash, read from their bodies when asked for."""

    def __init__(self, index: Index, read_body: Callable[[bytes], bytes]) -> None:
        self._index = index
        self._read_body = read_body
        self._cache: dict[StatementHash, DepositRecord] = {}

    def __getitem__(self, statement: StatementHash) -> DepositRecord:
        found = self._cache.get(statement)
        if found is None:
            place = self._index.statement(statement)
            if place is None or place[0] is not EntryType.RECORD:
                raise KeyError(statement)
            found = parse_record(parse_envelope(self._read_body(place[2])))
            if len(self._cache) >= _CACHED_RECORDS:
                self._cache.pop(next(iter(self._cache)))
            self._cache[statement] = found
        return found

    def __iter__(self) -> Iterator[StatementHash]:
        return (row.statement for row in self._index.records())

    def __len__(self) -> int:
        return len(self._index.records())


def named_shards(record: DepositRecord, seat: Seat) -> tuple[NamedShard, ...]:
    """The shards that a record wants of one seat; older packs may have none there."""
    return tuple(
        NamedShard(root=root, pack=pack.root, length=pack.length, k=pack.k)
        for pack in record.packs_added
        for number, root in pack.shards
        if number == seat
    )


def described(root: ShardRoot, header: ShardHeader) -> NamedShard:
    """A shard as its own header describes it."""
    return NamedShard(root=root, pack=header.pack_root, length=header.length, k=header.k)


def payer_of(author: Author, in_force: Charter) -> str:
    """Whose quota a record is charged to.

    Keys that the charter in force does not seat have one of their own: what a revoked key signs
    must not use up what its successor needs.
    """
    return author.depositor if author.is_seated(in_force) else author.name


class Fold:
    """Applies entries in order; holds the charters and what stands: all else is read under them."""

    def __init__(
        self,
        *,
        mission: MissionId,
        seat: Seat,
        index: Index,
        read_body: Callable[[bytes], bytes],
        read_entry: Callable[[int], LogEntry],
    ) -> None:
        self._mission = mission
        self._seat = seat
        self._index = index
        self._read_body = read_body
        self.known = KnownRecords(index, read_body)
        self.hearing = Hearing(seat)
        self._chain: CharterChain | None = None
        self._hear_again(read_entry)

    @property
    def chain(self) -> CharterChain:
        """The charters that this vault holds, those in conflict too: a new era may follow one."""
        if self._chain is None:
            raise BodyMissing("log: expected charter 1 as its first entry, got an empty log")
        return self._chain

    def standing(self, now: int) -> Standing:
        """What stands at a service time."""
        return self.hearing.at(now)

    @property
    def enrolled(self) -> datetime:
        """When service time began, by the log's entry 0 (spec/vault-http.md 8)."""
        return datetime.fromtimestamp(self._index.fact(_ENROLLED) / 1000, UTC)

    def last_alarm(self, cause: AlarmCause) -> int:
        """Service time of a cause's newest entry; 0 when there is none."""
        return self._index.fact(f"alarm {cause.value}")

    def entry(self, number: int, entry: LogEntry, body: bytes | None = None) -> None:
        """Write what one entry means, all or nothing; raises `EntryUnfit`."""
        chain = self._chain
        try:
            with self._index.transaction():
                self._mean(number, entry, body)
        except StorageError:
            self._chain = chain
            raise
        except (ExclaveError, ArithmeticError, LookupError, ValueError) as error:
            self._chain = chain
            what = error.message if isinstance(error, ExclaveError) else str(error)
            raise EntryUnfit(f"log entry {number}, {entry.type.value}: {what}") from error

    def replay(self, number: int, entry: LogEntry) -> None:
        """Write what a logged entry means; one that cannot be folded is put aside and named.

        Charters are not put aside: whoever misses one would go on under rules that are over.
        """
        try:
            self.entry(number, entry)
        except EntryUnfit as error:
            if entry.type is EntryType.CHARTER:
                raise
            self._index.quarantine(number, error.message)

    def _mean(self, number: int, entry: LogEntry, body: bytes | None) -> None:
        match entry.type:
            case EntryType.CHARTER | EntryType.CONFLICT:
                self._charter(entry, self._envelope(entry, body))
            case EntryType.RECORD:
                self._record(number, entry, self._envelope(entry, body))
            case EntryType.LODGED:
                self._lodged(number, entry)
            case EntryType.ALARM:
                cause = parse_alarm(self._envelope(entry, body)).cause
                self._index.set_fact(f"alarm {cause.value}", entry.service)
            case EntryType.SWEPT:
                swept = parse_swept(self._envelope(entry, body))
                self._index.add_swept(swept.shards, number)
            case _:
                pass
        self._index.add_entry(number, entry)
        if entry.type in FOLLOWED:  # last: it changes what is in memory, all or nothing
            self.hearing.hear(number, entry, self._body(entry, body))

    def shard(self, root: ShardRoot, header: ShardHeader) -> None:
        """Write that a shard is stored."""
        self._index.add_shard(described(root, header))

    def shard_gone(self, root: ShardRoot) -> None:
        """Write that a shard has been swept; whether one was is for the objects to say."""
        self._index.drop_shard(root)

    def _body(self, entry: LogEntry, body: bytes | None) -> bytes:
        data = self._read_body(entry.hash) if body is None else body
        if hashlib.sha256(data).digest() != entry.hash:
            raise BodyMissing(f"body {entry.hash.hex()}: not what the log names")
        return data

    def _envelope(self, entry: LogEntry, body: bytes | None) -> Envelope:
        return parse_envelope(self._body(entry, body))

    def _hear_again(self, read_entry: Callable[[int], LogEntry]) -> None:
        """What stands is kept nowhere: it follows from the entries that the index knows."""
        heard = [(n, read_entry(n)) for n in self._index.numbers_of(FOLLOWED)]
        if not heard:
            return
        bodies = [(n, entry, self._body(entry, None)) for n, entry in heard]
        kinds = {EntryType.CHARTER, EntryType.CONFLICT}
        charters = [body for _, entry, body in bodies if entry.type in kinds]
        self._chain = verify_chain((parse_envelope(body) for body in charters), self._mission)
        self.hearing.hear_all(bodies)

    def _charter(self, entry: LogEntry, envelope: Envelope) -> None:
        if self._chain is None:
            self._chain = verify_chain([envelope], self._mission)
            logged = 1000 * int(entry.logged.timestamp())
            self._index.set_fact(_ENROLLED, logged - entry.service)
        else:
            self._chain = verify_successor(self._chain, envelope)

    def _record(self, number: int, entry: LogEntry, envelope: Envelope) -> None:
        record = parse_record(envelope)
        author = author_of(record, self.chain)
        in_force = self.standing(entry.service).charter
        self._index.add_record(
            record,
            statement=envelope.statement_hash,
            author=author.name,
            payer=payer_of(author, in_force),
            number=number,
            logged=entry.logged,
            service=entry.service,
            shards=named_shards(record, self._seat),
        )

    def _lodged(self, number: int, entry: LogEntry) -> None:
        if entry.statement is None:
            raise BodyMissing(f"log entry {number}: lodged without a statement")
        record = self.known[entry.statement]
        in_force = self.standing(entry.service).charter
        logged = entry_time(entry.logged, self.enrolled, entry.service)
        days = in_force.settings.retention_days
        until = int((logged + timedelta(days=days)).timestamp())
        live = live_set(record, self.known)
        self._index.set_lodged(
            entry.statement,
            number,
            live.roots,
            until,
            (_bytes(live.packs.values()), _bytes(_fresh(record, self.known))),
        )


def _bytes(packs: Iterable[RecordPack]) -> int:
    return sum(pack.length for pack in packs)


def _fresh(record: DepositRecord, known: KnownRecords) -> tuple[RecordPack, ...]:
    try:
        return added_packs(record, known)
    except AncestorMissing:  # a full one that was lodged alone
        return record.packs_added
