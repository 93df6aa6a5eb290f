"""Whether a pending record may be lodged at this seat, and if not, why (spec/records.md 3).

Gathers what the index and the records before one say and asks `exclave.vault.kept.rules`; writes
nothing. What nothing to come can change is remembered, so that a long chain of records which do
not concern this seat costs its walk once.
"""

from __future__ import annotations

from collections.abc import Iterable

from exclave.authority.charter import Charter
from exclave.authority.record import DepositRecord, PackSeatsInvalid, RecordPack, check_pack
from exclave.authority.record_chain import (
    AncestorMissing,
    added_packs,
    live_set,
    seated_authors,
)
from exclave.errors import AuthorityError
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.vault.kept.fold import Fold
from exclave.vault.kept.index import Index
from exclave.vault.kept.index_rows import RecordRow
from exclave.vault.kept.rules import Ancestry, Candidate, hindrance

__all__ = ["Lodging"]


class Lodging:
    """Answers for one mission; the lock is held by the caller."""

    def __init__(self, index: Index, seat: Seat) -> None:
        self._index = index
        self._seat = seat
        self._lacking: dict[StatementHash, set[ShardRoot]] = {}
        self._final: dict[StatementHash, str] = {}
        self._sound: set[StatementHash] = set()

    def count_again(self) -> None:
        """Look again which shards are missing."""
        self._lacking = {
            row.statement: set(self._index.missing(row.statement)) for row in self._index.pending()
        }

    def shard_came(self, root: ShardRoot) -> bool:
        """Whether a shard that has just been stored may have completed a record."""
        for lacking in self._lacking.values():
            lacking.discard(root)
        return any(
            not lacking
            for statement, lacking in self._lacking.items()
            if statement not in self._final
        )

    def lodged(self, statement: StatementHash) -> None:
        """A record has been lodged."""
        self._lacking.pop(statement, None)

    def hindrance(self, row: RecordRow, fold: Fold, in_force: Charter) -> str | None:
        """Why a pending record cannot be lodged now; None when it can."""
        if row.statement in self._final:
            return self._final[row.statement]
        if (reason := self._names_nothing(row, fold)) is not None:
            return reason
        ancestry = self._ancestry(row)
        candidate = Candidate(
            full=row.full,
            alone=False,
            seated=row.author in {author.name for author in seated_authors(in_force)},
            missing=len(self._missing(row.statement)),
            contradicted=self._index.contradicted(row.statement),
            ancestry=ancestry,
        )
        if row.full and not ancestry.known and not candidate.missing:
            candidate = candidate.when_alone(alone=self._alone(fold.known[row.statement], fold))
        return hindrance(candidate) or self._contents(row, fold, known=ancestry.known)

    def _names_nothing(self, row: RecordRow, fold: Fold) -> str | None:
        # Found without a walk, since a chain may have begun long before this seat joined.
        if self._names_seat(row) or (row.full and row.previous is not None):
            return None
        return self._contents(row, fold, known=False)

    def _missing(self, statement: StatementHash) -> set[ShardRoot]:
        if statement not in self._lacking:
            self._lacking[statement] = set(self._index.missing(statement))
        return self._lacking[statement]

    def _ancestry(self, row: RecordRow) -> Ancestry:
        forked = satisfied = settled = False
        step = row
        while step.previous is not None:
            parent = self._index.record(step.previous)
            if parent is None:
                return Ancestry(known=False, forked=forked, satisfied=satisfied)
            forked = forked or parent.forked
            if not settled and (parent.lodged or parent.full or self._names_seat(parent)):
                # A full one that names nothing of this seat wants nothing of it.
                settled, satisfied = True, parent.lodged or not self._names_seat(parent)
            if parent.lodged:  # and so is what it stands on
                return Ancestry(known=True, forked=forked, satisfied=satisfied)
            step = parent
        return Ancestry(known=True, forked=forked, satisfied=satisfied or not settled)

    def _names_seat(self, row: RecordRow) -> bool:
        return self._index.names_shards(row.statement)

    def _alone(self, record: DepositRecord, fold: Fold) -> bool:
        charter = fold.chain.find(record.charter)
        try:
            for pack in record.packs_added:
                check_pack(pack, charter)
                pack.shard(self._seat)
        except AuthorityError:
            return False
        return True

    def _contents(self, row: RecordRow, fold: Fold, *, known: bool) -> str | None:
        record = fold.known[row.statement]
        try:
            if not record.full or record.previous is None:
                _require_seat(record.packs_added, self._seat)
            live_set(record, fold.known)
            if known:
                self._check_sound(row, fold)
                _require_seat(added_packs(record, fold.known), self._seat)
        except AncestorMissing as error:
            return error.message
        except AuthorityError as error:
            # It stays what it is, mirrored and pending.
            self._final[row.statement] = error.message
            return error.message
        return None

    def _check_sound(self, row: RecordRow, fold: Fold) -> None:
        """Check what each record since the last lodged one added beyond what was live before it.

        Packs that were live may have another k and other seats than the charter has now. That is
        only right when they were checked where they first appeared.
        """
        path: list[StatementHash] = []
        step: RecordRow | None = row
        while step is not None and not step.lodged and step.statement not in self._sound:
            path.append(step.statement)
            step = None if step.previous is None else self._index.record(step.previous)
        for statement in reversed(path):
            record = fold.known[statement]
            charter = fold.chain.find(record.charter)
            try:
                for pack in added_packs(record, fold.known):
                    check_pack(pack, charter)
            except PackSeatsInvalid as error:
                if statement == row.statement:
                    raise
                raise PackSeatsInvalid(f"a record before it, {error.message}") from error
            self._sound.add(statement)


def _require_seat(packs: Iterable[RecordPack], seat: Seat) -> None:
    for pack in packs:
        pack.shard(seat)
