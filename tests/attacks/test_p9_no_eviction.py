"""P9: stolen depositor keys, floods and forged dates evict nothing and use up nobody else's room.

The attacker's powers: from a moment on he has the keys of the depositor that charter 1 seats, with
its identity, and sends what he likes: shards without records, records up to every limit, forged
claimed times, records that drop everything, forks. Then the compromise is declared and a charter
seats new keys under the same id, and a reserve depositor. He goes on with the old keys.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exclave.authority.charter_settings import Quotas
from exclave.authority.record import DepositRecord, PackKindName
from exclave.authority.record_chain import seated_authors
from exclave.engine.memory import MemoryEngine
from exclave.ids import StatementHash
from exclave.vault.interface import State, VaultRefused
from exclave.vault.kept.rules import check_room
from exclave.vault.kept.storage import shard_key
from exclave.vault.mission.keeping import Keeping
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import state_of, submit
from exclave.vault.mission.sweeper import sweep
from tests.support.keeping import Hands, put
from tests.support.serving import SEAT, fellows, open_mission
from tests.support.vault_world import Pack, World, new_depositor, new_world, next_charter

KIB = 1024
QUOTAS = Quotas(reserve=400 * KIB, staging=100 * KIB, staging_days=90)
LOG = 8 * KIB
"""What entries and heads of the log take besides."""
DAILY, TOTAL = 300 * KIB, 900 * KIB


def upload(mission: Mission, pack: Pack, identity: bytes) -> None:
    """As the data listener does: room first, then the bytes."""
    size = pack.shards[SEAT].header.shard_length
    root = pack.shards[SEAT].root
    usage = mission.reserve_room(size, identity)
    try:
        named = mission.index.is_named(root)
        limit = mission.staging_limit(identity)
        check_room(size, named=named, limit=limit, usage=usage)
        put(mission, pack, identity)
    finally:
        mission.release_room(size, identity)


class Theft:
    """A mission with an old deposit, and the thief's flood."""

    def __init__(self, capacity: int = 1 << 30) -> None:
        self.world = new_world(quotas=QUOTAS, daily=DAILY, total=TOTAL)
        self.store, self.now = MemoryEngine(capacity=capacity), Hands()
        self.mission = open_mission(
            self.world, self.store, now=self.now, witnesses=fellows(self.now)
        )
        self.home = self.world.charter.depositors[0]
        self.old, self.packs = self.world.deposit()
        for pack in self.packs:
            upload(self.mission, pack, self.home.identity)
        assert submit(self.mission, self.world.signed(self.old)).state is State.LODGED
        self.before = self.objects()
        self.now.time += timedelta(hours=1)
        self.stolen_at = self.now.time
        self.refusals: set[str] = set()
        self.live = list(self.packs)

    def objects(self) -> dict[str, bytes]:
        keys = [*self.store.keys("shards/"), *self.store.keys("bodies/")]
        return {key: self.store.get(key) for key in keys}

    def flood(self, days: int = 5) -> None:
        """Until he is refused, every day anew, with dates of his own."""
        last: DepositRecord = self.old
        for day in range(days):
            for _ in range(40):
                try:
                    last = self._deposit(last, claimed=datetime(1970 + 50 * day, 1, 1, tzinfo=UTC))
                except VaultRefused as error:
                    self.refusals.add(error.cause)
                    break
            self._stage()
            self.now.time += timedelta(days=1)

    def _deposit(self, last: DepositRecord, claimed: datetime) -> DepositRecord:
        packs = [self.world.pack(60 * KIB), self.world.pack(2000, PackKindName.MANIFEST)]
        everything = [pack.root for pack in self.live]
        record = self.world.record(
            packs, previous=last, dropped=everything, secrets_dropped=self._secrets(last),
            claimed_time=claimed,
        )  # fmt: skip
        submit(self.mission, self.world.signed(record))
        for pack in packs:
            upload(self.mission, pack, self.home.identity)
        self.live = packs
        return record

    @staticmethod
    def _secrets(last: DepositRecord) -> tuple[bytes, ...]:
        return tuple(sorted(secret.secret_id for secret in last.secrets_added))

    def _stage(self) -> None:
        for _ in range(QUOTAS.staging // KIB):
            try:
                upload(self.mission, self.world.pack(60 * KIB), self.home.identity)
            except VaultRefused as error:
                self.refusals.add(error.cause)
                return
        pytest.fail("nothing bounds what no record names")

    def recover(self) -> tuple[World, World]:
        """The compromise is declared; charter 2 seats new keys and a reserve depositor."""
        author = seated_authors(self.world.charter)[0].name
        keeping = Keeping(compromised={author: self.stolen_at})
        self.mission.keeping = lambda: keeping
        parties = new_depositor(), new_depositor()
        home, reserve = (
            replace(self.home, keys=party.public, identity=party.identity.certificate)
            for party in parties
        )
        reserve = replace(reserve, id="reserve", reserve=True, total_bytes=1)
        charter, data = next_charter(self.world, depositors=(home, reserve))
        submit(self.mission, data)
        assert self.mission.charter().version == 2
        new, spare = (replace(self.world, depositor=party, charter=charter) for party in parties)
        return new, spare

    def lodges(self, world: World, who: str, size: int) -> State:
        depositor = world.charter.depositor(who)
        packs = [world.pack(size), world.pack(2000, PackKindName.MANIFEST)]
        record = world.record(
            packs, depositor=who, charter=StatementHash(world.charter.statement_hash)
        )
        data = world.signed(record)
        submit(self.mission, data)
        for pack in packs:
            upload(self.mission, pack, depositor.identity)
        return state_of(self.mission, record.statement_hash).state


def test_a_flood_evicts_nothing_and_ends_at_its_own_limits() -> None:
    theft = Theft()
    theft.flood()
    assert theft.refusals == {"quota"}
    status = theft.mission.status()
    limit = TOTAL + DAILY + QUOTAS.staging
    assert status.shard_bytes <= limit + 100 * KIB
    after = theft.objects()
    assert {key: after[key] for key in theft.before} == theft.before, "the old is there, unchanged"
    for pack in theft.packs:
        assert theft.mission.store.get(shard_key(pack.shards[SEAT].root))  # type: ignore[arg-type]
    assert state_of(theft.mission, theft.old.statement_hash).state is State.LODGED


def test_after_the_flood_new_keys_find_their_whole_quota() -> None:
    theft = Theft()
    theft.flood()
    with pytest.raises(VaultRefused) as caught:
        theft._deposit(theft.old, theft.now.time)
    assert caught.value.cause in {"quota", "conflict"}
    home, _ = theft.recover()
    assert theft.lodges(home, "home", 400 * KIB) is State.LODGED


def test_control_without_a_declared_compromise_the_thief_has_used_it_up() -> None:
    theft = Theft()
    theft.flood()
    home, _ = theft.recover()
    theft.mission.keeping = Keeping
    with pytest.raises(VaultRefused, match="in all"):
        theft.lodges(home, "home", 400 * KIB)


def test_the_reserve_is_there_in_quota_and_on_the_disk() -> None:
    theft = Theft(capacity=1800 * KIB)
    theft.flood()
    assert theft.store.free_bytes() >= QUOTAS.reserve - LOG, "filled beyond what is kept"
    _, reserve = theft.recover()
    assert theft.lodges(reserve, "reserve", 400 * KIB) is State.LODGED


def test_a_small_disk_refuses_the_flood_and_takes_the_reserve() -> None:
    theft = Theft(capacity=900 * KIB)
    theft.flood()
    assert "no-space" in theft.refusals
    assert theft.store.free_bytes() >= QUOTAS.reserve - LOG
    home, reserve = theft.recover()
    with pytest.raises(VaultRefused) as caught:
        theft.lodges(home, "home", 200 * KIB)
    assert caught.value.cause == "no-space"
    assert theft.lodges(reserve, "reserve", 400 * KIB) is State.LODGED


def test_released_or_not_what_was_newest_before_the_theft_stays() -> None:
    theft = Theft()
    theft.flood()
    theft.recover()
    compromised = theft.mission.keeping().compromised
    released = {pack.root: StatementHash(bytes(32)) for pack in theft.packs}
    keeping = Keeping(released=released, compromised=compromised)
    theft.mission.keeping = lambda: keeping
    theft.now.time += timedelta(days=3650)
    theft.mission.service._now += int(timedelta(days=3650).total_seconds() * 1000)
    sweep(theft.mission)
    after = theft.objects()
    assert {key: after.get(key) for key in theft.before} == theft.before


def test_staging_of_one_is_never_taken_by_another() -> None:
    theft = Theft()
    theft.flood()
    home, reserve = theft.recover()
    for world, who in ((home, "home"), (reserve, "reserve")):
        upload(theft.mission, world.pack(150 * KIB), world.charter.depositor(who).identity)
    with pytest.raises(VaultRefused):
        upload(theft.mission, theft.world.pack(60 * KIB), theft.home.identity)
