"""Index against objects, service time, refusals: the mission without a line."""

import base64
import contextlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from exclave.authority.charter import Charter, charter_payload
from exclave.authority.charter_parts import RoleName
from exclave.authority.charter_settings import Quotas
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.record import DepositRecord, PackKindName, record_payload
from exclave.engine.memory import MemoryEngine
from exclave.errors import StorageError
from exclave.ids import StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.interface import State, VaultRefused
from exclave.vault.kept.index import Index
from exclave.vault.kept.log import Addition
from exclave.vault.kept.refusals import MAX_LINES, Refusals
from exclave.vault.kept.service_clock import ServiceClock
from exclave.vault.kept.storage import store_object
from exclave.vault.line.identity import new_identity
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.serving import SEAT, open_mission
from tests.support.vault_world import START, Pack, World, new_depositor, new_world, next_charter


def put(mission: Mission, pack: Pack) -> None:
    shard = pack.shards[SEAT]
    intake = Intake(mission, shard.root, sealed=False)
    intake.feed([shard.encode()])
    assert intake.finish()


def fill(world: World, mission: Mission) -> None:
    """Lodged, pending, forked and staged things, warrants whole and half."""
    first, packs = world.deposit()
    for pack in packs:
        put(mission, pack)
    assert submit(mission, world.signed(first)).state is State.LODGED
    more = world.pack()
    second = world.record(
        [more], previous=first, live=[p.root for p in packs], manifest_packs=first.manifest_packs
    )
    assert submit(mission, world.signed(second)).state is State.PENDING
    fork, _ = world.deposit()
    assert submit(mission, world.signed(fork)).state is State.FORKED
    put(mission, world.pack())
    reader = new_identity("reader", START)
    submit(mission, world.warrant(reader, [first.deposit]))
    submit(mission, world.warrant(reader, people=(0,)))
    put(mission, more)
    assert mission.index.record(second.statement_hash).state is State.LODGED  # type: ignore[union-attr]


def test_an_index_built_again_has_the_same_rows(tmp_path: Path) -> None:
    world, store = new_world(), MemoryEngine()
    mission = open_mission(world, store, index=str(tmp_path / "state.db"))
    fill(world, mission)
    before = mission.index.dump()
    assert all(before[name] for name in ("records", "named", "packs", "shards", "entries"))
    mission.rebuild()
    assert mission.index.dump() == before
    mission.close()
    fresh = open_mission(world, store)  # no state.db at all
    assert fresh.index.dump() == before
    again = open_mission(world, store, index=str(tmp_path / "state.db"))  # closed in order
    assert again.index.dump() == before


def test_an_index_of_an_unclean_stop_is_built_again(tmp_path: Path) -> None:
    world, store = new_world(), MemoryEngine()
    path = str(tmp_path / "state.db")
    mission = open_mission(world, store, index=path)
    shard = world.pack().shards[SEAT]
    mission.index.close()  # killed: a shard came to be after the last row was written
    store_object(store, f"shards/{shard.root.hex()[:2]}/{shard.root.hex()}", shard.encode())
    assert open_mission(world, store, index=path).index.has_shard(shard.root)


def test_what_cannot_be_folded_is_never_logged() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    size, before = mission.log.size, mission.index.dump()
    orphan = Addition(type=EntryType.LODGED, statement=StatementHash(bytes(32)), body=b"x")
    with pytest.raises(VaultRefused, match="lodged"):
        mission.append([orphan])
    assert (mission.log.size, mission.index.dump()) == (size, before)
    record, _ = world.deposit()
    assert submit(mission, world.signed(record)).state is State.PENDING


def test_a_logged_entry_that_cannot_be_folded_is_put_aside_and_named(tmp_path: Path) -> None:
    world, store = new_world(), MemoryEngine()
    path = str(tmp_path / "state.db")
    mission = open_mission(world, store, index=path)
    record, _ = world.deposit()
    one, two = record.packs_added
    # Two packs with one shard root: what an older release logged and then stumbled over for ever.
    text = world.signed(record)
    payload = base64.b64decode(json.loads(text)["payload"])
    twice = payload.replace(two.shards[0][1].hex().encode(), one.shards[0][1].hex().encode())
    envelope = Envelope(payload=twice, kind=Kind.RECORD)
    addition = Addition(
        type=EntryType.RECORD, statement=envelope.statement_hash, body=envelope.to_bytes()
    )
    mission.log.append([addition], clock=mission.clock, service=mission.service.now)
    assert submit(mission, text).state is State.PENDING
    (aside,) = mission.status().quarantined
    assert aside.entry == 1
    assert "again" in aside.why
    for opened in (open_mission(world, store), open_mission(world, store, index=path)):
        assert opened.status().quarantined == (aside,)
        assert opened.index.dump() == mission.index.dump()
    mission.close()
    assert open_mission(world, store, index=path).status().quarantined == (aside,)


