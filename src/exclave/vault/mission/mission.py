"""One mission at one vault: its log, its index and its objects behind one lock.

Plain blocking code, called from threads. What it decides stands in `exclave.vault.kept.rules`, how
statements are taken in `exclave.vault.mission.submission`; here things are kept together.

Rules
- The log decides what is so; the index follows it. An index that was not closed in order, or
  that covers another length than the log, is built again from the objects.
- What cannot be folded is refused before it is logged; what is logged and cannot be folded all the
  same is put aside and named in the status.
- All changes happen under the lock; bulk bytes (shards) move outside of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from exclave.authority.alarm import AlarmCause
from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.warrant import Warrant
from exclave.authority.witnesses import witnesses_of
from exclave.clock import Clock
from exclave.dispersal.shard import PREFIX_SIZE, ShardHeader
from exclave.dispersal.veil import VEIL_SIZE
from exclave.errors import IntegrityError
from exclave.ids import KeyId, MissionId, Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import log_verifier, origin_for
from exclave.ledger.cosignature import (
    Cosigned,
    Cosigner,
    CosigningKey,
    open_cosigned,
    witness_name,
)
from exclave.ledger.entry import EntryType, LogEntry
from exclave.ledger.note import Note, NoteSigner
from exclave.sealing.recovery import XWingPrivateKey
from exclave.standing.agreed import declared
from exclave.standing.phases import Phase
from exclave.standing.values import Standing
from exclave.values import dataclass
from exclave.vault.interface import MissionStatus, State, VaultRefused
from exclave.vault.kept.cosigned import CosignedHead
from exclave.vault.kept.expiry import ExpiryClock, WitnessRules, WitnessTimes
from exclave.vault.kept.fold import EntryUnfit, Fold, described
from exclave.vault.kept.index import Index
from exclave.vault.kept.index_rows import RecordRow
from exclave.vault.kept.log import Addition, Log
from exclave.vault.kept.quota import kept_for_reserve, reserve_authors
from exclave.vault.kept.rules import Usage, check_address, check_room
from exclave.vault.kept.service_clock import ServiceClock
from exclave.vault.kept.staging import Staging
from exclave.vault.kept.storage import ObjectStore, shard_key
from exclave.vault.kept.witnessing import Witnessing
from exclave.vault.line.problems import refused
from exclave.vault.mission.agreed import asks_agreement, check_deposits, why_no_deposits
from exclave.vault.mission.alarms import Alarms, Reading
from exclave.vault.mission.duties import Duties
from exclave.vault.mission.habits import expectations
from exclave.vault.mission.keeping import Keeping, keeping_of
from exclave.vault.mission.lodging import Lodging
from exclave.vault.mission.overview import mission_status

__all__ = ["Mission", "SeatKeys"]

_CLEAN = "clean"
_SIZE = "log_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatKeys:
    """What a vault needs of its private keys for one mission."""

    log_public: bytes
    sign: Callable[[bytes], bytes]  # with the log key
    cosigning: tuple[CosigningKey, CosigningKey]  # Ed25519, ML-DSA-44
    seat_private: XWingPrivateKey | None = None  # opens sealed shards


class Mission:
    """State of one mission at this seat."""

    def __init__(
        self,
        *,
        mission: MissionId,
        seat: Seat,
        store: ObjectStore,
        index_path: str,
        keys: SeatKeys,
        clock: Clock,
        charter: bytes | None = None,
        history: Sequence[Envelope] = (),
        min_free_bytes: int = 0,
        agreement_key: KeyId | None = None,
        earlier_keys: tuple[tuple[KeyId, int], ...] = (),
        witness_times: WitnessTimes | None = None,
    ) -> None:
        """`charter` and `history` are the enrolment's: charter 1, and what follows, begin the log.

        `agreement_key` is the receiving state's, where this vault asks for an agreement;
        `earlier_keys` were it, each up to a service time.
        `witness_times` is for tests: else what the others' cosignatures of this log say.
        """
        self.mission = mission
        self.seat = seat
        self.store = store
        self.keys = keys
        self.clock = clock
        self.agreement_key = agreement_key
        self.earlier_keys = earlier_keys
        self.lock = threading.RLock()
        self._min_free = min_free_bytes
        signer = NoteSigner(
            name=origin_for(mission, seat), public_key=keys.log_public, sign=keys.sign
        )
        cosigner = Cosigner(name=witness_name(mission, seat), keys=keys.cosigning)
        self.witnessing = Witnessing(store, cosigner, clock)
        self.cosigned = CosignedHead(store)
        self.evidence: Counter[Seat] | None = None  # entries about each seat, once counted
        self._checked: tuple[Note, Charter, Cosigned | None] | None = None
        self.log = Log(store=store, mission=mission, seat=seat, signer=signer)
        self.service = ServiceClock(store, "meta/service", floor=self.log.last_service)
        self.index = Index(index_path)
        self._arriving: Counter[bytes] = Counter()  # bytes by uploading identity
        self._room = threading.Lock()  # for `_arriving`; taken last and never held for long
        self._lodging = Lodging(self.index, seat)
        self._started_again = self.log.size > 0
        if charter is not None:
            self._begin([_addition(item) for item in (parse_envelope(charter), *history)])
        if self.index.fact(_CLEAN) and self.index.fact(_SIZE) == self.log.size:
            self.fold = self._new_fold()
        else:
            self.fold = self.rebuild()
        self.index.set_fact(_CLEAN, 0)
        own = f"{signer.name}/witness"
        self.expiry = self._new_expiry(own, witness_times)
        self.alarms = Alarms(mission, own, self._reading(), self._newest_entry())
        self.duties = Duties(self)
        self.staging = Staging(store)
        self._count_again()

    def _begin(self, entries: list[Addition]) -> None:
        # Nothing else is logged before all of it is: a crash in between leaves a shorter log.
        if self.log.size < len(entries):
            rest = entries[self.log.size :]
            self.log.append(rest, clock=self.clock, service=self.service.now)

    def close(self) -> None:
        """Keep service time and the index; the next start is then quick."""
        with self.lock:
            self.keep()
            # What was put aside is tried again at the next start.
            self.index.set_fact(_CLEAN, 0 if self.index.quarantined() else 1)
            self.index.close()

    def keep(self) -> None:
        """Make durable what no log holds: times, and who brought staged shards."""
        with self.lock:
            self.service.keep()
            self.expiry.keep()
            self.staging.keep()

    def watch(self) -> None:
        """Compare clocks and deposits, and log what has been noticed (spec/ledger.md 9)."""
        self.alarms.look(self.expiry.inputs())
        with self.lock:
            for cause, detail in (*self.duties.look().items(), *expectations(self)):
                self.alarms.note(cause, detail, self._reading())
            due = self.alarms.due(self.service.now(), self.fold.last_alarm)
            if due:
                self.append(due)
            if asks_agreement(self):
                self.lodge_ready()  # one may have begun: what waited for it is complete

    def note_start(self) -> None:
        """A server begins to serve it: named where the host did not say so before."""
        moment = self.clock()
        with self.lock:
            said = declared(self.standing(), self.seat, moment, moment)
        if self._started_again and not said and asks_agreement(self):
            cause = AlarmCause.UNDECLARED_RESTART
            self.alarms.note(cause, "vault: started again, undeclared", self._reading())

    def note_corrupt(self, detail: str) -> None:
        """The engine gave something else than it was given; logged by the next `watch`."""
        self.alarms.note(AlarmCause.ENGINE_CORRUPT, detail, self._reading())

    def rebuild(self) -> Fold:
        """Make the index again from the objects alone."""
        with self.lock, self.index.transaction():
            self.index.clear()
            fold = self._new_fold()
            for number, entry in self.log.entries():
                fold.replay(number, entry)
            self._fold_shards(fold)
            self.index.set_fact(_SIZE, self.log.size)
        self.fold = fold
        return fold

    def append(self, additions: list[Addition]) -> list[tuple[int, LogEntry]]:
        """Log and fold; the lock is held by the caller."""
        self.sync()
        with self._folding() as fold:
            try:
                return self.log.append(
                    additions, clock=self.clock, service=self.service.now, accept=fold.entry
                )
            except EntryUnfit as error:
                raise refused("conflict", error.message, hint=error.hint) from error

    def sync(self) -> None:
        """After a failed write: read the log again and fold what it has and the index has not."""
        self.log.refresh()
        if self.log.size != self.index.fact(_SIZE):
            with self._folding() as fold:
                for number, entry in self.log.entries(self.index.fact(_SIZE)):
                    fold.replay(number, entry)
            self._count_again()

    # Charters, warrants, orders

    def standing(self) -> Standing:
        """What stands now; the lock is held by the caller."""
        return self.fold.standing(self.service.now())

    def keeping(self) -> Keeping:
        """What the orders in effect keep, release and declare; the lock is held by the caller."""
        return keeping_of(self.standing(), self.fold.chain)

    def charter(self) -> Charter:
        """The charter in force now; never waits for the lock."""
        return self.fold.hearing.seen_at(self.service.now()).charter

    def expiry_time(self) -> datetime:
        """The time by which things expire."""
        return self.expiry.now()

    def released(self, reader: bytes) -> list[tuple[StatementHash, Warrant]]:
        """Warrants of a reader under which shards may be read now."""
        with self.lock:
            now = self.expiry_time()
            return [
                (item.statement, item.value)
                for item in self.standing().items.values()
                if isinstance(item.value, Warrant)
                and item.value.reader == reader
                and item.phase is Phase.EFFECTIVE
                and now < item.value.expires
            ]

    def anchors(self) -> set[bytes]:
        """Identities that may try to connect; what they may do is decided for each request."""
        with self.lock:
            charters = self.fold.chain.charters
            found = {item.identity for charter in charters for item in charter.depositors}
            found |= {item.identity for charter in charters for item in charter.seats}
            found |= {
                item.value.reader
                for item in self.standing().items.values()
                if isinstance(item.value, Warrant)
                and (item.pending or item.phase is Phase.EFFECTIVE)
            }
        return found

    # Witnesses

    def cosigned_head(self) -> Cosigned | None:
        """The newest checkpoint that a quorum of the charter in force signed; None before one."""
        with self.lock:
            note, charter = self.cosigned.note, self.charter()
            if note is None:
                return None
            checked = self._checked
            if checked is None or checked[0] is not note or checked[1] is not charter:
                checked = self._checked = (note, charter, self._open_cosigned(note, charter))
            return checked[2]

    def witness_times(self) -> Mapping[Seat | str, datetime]:
        """When each witness last cosigned this log, by seat or name; this seat: now.

        Stale ones too: what is fresh is judged by who asks, and so is how many are enough.
        """
        head = self.cosigned_head()
        times = {} if head is None else {item.party.key: item.moment for item in head.by}
        if self.keys_seated():
            times[self.seat] = self.clock()
        return times

    def _named_times(self) -> Mapping[str, datetime]:
        return {
            key if isinstance(key, str) else witness_name(self.mission, key): time
            for key, time in self.witness_times().items()
        }

    def _open_cosigned(self, note: Note, charter: Charter) -> Cosigned | None:
        log = log_verifier(self.mission, self.seat, self.keys.log_public)
        try:
            found = open_cosigned(note.encode(), log, witnesses_of(charter))
        except IntegrityError:
            return None  # not this log's, or of witness keys that the charter no longer names
        return found if found.complete else None

    def keys_seated(self) -> bool:
        """Whether the charter in force names the witness keys that this vault has."""
        with self.lock:
            entry = self.charter().seat(self.seat)
        named = [key.raw for key in entry.witness_keys]
        return not entry.retired and named == [key.public_key for key in self.keys.cosigning]

    # Records

    def lodge_ready(self) -> None:
        """Lodge every pending record that has become complete, ancestors first."""
        self.sync()
        progress = why_no_deposits(self) is None
        while progress:
            progress = False
            for row in self.index.pending():
                if self._hindrance(row) is None:
                    self._lodge(row)
                    progress = True

    def _hindrance(self, row: RecordRow) -> str | None:
        return self._lodging.hindrance(row, self.fold, self.charter())

    def _lodge(self, row: RecordRow) -> None:
        place = self.index.statement(row.statement)
        assert place is not None
        body = self.log.body(place[2])
        self.append([Addition(type=EntryType.LODGED, statement=row.statement, body=body)])
        self._lodging.lodged(row.statement)

    # Shards

    def check_agreed(self, usage: Usage) -> None:
        """Refuse a new shard, for which room was reserved, where no agreement lets it in.

        What reserved room later does not count: of many uploads at once the first ones fit.
        """
        with self._room:
            arriving = min(usage.ahead, self._arriving.total())
        check_deposits(self, arriving)

    def reserve_room(self, size: int, uploader: bytes = b"") -> Usage:
        """Usage before an identity's upload of `size` bytes, which then counts as arriving."""
        with self.lock, self._room:
            mine, everybody = self._arriving[uploader], self._arriving.total()
            usage = Usage(
                staged=self.staging.of(uploader),
                arriving=mine,
                free=self.store.free_bytes() - (everybody - mine),
                kept_free=self._min_free + self.kept_for_reserve(uploader),
                ahead=everybody + size,
            )
            self._arriving[uploader] += size
            return usage

    def release_room(self, size: int, uploader: bytes = b"") -> None:
        """The upload has ended, one way or the other; never waits for the mission's lock."""
        with self._room:
            self._arriving[uploader] -= size
            if not self._arriving[uploader]:
                del self._arriving[uploader]

    def kept_for_reserve(self, uploader: bytes) -> int:
        """Bytes of the disk that stay free of what an identity brings (spec/records.md 3)."""
        charter = self.charter()
        authors = reserve_authors(
            first=self.fold.chain.charters[0],
            in_force=charter,
            compromised=self.keeping().compromised,
        )
        used = sum(self.index.charged_to_author(author.name) for author in authors)
        opens = any(charter.depositor(author.depositor).identity == uploader for author in authors)
        return kept_for_reserve(charter.quotas.reserve, used, opens=opens)

    def staging_limit(self, uploader: bytes) -> int:
        """Bytes that an identity may have here which no record names (spec/records.md 3)."""
        charter = self.charter()
        daily = (item.daily_bytes for item in charter.depositors if item.identity == uploader)
        return charter.quotas.staging + max(daily, default=0)

    def admit(self, root: ShardRoot, header: ShardHeader, uploader: bytes = b"") -> None:
        """Refuse a shard that came as named but is not what the record says, when staging is full.

        Its bytes were charged to nobody; its upload counts as arriving already.
        """
        with self.lock:
            if self.index.is_named(root) and not self.index.is_described(described(root, header)):
                usage = self.reserve_room(0, uploader)
                check_room(0, named=False, limit=self.staging_limit(uploader), usage=usage)

    def shard_stored(self, root: ShardRoot, header: ShardHeader, uploader: bytes = b"") -> None:
        """A shard is durable: index it, and lodge what it completes."""
        with self.lock:
            if not self.index.has_shard(root):
                self.store.size(shard_key(root))  # the sweep may have been between commit and here
                with self.index.transaction():
                    self.fold.shard(root, header)
                if not self.index.is_described(described(root, header)):
                    now = self.expiry.now()
                    self.staging.add(root, header.shard_length, uploader, now)
            if self._lodging.shard_came(root):
                self.lodge_ready()

    def shard_is_here(self, root: ShardRoot) -> bool:
        """Whether a shard is stored; one that is staged counts as put again."""
        with self.lock:
            there = self.index.has_shard(root)
            if there:
                self.staging.renew(root, self.expiry.now())
            return there

    def shards_named(self) -> None:
        """A record has named shards that were staged, or some were swept."""
        # Only what was staged can have become named: a vault with millions of shards looks at few.
        staged = self.index.staged_among(self.staging.roots)
        self.staging.settle(staged, self.expiry.now())

    def status(self) -> MissionStatus:
        """The mission's status."""
        with self.lock:
            return mission_status(self)

    def pending_reason(self, row: RecordRow) -> str | None:
        """Why a record is not lodged; None when it is, or never will be."""
        if row.state is not State.PENDING:
            return None
        return why_no_deposits(self) or self._hindrance(row)

    def _witness_rules(self) -> WitnessRules:
        witness = self.charter().witness
        return WitnessRules(f=witness.f, q=witness.q, freshness=witness.freshness)

    def _reading(self) -> Reading:
        return Reading(wall=self.clock(), service_ms=self.service.now())

    def _newest_entry(self) -> datetime:
        return self.log.entry(self.log.size - 1).logged

    def _new_expiry(self, own: str, witness_times: WitnessTimes | None) -> ExpiryClock:
        return ExpiryClock(
            self.store,
            "meta/expiry",
            enrolled=self.fold.enrolled,
            wall=self.clock,
            service=self.service.now,
            own=own,
            times=witness_times or self._named_times,
            rules=self._witness_rules,
        )

    def _new_fold(self) -> Fold:
        return Fold(
            mission=self.mission,
            seat=self.seat,
            index=self.index,
            read_body=self.log.body,
            read_entry=self.log.entry,
        )

    @contextmanager
    def _folding(self) -> Iterator[Fold]:
        try:
            with self.index.transaction():
                yield self.fold
                self.index.set_fact(_SIZE, self.log.size)
        except BaseException:
            # The rows are rolled back: what the fold holds in memory must follow them.
            self.fold = self._new_fold()
            raise

    def _count_again(self) -> None:
        self.staging.settle(self.index.staged_shards(), self.expiry.now())
        self._lodging.count_again()

    def _fold_shards(self, fold: Fold) -> None:
        for key in self.store.keys("shards/"):
            prefix = self.store.get(key, 0, PREFIX_SIZE)
            try:
                header = ShardHeader.decode(prefix[VEIL_SIZE:])
                check_address(header, self.mission, self.seat)
                root = ShardRoot(bytes.fromhex(key.rsplit("/", 1)[1]))
            except (IntegrityError, VaultRefused, ValueError):
                continue  # `fsck` names it; as a shard it does not exist
            fold.shard(root, header)


def _addition(envelope: Envelope) -> Addition:
    kind = EntryType.CHARTER if envelope.kind is Kind.CHARTER else EntryType.ORDER
    return Addition(type=kind, statement=envelope.statement_hash, body=envelope.to_bytes())
