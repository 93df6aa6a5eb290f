"""P8: clocks that are ten years off let nothing expire and open nothing early.

The attacker's powers: he sets the machine's wall clock as he likes, while the vault runs and
across its restarts; its monotonic clock may begin anywhere after a restart; a witness lies with
him; he has had a release of every old pack signed, so that nothing but time keeps them. He does not
change the program or what is on the disk: a host who does destroys its own copy, which no software
prevents.

The clocks of a mission are set in this process, and those of the real vault process by a preloaded
library (wall clock) and a time namespace (monotonic clock). Positive control: when the time has
truly passed, all the same is swept and opened.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exclave.authority.alarm import parse_alarm
from exclave.authority.envelope import parse_envelope
from exclave.clock import format_time, now, parse_time
from exclave.engine.file import FileEngine
from exclave.ledger.entry import EntryType
from exclave.vault.interface import State
from exclave.vault.kept.storage import shard_key
from exclave.vault.line.identity import new_identity, save_identity
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.vault.mission.sweeper import sweep
from tests.support.keeping import RETENTION, Hands, Kept, put
from tests.support.serving import SEAT, open_mission, passed
from tests.support.vault_process import CHILD, child_environment
from tests.support.vault_world import START, Pack, World, new_world

YEARS = timedelta(days=3650)
SHIM = Path(__file__).parents[1] / "support" / "moved_clock.c"


def alarm_causes(mission: Mission) -> set[str]:
    found = [entry for _, entry in mission.log.entries() if entry.type is EntryType.ALARM]
    return {parse_alarm(parse_envelope(mission.log.body(e.hash))).cause.value for e in found}


# In this process


@pytest.mark.parametrize("moved", [YEARS, -YEARS])
@pytest.mark.parametrize("liars", [0, 1])
def test_a_moved_wall_clock_expires_nothing_and_opens_nothing(moved: timedelta, liars: int) -> None:
    world = new_world(read_delay=3600)
    kept = Kept.new(world=world)
    staged = world.pack()
    put(kept.mission, staged)
    kept.release(*kept.packs[0])
    reader = new_identity("reader", START)
    late = START + 2 * YEARS
    assert submit(kept.mission, world.warrant(reader, expires=late)).state is State.WAITING
    honest = Hands(kept.now.time)
    before = sorted(kept.store.keys("shards/"))
    reached = kept.mission.expiry.now()
    for restart in range(3):
        kept.now.time = honest.time + moved
        mission = open_mission(
            world,
            kept.store,
            now=kept.now,
            witnesses=lambda: {
                f"fellow {n}": kept.now() if n < liars else honest() for n in range(2)
            },
        ) if restart else kept.mission  # fmt: skip
        mission.keeping, kept.mission = kept.mission.keeping, mission
        mission.watch()
        sweep(mission)
        assert sorted(kept.store.keys("shards/")) == before
        assert mission.expiry.now() - reached < timedelta(minutes=5)
        assert mission.expiry.now() >= reached, "nor does it go back"
        assert [item.state for item in mission.status().warrants] == [State.WAITING]
        assert mission.released(reader.certificate) == []
        mission.keep()
    assert "wall-clock-jump" in alarm_causes(kept.mission)


def test_a_record_lodged_while_the_clock_was_set_back_is_kept_as_long() -> None:
    kept = Kept.new()
    kept.now.time -= YEARS
    own = kept.world.pack()
    record = kept.world.record(
        [own], previous=kept.records[1], live=[p.root for p in kept.packs[1]],
        manifest_packs=kept.records[1].manifest_packs,
    )  # fmt: skip
    put(kept.mission, own)
    assert submit(kept.mission, kept.world.signed(record)).state is State.LODGED
    kept.now.time += YEARS
    until = kept.mission.index.retain_until(own.root)
    assert until is not None
    assert until >= int((kept.mission.expiry.now() + RETENTION).timestamp())


def test_without_witnesses_time_stands_still() -> None:
    kept = Kept.new()
    kept.release(*kept.packs[0])
    kept.mission.keep()
    lone = open_mission(kept.world, kept.store, now=kept.now)
    lone.keeping = kept.mission.keeping
    before, reached = sorted(kept.store.keys("shards/")), lone.expiry.now()
    kept.now.time += YEARS
    passed(lone, YEARS)
    sweep(lone)
    assert (sorted(kept.store.keys("shards/")), lone.expiry.now()) == (before, reached)
    lone.watch()
    assert "witness-quorum-lost" in alarm_causes(lone)


def test_control_time_that_has_truly_passed_counts() -> None:
    kept = Kept.new()
    staged = kept.world.pack()
    put(kept.mission, staged)
    kept.release(*kept.packs[0])
    kept.later(timedelta(days=90))
    sweep(kept.mission)
    assert not kept.has(kept.packs[0][0])
    assert not kept.has(staged)


# The real process


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc: no C compiler to build the clock that is preloaded")
    made = tmp_path_factory.mktemp("shim") / "moved_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(made), str(SHIM), "-ldl"], check=True)
    return made


@dataclass(kw_only=True)
class Process:
    """A vault's folder and how its process is started."""

    folder: Path
    world: World
    order: Path
    offset: Path
    witnesses: Path
    environment: dict[str, str]
    packs: list[Pack]

    @property
    def place(self) -> Path:
        return self.folder / "missions" / self.world.mission.hex()

    def mission(self) -> Mission:
        store = FileEngine(self.place, self.folder / "tmp")
        return open_mission(self.world, store, index=str(self.place / "state.db"))

    def witness(self, moment: datetime) -> None:
        times = {f"fellow {number}": format_time(moment) for number in range(2)}
        draft = self.witnesses.with_suffix(".new")
        draft.write_text(json.dumps(times))
        draft.replace(self.witnesses)

    @contextmanager
    def running(self, moved: timedelta, prefix: Sequence[str] = ()) -> Iterator[None]:
        """Run it with its wall clock moved from the start; it ends in order."""
        self.move(moved)
        self.witness(datetime.now(UTC))
        process = subprocess.Popen(
            [*prefix, sys.executable, str(CHILD), str(self.order)],
            stdout=subprocess.PIPE,
            env=self.environment,
        )
        try:
            assert process.stdout is not None
            assert b"ready" in process.stdout.readline()
            yield
        finally:
            process.terminate()
            assert process.wait(60) in (0, -15)

    def move(self, moved: timedelta) -> None:
        draft = self.offset.with_suffix(".new")
        draft.write_text(str(int(moved.total_seconds())))
        draft.replace(self.offset)