def test_a_record_with_a_shard_root_twice_is_refused_and_harms_nobody() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    record, packs = world.deposit()
    one, two = record.packs_added
    payload = record_payload(record).replace(
        two.shards[0][1].hex().encode(), one.shards[0][1].hex().encode()
    )
    bad = world.depositor.sign(Envelope(payload=payload, kind=Kind.RECORD)).to_bytes()
    with pytest.raises(VaultRefused) as caught:
        submit(mission, bad)
    assert caught.value.cause == "conflict"
    assert mission.log.size == 1
    for pack in packs:
        put(mission, pack)
    assert submit(mission, world.signed(record)).state is State.LODGED


def rekeyed(world: World) -> tuple[World, Charter, bytes]:
    """The world of charter 2, where the depositor keeps its id and has other keys."""
    party = new_depositor()
    depositor = replace(
        world.charter.depositors[0], keys=party.public, identity=party.identity.certificate
    )
    charter, data = next_charter(world, depositors=(depositor,))
    return replace(world, depositor=party), charter, data


def test_a_revoked_key_lodges_nothing_and_stands_in_nobodys_way() -> None:
    world = new_world(daily=400_000, total=400_000)
    mission = open_mission(world, MemoryEngine())
    later, charter, data = rekeyed(world)
    submit(mission, data)
    old, packs = world.deposit(300_000)
    assert submit(mission, world.signed(old)).state is State.PENDING  # mirrored all the same
    for pack in packs:
        put(mission, pack)
    submit(mission, world.signed(old))
    (listed,) = mission.status().records
    assert listed.state is State.PENDING
    assert "seat" in str(listed.reason)
    # The same place and most of the same quota: neither fork nor debt of the new key.
    record, packs = later.deposit(300_000)
    record = replace(record, charter=charter.statement_hash)
    for pack in packs:
        put(mission, pack)
    assert submit(mission, later.signed(record)).state is State.LODGED
    assert mission.status().forks == ()
    before = mission.index.dump()
    mission.rebuild()
    assert mission.index.dump() == before


def test_what_was_pending_when_its_key_was_revoked_stays_pending() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    record, packs = world.deposit()
    submit(mission, world.signed(record))
    submit(mission, rekeyed(world)[2])
    for pack in packs:
        put(mission, pack)
    assert submit(mission, world.signed(record)).state is State.PENDING


def test_a_charter_that_waits_authorises_nothing() -> None:
    world = new_world()
    slow = {
        name: replace(role, delay=3600) if name is RoleName.GOVERN else role
        for name, role in world.charter.rosters
    }
    charter = replace(
        world.charter,
        rosters=tuple(slow.items()),
        delays=replace(world.charter.delays, exile_change=3600),
    )
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    world = replace(world, charter=charter, envelope=world.officials_sign(envelope, (0, 1)))
    mission = open_mission(world, MemoryEngine())
    later, waiting, data = rekeyed(world)
    submit(mission, data)
    record, _ = later.deposit()
    record = replace(record, charter=waiting.statement_hash)
    with pytest.raises(VaultRefused) as caught:
        submit(mission, later.signed(record))
    assert caught.value.cause == "charter-gap"
    record, packs = world.deposit()  # the key that is still in force
    for pack in packs:
        put(mission, pack)
    assert submit(mission, world.signed(record)).state is State.LODGED


def test_a_raised_quota_helps_a_record_that_was_refused_before() -> None:
    world = new_world(daily=1000, total=1000)
    mission = open_mission(world, MemoryEngine())
    data = world.signed(world.deposit()[0])
    with pytest.raises(VaultRefused, match="quota"):
        submit(mission, data)
    more = replace(world.charter.depositors[0], daily_bytes=2**30, total_bytes=2**30)
    submit(mission, next_charter(world, depositors=(more,))[1])
    assert submit(mission, data).state is State.PENDING


