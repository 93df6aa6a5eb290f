"""Each write of a vault's errands fails, in each way; or succeeds, and stores other bytes.

The errands are those that `tests/attacks/test_p12_errands.py` interrupts: cosigned rounds, a
witness's state, a release and its sweep, orders and their mirroring, the next charter, a lodged
deposit, an alarm, a lockdown. Whatever failed, they are done again (some after a power cut) and
end as if nothing had happened. What an engine stored otherwise than it was told is named: it stops
the vault, or `fsck` finds it.
"""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from exclave.engine.memory import Fault, MemoryEngine
from exclave.errors import ExclaveError, IntegrityError, StorageError
from exclave.ledger.checkpoint import Checkpoint, log_verifier, open_checkpoint
from exclave.vault.interface import State
from exclave.vault.kept.fsck import FsckReport, check_objects
from exclave.vault.mission.mission import Mission
from tests.support.errand_process import KINDS, make_order, prepared
from tests.support.errands import errands, open_vault
from tests.support.serving import SEAT
from tests.support.vault_world import new_world

FAULTS = (Fault.LOST, Fault.PERSISTED, Fault.UNSYNCED, Fault.NO_SPACE)
WORLD = new_world()
BEFORE = MemoryEngine()
KEPT, _ = prepared(BEFORE, WORLD)
KEPT.mission.close()
ORDER, _ = make_order(KEPT)


class Noting(MemoryEngine):
    """Remembers which key each write was for."""

    def __init__(self, faults: dict[int, Fault] | None = None) -> None:
        super().__init__(faults=faults)
        self.written: list[str] = []

    def _store(self, key: object, data: bytes) -> None:
        self.written.append(str(key))
        super()._store(key, data)  # type: ignore[arg-type]

    def sweep(self, key: object) -> bool:
        self.written.append(str(key))
        return super().sweep(key)  # type: ignore[arg-type]


def engine_with(faults: dict[int, Fault] | None = None) -> Noting:
    """What was there before the errands."""
    engine = Noting(faults)
    for key in BEFORE.keys(""):
        engine.spoil(key, BEFORE.get(key))
    return engine


def start(engine: MemoryEngine) -> Mission:
    try:
        return open_vault(ORDER, engine, ":memory:")
    except StorageError:
        return open_vault(ORDER, engine, ":memory:")


def newest(mission: Mission) -> Checkpoint:
    return open_checkpoint(
        mission.log.note, log_verifier(WORLD.mission, SEAT, mission.keys.log_public)
    )


def run(engine: MemoryEngine, *, power_cut: bool) -> Mission:
    """All errands, what fails twice."""
    mission = start(engine)
    before = newest(mission)
    for _, errand in errands(ORDER):
        try:
            errand(mission)
        except StorageError:
            if power_cut:
                engine.crash()
                mission = start(engine)
            errand(mission)
        now = newest(mission)
        assert now.size >= before.size, "the log shrank"
        before = now
    return mission


def fsck(engine: MemoryEngine) -> FsckReport:
    public = WORLD.vaults[SEAT].log.public.raw
    return check_objects(engine, mission=WORLD.mission, seat=SEAT, log_public=public)


def written_by_all() -> list[str]:
    engine = engine_with()
    run(engine, power_cut=False)
    assert len(engine.written) == engine.writes
    return engine.written


WRITTEN = written_by_all()
COUNT = len(WRITTEN)


def test_the_errands_write_often_enough_to_mean_something() -> None:
    assert COUNT >= 75
    assert {"log/cosigned", "meta/witness-1", "meta/witness-2", "meta/staged"} <= {*WRITTEN}
    assert sum(key.startswith("shards/") for key in WRITTEN) >= 5, "put and swept"


def cases(*, every: bool) -> list[tuple[int, Fault, bool]]:
    """Each write with each fault, with and without a power cut; or each write with one of these."""
    all_cases = itertools.product(range(1, COUNT + 1), FAULTS, (False, True))
    return [case for n, case in enumerate(all_cases) if every or n % 8 == case[0] * 3 % 8]


def check_end(engine: MemoryEngine, mission: Mission) -> None:
    kinds = Counter(entry.type.value for _, entry in mission.log.entries())
    assert (kinds.pop("witnessed") >= 1, kinds.pop("swept") >= 2) == (True, True)
    assert kinds == KINDS
    assert engine.conflicts == []
    assert [record.state for record in mission.status().records] == [State.LODGED] * 3
    assert mission.standing().locked
    report = fsck(engine)
    assert (report.bad, report.swept) == ((), 3)
    rows = mission.index.dump()
    mission.rebuild()
    assert mission.index.dump() == rows


@pytest.mark.parametrize(("number", "fault", "power_cut"), cases(every=False))
def test_a_failed_write_loses_and_forges_nothing(
    number: int, fault: Fault, power_cut: bool
) -> None:
    engine = engine_with({number: fault})
    mission = run(engine, power_cut=power_cut)
    engine.crash()
    check_end(engine, open_vault(ORDER, engine, ":memory:"))
    mission.close()


@pytest.mark.soak
@pytest.mark.parametrize(("number", "fault", "power_cut"), cases(every=True))
def test_any_failed_write_loses_and_forges_nothing(
    number: int, fault: Fault, power_cut: bool
) -> None:
    test_a_failed_write_loses_and_forges_nothing(number, fault, power_cut)


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_other_bytes_than_written_are_named(number: int) -> None:
    engine = engine_with({number: Fault.OTHER_BYTES})
    stopped = None
    try:
        mission = start(engine)
        for _, errand in errands(ORDER):
            errand(mission)
            # What was struck is not written over before anybody could look.
            if engine.writes >= number:
                break
    except ExclaveError as error:
        stopped = error
    written, after = engine.written[number - 1], engine.written[number:]
    if stopped is not None:
        assert isinstance(stopped, IntegrityError | StorageError)
    else:
        assert fsck(engine).bad or replaced(written, after) or swept(engine, written), written


def replaced(key: str, after: list[str]) -> bool:
    """Written over, or a partial tile of a size that is past: nothing leads to it any more."""
    partial = key.startswith("log/tile/") and ".p/" in key
    same = key.rpartition("/")[0] if partial else key
    return any(later == key or (partial and later.rpartition("/")[0] == same) for later in after)


def swept(engine: MemoryEngine, key: str) -> bool:
    """A removed shard has no bytes."""
    return key.startswith("shards/") and key not in {str(item) for item in engine.keys("")}
