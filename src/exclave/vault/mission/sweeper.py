"""Carries the sweep out: gathers what decides, logs what goes, and only then removes it.

What may go is `exclave.vault.mission.sweeping`'s answer alone. This is the only caller of the
engine's `sweep`.

Rules
- Expiry time is kept before it is acted on, and the `swept` entry is durable before the first shard
  goes.
- Nothing is remembered between runs: what a crash left in place is judged anew.
- A bounded number of shards a run, under the mission's lock: a put waits, it never races.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from exclave.authority.record_chain import live_set
from exclave.authority.swept import Swept, swept_envelope
from exclave.clock import format_time
from exclave.errors import AuthorityError
from exclave.ids import DepositId, PackRoot, ShardRoot, StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.kept.index_rows import RecordRow
from exclave.vault.kept.log import Addition
from exclave.vault.kept.storage import shard_key
from exclave.vault.mission.keeping import Keeping
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.sweeping import ReleasedPack, Sweep, SweepInputs, what_may_go

__all__ = ["sweep"]

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = 256


def sweep(mission: Mission) -> Sweep:
    """Remove what may go; the answer says what went, and why what a release names stayed."""
    with mission.lock:
        mission.sync()
        inputs = _Gathering(mission, mission.keeping()).inputs()
        found = _bounded(what_may_go(inputs))
        batches = [*found.released, *([(None, found.staged)] if found.staged else [])]
        if batches:
            mission.keep()
            mission.append([_addition(mission, inputs.now, *batch) for batch in batches])
        for _, roots in batches:
            _remove(mission, roots)
        return found


def _bounded(found: Sweep) -> Sweep:
    room = _AT_ONCE
    released = []
    for release, roots in found.released:
        if room and roots:
            released.append((release, roots[:room]))
            room -= len(released[-1][1])
    return Sweep(released=tuple(released), staged=found.staged[:room], kept=found.kept)


def _addition(
    mission: Mission, now: datetime, release: StatementHash | None, roots: tuple[ShardRoot, ...]
) -> Addition:
    swept = Swept(mission=mission.mission, release=release, expiry=now, shards=roots)
    envelope = swept_envelope(swept)
    return Addition(
        type=EntryType.SWEPT, statement=envelope.statement_hash, body=envelope.to_bytes()
    )


def _remove(mission: Mission, roots: Iterable[ShardRoot]) -> None:
    for root in roots:
        mission.store.sweep(shard_key(root))
        with mission.index.transaction():
            mission.fold.shard_gone(root)
        _LOG.info("swept shard %s", root.hex())
    mission.shards_named()


class _Gathering:
    """Reads from index and log what the rule wants to know; the lock is held by the caller."""

    def __init__(self, mission: Mission, keeping: Keeping) -> None:
        self._mission = mission
        self._index = mission.index
        self._keeping = keeping
        self._now = mission.expiry.now()
        self._lodged = self._index.records("lodged IS NOT NULL") if keeping.released else []

    def inputs(self) -> SweepInputs:
        keeping = self._keeping
        return SweepInputs(
            now=self._now,
            locked=keeping.locked,
            frozen=keeping.frozen,
            released=self._released(),
            held=self._held(),
            newest=self._live(self._newest(self._lodged)),
            before_compromise=self._live(self._before_compromise()),
            drilled=self._live(self._newest(self._drilled())),
            pending=self._index.packs_pending() if keeping.released else frozenset(),
            held_all=keeping.holds_all,
            staging_days=self._mission.charter().quotas.staging_days,
            staged=self._staged(),
        )

    def _released(self) -> tuple[ReleasedPack, ...]:
        extended = self._extended() if self._keeping.released else {}
        return tuple(
            ReleasedPack(
                root=pack,
                release=release,
                shards=self._index.shards_of(pack),
                retain_until=self._retain_until(pack, extended),
            )
            for pack, release in sorted(self._keeping.released.items())
        )

    def _retain_until(self, pack: PackRoot, extended: dict[PackRoot, datetime]) -> datetime | None:
        kept = self._index.retain_until(pack)
        if kept is None:
            return None
        until = datetime.fromtimestamp(kept, UTC)
        more = (extended.get(pack), self._keeping.extended_all)
        return max([until, *(time for time in more if time is not None)])

    def _extended(self) -> dict[PackRoot, datetime]:
        found: dict[PackRoot, datetime] = {}
        for deposit, until in self._keeping.extended.items():
            for pack in self._packs_of([deposit]) or ():
                found[pack] = max(until, found.get(pack, until))
        return found

    def _held(self) -> frozenset[PackRoot] | None:
        if self._keeping.holds_all:
            return None
        return self._packs_of(self._keeping.held) if self._keeping.released else frozenset()

    def _packs_of(self, deposits: Iterable[DepositId]) -> frozenset[PackRoot] | None:
        """Packs that are live in deposits; None when that is not all known here."""
        found: set[PackRoot] = set()
        for deposit in deposits:
            for row in self._index.records("deposit = ?", deposit):
                try:
                    found.update(self._live([row]))
                except AuthorityError:
                    return None
        return frozenset(found)

    def _live(self, rows: Iterable[RecordRow]) -> frozenset[PackRoot]:
        known = self._mission.fold.known
        return frozenset(
            root for row in rows for root in live_set(known[row.statement], known).packs
        )

    def _newest(self, rows: Iterable[RecordRow]) -> list[RecordRow]:
        """The newest of each author's."""
        newest: dict[str, RecordRow] = {}
        for row in rows:
            if row.author not in newest or newest[row.author].sequence < row.sequence:
                newest[row.author] = row
        return list(newest.values())

    def _before_compromise(self) -> list[RecordRow]:
        since = self._keeping.compromised
        return self._newest(
            row
            for row in self._lodged
            if row.author in since and row.logged < format_time(since[row.author])
        )

    def _drilled(self) -> list[RecordRow]:
        return [row for row in self._lodged if row.deposit in self._keeping.drilled]

    def _staged(self) -> dict[ShardRoot, datetime]:
        return {
            root: put
            for root, put in self._mission.staging.put_times().items()
            if self._index.has_shard(root) and not self._index.is_named(root)
        }