@pytest.fixture
def process(tmp_path: Path, shim: Path) -> Process:
    """Two lodged deposits, a released pack of the first, a staged shard, a waiting warrant."""
    world = new_world(read_delay=3600)
    folder = tmp_path / "vault"
    made = Process(
        folder=folder, world=world, order=tmp_path / "order.json",
        offset=tmp_path / "offset", witnesses=tmp_path / "witnesses", packs=[],
        environment=child_environment()
        | {"LD_PRELOAD": str(shim), "MOVED_CLOCK": str(tmp_path / "offset")},
    )  # fmt: skip
    made.place.mkdir(parents=True)
    (folder / "tmp").mkdir()
    party = world.vaults[SEAT]
    save_identity(party.identity, tmp_path / "identity.pem")
    with closing(made.mission()) as mission:
        record, packs = world.deposit()
        more = world.pack()
        for pack in (*packs, more, world.pack()):
            put(mission, pack)
        submit(mission, world.signed(record))
        second = world.record([more], previous=record, live=[packs[1].root],
                              dropped=[packs[0].root], manifest_packs=(packs[1].root,),
                              secrets_dropped=())  # fmt: skip
        assert submit(mission, world.signed(second)).state is State.LODGED
        late = START + 2 * YEARS
        warrant = world.warrant(new_identity("reader", START), expires=late)
        assert submit(mission, warrant).state is State.WAITING
    made.packs = packs
    fields = {
        "folder": str(folder), "place": str(made.place), "mission": world.mission.hex(),
        "seat": str(SEAT), "log": party.log.private.private_bytes_raw().hex(),
        "seat_seed": party.seat_private.seed.hex(), "identity": str(tmp_path / "identity.pem"),
        "charter": world.envelope.to_bytes().decode(), "housekeeping": "0.2",
        "cosign_ed": party.cosigning[0].private.private_bytes_raw().hex(),
        "cosign_pq": party.cosigning[1].private_bytes_raw().hex(),
        "witnesses": str(made.witnesses), "release": packs[0].root.hex(),
    }  # fmt: skip
    made.order.write_text(json.dumps(fields))
    return made


def shards(process: Process) -> dict[str, bytes]:
    folder = process.place / "shards"
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def nothing_moved(process: Process, before: dict[str, bytes]) -> None:
    assert shards(process) == before
    kept = parse_time((process.place / "meta" / "expiry").read_text().strip())
    assert kept <= now() + timedelta(seconds=1)
    with closing(process.mission()) as mission:
        assert not [e for _, e in mission.log.entries() if e.type is EntryType.SWEPT]
        (warrant,) = mission.status().warrants
        assert warrant.state is State.WAITING
        assert warrant.seconds is not None
        assert warrant.seconds > 3000


@pytest.mark.parametrize("moved", [YEARS, -YEARS])
def test_the_real_process_with_its_wall_clock_moved(process: Process, moved: timedelta) -> None:
    before = shards(process)
    with process.running(timedelta()):
        time.sleep(1)
        process.move(moved)  # while it runs
        time.sleep(1.5)
    with process.running(moved):  # and across a restart
        time.sleep(1.5)
    nothing_moved(process, before)
    with closing(process.mission()) as mission:
        assert "wall-clock-jump" in alarm_causes(mission)


def test_the_real_process_with_its_monotonic_clock_moved(process: Process) -> None:
    years = str(int(YEARS.total_seconds()))
    prefix = ["unshare", "-r", "-T", "--monotonic", years, "--boottime", years]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("unshare --time: this kernel or container gives no time namespace")
    before = shards(process)
    for moved in (timedelta(), YEARS):
        with process.running(moved, prefix):
            time.sleep(1)
    nothing_moved(process, before)


def test_control_the_preloaded_clock_moves_what_the_process_sees(process: Process) -> None:
    process.move(YEARS)
    text = "import datetime, time; print(datetime.datetime.now().year, time.time())"
    seen = subprocess.run(
        [sys.executable, "-c", text], env=process.environment, capture_output=True, check=True
    ).stdout.split()
    assert int(seen[0]) >= now().year + 9
    assert float(seen[1]) > time.time() + YEARS.total_seconds() - 60


def test_control_a_release_whose_time_has_passed_is_carried_out(process: Process) -> None:
    """The same process, with a folder that says that the vault has served ten years."""
    service = process.place / "meta" / "service"
    service.chmod(0o600)
    service.write_text(f"{int(YEARS.total_seconds() * 1000)}\n")
    os.utime(service)
    before = shards(process)
    process.move(YEARS)
    with process.running(YEARS):
        process.witness(datetime.now(UTC) + YEARS)
        time.sleep(1.5)
    gone = before.keys() - shards(process).keys()
    assert str(process.place / shard_key(process.packs[0].shards[SEAT].root)) in gone
