"""Each write of a vault fails, in each way, times what must hold afterwards.

The script is one deposit (shards, record), a warrant and an orderly end. Before each run one
write of the engine is told to fail; the caller repeats what failed once, or the power is cut
and the vault starts again before it is repeated. Then everything must be as if nothing had
happened: nothing acknowledged is lost, nothing incomplete is lodged, the log only grew, every
entry's body is there, and no write-once object was ever changed.
"""

from __future__ import annotations

import itertools

import pytest

from exclave.engine.memory import Fault, MemoryEngine
from exclave.errors import StorageError
from exclave.ledger.checkpoint import Checkpoint, log_verifier, open_checkpoint
from exclave.ledger.tiles import TileReader
from exclave.merkle import tree_root
from exclave.vault.interface import State
from exclave.vault.kept.fsck import check_objects
from exclave.vault.kept.storage import CHECKPOINT, read_optional
from exclave.vault.line.identity import new_identity
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import state_of, submit
from tests.support.serving import SEAT, open_mission
from tests.support.vault_world import START, Pack, new_world

WORLD = new_world()
RECORD, PACKS = WORLD.deposit(6000)
STATEMENT = WORLD.signed(RECORD)
WARRANT = WORLD.warrant(new_identity("reader", START))
FAULTS = (Fault.LOST, Fault.PERSISTED, Fault.UNSYNCED, Fault.NO_SPACE)


def put(mission: Mission, pack: Pack) -> None:
    shard = pack.shards[SEAT]
    intake = Intake(mission, shard.root, sealed=False)
    try:
        intake.feed([shard.encode()])
        intake.finish()
    finally:
        intake.abort()


STEPS = (
    lambda mission: put(mission, PACKS[0]),
    lambda mission: submit(mission, STATEMENT),
    lambda mission: put(mission, PACKS[1]),
    lambda mission: submit(mission, WARRANT),
)


class Published:
    """Every checkpoint that anybody could have seen: the later must contain the earlier."""

    def __init__(self) -> None:
        self.newest: Checkpoint | None = None

    def look(self, mission: Mission) -> None:
        key = WORLD.vaults[SEAT].log.public.raw
        if not mission.log.note:
            return
        now = open_checkpoint(mission.log.note, log_verifier(WORLD.mission, SEAT, key))
        if self.newest is not None:
            assert now.size >= self.newest.size, "the log shrank"
            reader = TileReader(now.size, lambda path: read_optional(mission.store, f"log/{path}"))
            leaves = [reader.leaf(number) for number in range(self.newest.size)]
            assert tree_root(leaves) == self.newest.root, "the log was rewritten"
        self.newest = now


def start(engine: MemoryEngine) -> Mission:
    try:
        return open_mission(WORLD, engine)
    except StorageError:
        return open_mission(WORLD, engine)


def run_script(engine: MemoryEngine, *, power_cut: bool) -> Mission:
    published = Published()
    mission = start(engine)
    published.look(mission)
    for step in STEPS:
        try:
            step(mission)
        except StorageError:
            published.look(mission)
            if power_cut:
                engine.crash()
                mission = start(engine)
                published.look(mission)
            step(mission)
        published.look(mission)
    return mission


def writes_of_the_script() -> int:
    engine = MemoryEngine()
    run_script(engine, power_cut=False)
    return engine.writes


COUNT = writes_of_the_script()


def test_the_script_writes_often_enough_to_mean_something() -> None:
    assert COUNT >= 17


@pytest.mark.parametrize("power_cut", [False, True])
@pytest.mark.parametrize(("number", "fault"), [*itertools.product(range(1, COUNT + 1), FAULTS)])
def test_a_failed_write_loses_and_forges_nothing(
    number: int, fault: Fault, power_cut: bool
) -> None:
    engine = MemoryEngine(faults={number: fault})
    mission = run_script(engine, power_cut=power_cut)
    check_end(engine, mission)


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_a_power_cut_after_any_write_loses_nothing_acknowledged(number: int) -> None:
    engine = MemoryEngine(faults={number: Fault.PERSISTED})
    mission = run_script(engine, power_cut=True)
    engine.crash()
    check_end(engine, open_mission(WORLD, engine))
    assert mission.log.size == open_mission(WORLD, engine).log.size


def check_end(engine: MemoryEngine, mission: Mission) -> None:
    assert engine.conflicts == []
    assert state_of(mission, RECORD.statement_hash).state is State.LODGED
    assert [w.state for w in mission.status().warrants] == [State.RELEASED]
    kinds = [entry.type.value for _, entry in mission.log.entries()]
    assert kinds == ["charter", "record", "lodged", "warrant"], "logged once each, in order"
    report = check_objects(
        engine, mission=WORLD.mission, seat=SEAT, log_public=WORLD.vaults[SEAT].log.public.raw
    )
    assert report.bad == ()
    rows = mission.index.dump()
    mission.rebuild()
    assert mission.index.dump() == rows
    assert engine.get(CHECKPOINT) == mission.log.note