def without_seat(record: DepositRecord) -> DepositRecord:
    """The record as it would be had our seat not joined yet."""
    packs = tuple(replace(pack, shards=pack.shards[1:]) for pack in record.packs_added)
    return replace(record, packs_added=packs)


@pytest.mark.parametrize("known", [True, False])
def test_new_packs_of_a_full_record_are_held_to_the_charter(known: bool) -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    first, packs = world.deposit()
    for pack in packs:
        put(mission, pack)
    if known:
        assert submit(mission, world.signed(first)).state is State.LODGED
    new = [world.pack(), world.pack(5_000, PackKindName.MANIFEST)]
    full = world.record(new, previous=first, full=True)
    weak = tuple(replace(pack, k=1, shards=pack.shards[1:2]) for pack in full.packs_added)
    weakened = replace(full, packs_added=weak)
    if known:
        with pytest.raises(VaultRefused) as caught:
            submit(mission, world.signed(weakened))
        assert caught.value.cause == "conflict"
        return
    assert submit(mission, world.signed(weakened)).state is State.PENDING
    assert submit(mission, world.signed(first)).state is State.LODGED
    assert submit(mission, world.signed(weakened)).state is State.PENDING
    # What stands on it repeats its packs: that makes them no better.
    third = world.record([], previous=weakened, full=True)
    third = replace(
        third, packs_added=weak, manifest_packs=full.manifest_packs, set_root=full.set_root,
        secrets_added=full.secrets_added,
    )  # fmt: skip
    assert submit(mission, world.signed(third)).state is State.PENDING
    reasons = {row.statement: str(row.reason) for row in mission.status().records}
    assert "expected 2" in reasons[weakened.statement_hash]
    assert "a record before it" in reasons[third.statement_hash]


def test_a_seat_that_joined_later_lodges_what_names_it() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    first = without_seat(world.deposit()[0])
    assert submit(mission, world.signed(first)).state is State.PENDING
    assert "no shard for seat 1" in str(mission.status().records[0].reason)
    new = world.pack(5_000, PackKindName.MANIFEST)
    put(mission, new)
    live = [pack.root for pack in first.packs_added if pack.kind is PackKindName.DATA]
    second = world.record([new], previous=first, dropped=first.manifest_packs, live=live)
    # It holds its shard of all that names it; what was before it has none for it.
    assert submit(mission, world.signed(second)).state is State.LODGED
    before = mission.index.dump()
    mission.rebuild()
    assert mission.index.dump() == before


@pytest.mark.parametrize("named", [True, False])
def test_a_full_record_whose_packs_are_all_right_needs_nothing_before_it(named: bool) -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    packs = [world.pack(), world.pack(5_000, PackKindName.MANIFEST)]
    for pack in packs:
        put(mission, pack)
    full = world.record(packs, previous=world.deposit()[0], full=True)
    full = full if named else without_seat(full)
    state = submit(mission, world.signed(full)).state
    assert state is (State.LODGED if named else State.PENDING)


def test_a_full_record_that_adds_a_pack_without_this_seat_is_not_lodged_here() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    first, packs = world.deposit()
    for pack in packs:
        put(mission, pack)
    submit(mission, world.signed(first))
    new = world.record([world.pack(), world.pack(5_000, PackKindName.MANIFEST)], previous=first)
    full = without_seat(replace(new, full=True))
    assert submit(mission, world.signed(full)).state is State.PENDING
    assert "no shard for seat 1" in str(mission.status().records[1].reason)


def lying(world: World, packs: list[Pack], **changes: Any) -> DepositRecord:
    """A record that says something else of its packs than their shards do."""
    record = world.record(packs)
    return replace(record, packs_added=tuple(replace(p, **changes) for p in record.packs_added))


@pytest.mark.parametrize("first", ["shards", "record"])
def test_a_record_that_lies_about_its_packs_is_never_lodged(first: str) -> None:
    world = new_world(daily=20_000, total=20_000)
    mission = open_mission(world, MemoryEngine())
    packs = [world.pack(300_000), world.pack(5_000, PackKindName.MANIFEST)]
    record = lying(world, packs, length=1)
    if first == "record":
        assert submit(mission, world.signed(record)).state is State.PENDING
    for pack in packs:
        put(mission, pack)
    assert submit(mission, world.signed(record)).state is State.PENDING
    status = mission.status()
    assert "header" in str(status.records[0].reason)
    # Nobody was charged for them: they stay staged, and naming them again rightly costs all.
    assert status.staged_bytes == status.shard_bytes
    with pytest.raises(VaultRefused) as caught:
        submit(mission, world.signed(world.record(packs)))
    assert caught.value.cause == "quota"
    before = mission.index.dump()
    mission.rebuild()
    assert mission.index.dump() == before


