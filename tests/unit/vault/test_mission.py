"""Index against objects, service time, refusals: the mission without a line."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from exclave.engine.memory import MemoryEngine
from exclave.vault.identity import new_identity
from exclave.vault.intake import Intake
from exclave.vault.interface import State
from exclave.vault.mission import Mission
from exclave.vault.refusals import MAX_LINES, Refusals
from exclave.vault.service_clock import ServiceClock
from exclave.vault.storage import store_object
from exclave.vault.submission import submit
from tests.support.serving import SEAT, open_mission
from tests.support.vault_world import START, Pack, World, new_world


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
    assert all(before[name] for name in ("records", "named", "packs", "shards", "warrants"))
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
