"""P12: a bag that is being lodged into a running vault when either side dies is lodged or is not.

The attacker's powers: SIGKILL of the server before or after any single call that changes its disk,
or a power cut after any, with nothing kept that was not synced; or he ends whoever lodges, between
two items or in the middle of one. He chooses the moment. After each, everything acknowledged holds,
nothing is listed that is not whole, and lodging the same bag again, into the folder or through a
restarted server, completes it.

Positive control: without the fsyncs of its shards the same lodging would lose something.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exclave.bag.lodging import lodge_bag
from exclave.carried.inventory import ItemClass
from exclave.engine.memory import MemoryEngine
from exclave.errors import ExclaveError
from exclave.ids import ShardRoot
from exclave.vault.client.local_vault import LocalVault
from exclave.vault.interface import State
from exclave.vault.kept.storage import read_optional, shard_key
from exclave.vault.line.local_door import SOCKET
from tests.support.carried_deposit import BagInMemory, LodgingStage, carried
from tests.support.interrupting import require_tracing
from tests.support.powercut import power_cuts
from tests.support.serving import SEAT, Served, serving
from tests.support.systrace import Event, Kill, Point, TracingRefused, Warm
from tests.support.vault_process import CHILD, Acknowledged, child_environment
from tests.support.vault_world import new_world

POINTS = 200  # less means that the tracer or the vault lost sight of writes


@dataclass(frozen=True, kw_only=True)
class LodgingTrace:
    stage: LodgingStage  # as it is before the process starts
    points: list[Point]
    events: list[Event]
    acked: Acknowledged


@pytest.fixture(scope="module")
def lodging(tmp_path_factory: pytest.TempPathFactory) -> LodgingTrace:
    """A whole run of a real vault process that takes a bag."""
    folder = tmp_path_factory.mktemp("lodging")
    stage = LodgingStage.new(folder / "before")
    try:
        run, acked = stage.copy(folder / "whole").play(folder / "work")
    except TracingRefused as error:
        require_tracing(error)
        raise
    assert run.exit_code == 0
    return LodgingTrace(stage=stage, points=run.points, events=run.events, acked=acked)


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    made = Warm(CHILD, child_environment())
    yield made
    made.close()


def test_all_of_it_is_seen(lodging: LodgingTrace) -> None:
    assert lodging.acked.done
    assert len(lodging.acked.shards) == 3
    assert [state for _, _, state in lodging.acked.states][-2:] == [State.LODGED] * 2
    assert len(lodging.points) >= POINTS


def kill_at(lodging: LodgingTrace, warm: Warm, folder: Path, kills: Sequence[Kill]) -> None:
    for number, kill in enumerate(kills):
        stage = lodging.stage.copy(folder / str(number))
        run, acked = stage.play(folder / f"{number}-work", kill=kill, warm=warm)
        assert run.killed, f"never reached: {kill}"
        try:
            stage.check(acked)
            stage.complete()
        except (AssertionError, ExclaveError) as error:
            raise AssertionError(f"{kill}: {error!r}") from error


def test_a_server_killed_while_it_takes_a_bag(
    lodging: LodgingTrace, warm: Warm, tmp_path: Path
) -> None:
    """At the first of each kind of write of shards and of the log's head, and every 80th.

    What a vault writes for any shard and statement is killed at in `test_p12_interruption.py`.
    """
    firsts = {(p.call, p.kind): p for p in reversed(lodging.points)}
    kinds = [p for (_, kind), p in firsts.items() if kind.endswith(("shards/*/*", "checkpoint"))]
    kills = [Kill(point, "before") for point in kinds]
    kills += [Kill(point, "after") for point in lodging.points[40::80]]
    kill_at(lodging, warm, tmp_path, list(dict.fromkeys(kills)))
    assert len(kills) >= 5
    print(f"lodging: killed at {len(kills)} of {len(lodging.points)} points")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_server_killed_anywhere_while_it_takes_a_bag(
    lodging: LodgingTrace, warm: Warm, tmp_path: Path
) -> None:
    kills = [Kill(point, when) for point in lodging.points for when in ("before", "after")]
    kill_at(lodging, warm, tmp_path, kills)


def cut(
    lodging: LodgingTrace, events: Sequence[Event], folder: Path, wanted: set[int]
) -> Iterator[int]:
    for count, disk in power_cuts(lodging.stage.vault, events):
        for names in (False, True) if count in wanted else ():
            stage = lodging.stage.copy(
                folder / f"{count}-{names}", lambda at, n=names, d=disk: d.leave(at, names=n)
            )
            try:
                stage.check(lodging.acked.until(count))
                stage.complete()
            except (AssertionError, ExclaveError) as error:
                raise AssertionError(f"power cut after event {count}: {error!r}") from error
            yield count


def test_a_power_cut_while_it_takes_a_bag(lodging: LodgingTrace, tmp_path: Path) -> None:
    told = {count for count, *_ in (*lodging.acked.shards, *lodging.acked.states)}
    wanted = {*sorted(told)[::3], *range(0, len(lodging.events), 80), len(lodging.events)}
    assert len(list(cut(lodging, lodging.events, tmp_path, wanted))) == 2 * len(wanted)


def test_control_without_its_fsyncs_a_lodged_shard_would_be_lost(
    lodging: LodgingTrace, tmp_path: Path
) -> None:
    syncs = {"fsync", "fdatasync"}
    events = [e for e in lodging.events if e.call not in syncs or "/shards" not in e.path]
    assert len(events) < len(lodging.events)
    last = len(events)
    shards = [(min(n, last), root) for n, root in lodging.acked.shards]
    end = replace(lodging, acked=Acknowledged(shards=shards))
    with pytest.raises(AssertionError, match="power cut"):
        list(cut(end, events, tmp_path, {last}))


# Whoever lodges


class Killed(Exception):
    """Where the program that lodges ends."""


@dataclass(frozen=True, kw_only=True)
class CutShort(BagInMemory):
    """A bag of which only the first items are read."""

    most: int

    def items(self):  # type: ignore[no-untyped-def]
        for number, both in enumerate(super().items()):
            if number == self.most:
                raise Killed
            yield both


def half_a_shard(door: Path, served: Served, bag: BagInMemory, at: int) -> None:
    """Send the first half of a shard, then die."""
    item, data = bag.inventory.items[at], bag.datas[at]
    path = f"/v1/{served.world.mission.hex()}/carried-shards/home/{item.name}"
    head = f"PUT {path} HTTP/1.1\r\nHost: vault\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(door / SOCKET))
        line.sendall(head.encode() + data[: len(data) // 2])


async def stands(served: Served, bag: BagInMemory) -> dict[str, int]:
    """Shards that are stored whole, and records by state."""
    stored = [
        item.name
        for item in bag.inventory.of_class(ItemClass.SHARD)
        if read_optional(served.mission.store, shard_key(ShardRoot(bytes.fromhex(item.name))))
    ]
    records = served.mission.status().records
    return {"shards": len(stored)} | {r.state.value: 1 for r in records}


def test_whoever_lodges_may_die_at_any_item_and_within_it(tmp_path: Path) -> None:
    world = new_world()
    record, packs = world.deposit(size=300_000)
    bag = carried(world, [world.signed(record)], [pack.shards[SEAT] for pack in packs])
    shards = [n for n, i in enumerate(bag.inventory.items) if i.kind is ItemClass.SHARD]
    door = tmp_path / "d"
    door.mkdir()

    async def lodge(served: Served, what: BagInMemory):  # type: ignore[no-untyped-def]
        async with LocalVault(door, world.mission, SEAT) as vault:
            return await lodge_bag(what, vault)

    async def die_at(most: int) -> None:
        async with serving(world, MemoryEngine(), local=door) as served:
            short = CutShort(inventory=bag.inventory, datas=bag.datas, most=most)
            with pytest.raises(Killed):
                await lodge(served, short)
            if most in shards:
                await asyncio.to_thread(half_a_shard, door, served, bag, most)
            found = await stands(served, bag)
            assert found["shards"] == sum(at < most for at in shards)
            assert State.LODGED.value not in found
            lodged = await lodge(served, bag)
            assert (lodged.bad, lodged.findings) == (0, ())
            assert {state for _, state in lodged.records} == {State.LODGED}

    for most in range(len(bag.inventory.items)):
        asyncio.run(die_at(most))