def test_a_lying_record_opens_no_way_around_the_limit_of_staging() -> None:
    world = new_world(quotas=Quotas(reserve=0, staging=10_000, staging_days=1))
    mission = open_mission(world, MemoryEngine())
    packs = [world.pack(300_000), world.pack(5_000, PackKindName.MANIFEST)]
    submit(mission, world.signed(lying(world, packs, length=1)))
    shard = packs[0].shards[SEAT]
    mission.reserve_room(len(shard.encode()))
    intake = Intake(mission, shard.root, sealed=False)
    with pytest.raises(VaultRefused) as caught:
        intake.feed([shard.encode()])
    assert caught.value.cause == "quota"
    submit(mission, world.signed(world.record(packs)))  # one that says the truth
    intake = Intake(mission, shard.root, sealed=False)
    intake.feed([shard.encode()])
    assert intake.finish()


def test_an_index_of_another_layout_is_built_again(tmp_path: Path) -> None:
    world, store = new_world(), MemoryEngine()
    path = tmp_path / "state.db"
    mission = open_mission(world, store)
    fill(world, mission)
    with contextlib.closing(apsw.Connection(str(path))) as old:
        old.execute("CREATE TABLE named (root BLOB)")
        old.execute("CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER)")
        old.execute("INSERT INTO facts VALUES ('clean', 1), ('log_size', ?)", (mission.log.size,))
    assert open_mission(world, store, index=str(path)).index.dump() == mission.index.dump()


def test_errors_of_the_index_are_errors_of_storage(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="index"):
        Index(str(path))


def test_retention_only_rises() -> None:
    world, moment = new_world(), [START]
    mission = open_mission(world, MemoryEngine(), now=lambda: moment[0])
    first, packs = world.deposit()
    for pack in packs:
        put(mission, pack)
    submit(mission, world.signed(first))
    kept = mission.index.retain_until(packs[0].root)
    assert kept == int((START + timedelta(days=30)).timestamp())
    moment[0] = START - timedelta(days=300)  # a clock moved back shortens nothing
    manifest = world.pack(1000)
    second = world.record([manifest], previous=first, live=[p.root for p in packs],
                          manifest_packs=first.manifest_packs)  # fmt: skip
    put(mission, manifest)
    submit(mission, world.signed(second))
    assert mission.index.retain_until(packs[0].root) == kept


def test_service_time_never_goes_back_and_never_jumps() -> None:
    store, ticks = MemoryEngine(), [5_000]
    service = ServiceClock(store, "meta/service", floor=100, ticks=lambda: ticks[0])
    assert service.now() == 100
    ticks[0] = 5_700
    assert service.now() == 800
    ticks[0] = 0  # a monotonic clock that begins anew
    assert service.now() == 800
    service.keep()
    assert ServiceClock(store, "meta/service", floor=0, ticks=lambda: 9).now() == 800
    assert ServiceClock(store, "meta/service", floor=2_000, ticks=lambda: 9).now() == 2_000


def test_refusals_are_one_bounded_entry_an_hour() -> None:
    world, moment = new_world(), [START.replace(minute=0)]
    refusals = Refusals(world.mission, lambda: moment[0])
    for number in range(2 * MAX_LINES):
        refusals.count(f"{number:064x}", "identity")
    assert refusals.due() is None
    moment[0] += timedelta(hours=1)
    addition = refusals.due()
    assert addition is not None
    mission = open_mission(world, MemoryEngine())
    mission.append([addition])
    assert addition.body.count(b"aWRlbnRpdHki") <= MAX_LINES
    assert refusals.due() is None


def test_a_record_that_contradicts_its_ancestors_is_never_lodged() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    first, packs = world.deposit()
    more = world.pack()
    second = replace(
        world.record([more], previous=first, live=[p.root for p in packs],
                     manifest_packs=first.manifest_packs),
        set_root=bytes(32),
    )  # fmt: skip
    put(mission, more)
    assert submit(mission, world.signed(second)).state is State.PENDING  # not known to be wrong
    for pack in packs:
        put(mission, pack)
    assert submit(mission, world.signed(first)).state is State.LODGED
    assert submit(mission, world.signed(second)).state is State.PENDING
