"""What a vault costs: `python -m bench vault`. Its own processor time, apart from its clients'.

Transfers go over mutual TLS on loopback to a vault process with an fsynced file engine, from 1, 3
and 30 depositors and to as many readers at once; a shard here has 8 MiB. What the log costs is
measured in this process, on the same engine: an append, a cosignature of another log, a lodged
deposit with 1,000 packs. Start-up and status are those of a mission whose index holds a million
shards, and of one that has to be indexed again from its objects (fewer, made for it).

Processor time is read from /proc in ticks of 10 ms; wall-clock times are not shown, since
clients and vault share the machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import apsw

from bench.measuring import cpu_seconds, temporary_place
from exclave.authority.record import PackKindName
from exclave.authority.witnesses import log_verifiers
from exclave.dispersal.shard import Shard, make_shards
from exclave.engine.file import FileEngine
from exclave.ids import Seat, ShardRoot
from exclave.ledger.entry import EntryType
from exclave.ledger.witness import AddCheckpoint
from exclave.vault.client.client import HttpVault
from exclave.vault.interface import State
from exclave.vault.kept.log import Addition
from exclave.vault.kept.storage import shard_key
from exclave.vault.line.identity import Identity
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.embassy import Embassy, files_register, found_embassy
from tests.support.serving import SEAT, open_mission
from tests.support.vault_world import World, new_world

__all__ = ["Figure", "main"]

T = TypeVar("T")

_CLIENTS: Final = (1, 3, 30)
_SHARDS: Final = 30
_SHARD: Final = 8 * 2**20
_APPENDS: Final = 200
_PACKS: Final = 1_000
_INDEXED: Final = 1_000_000
_SCANNED: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value."""

    what: str
    value: float
    unit: str


def main(arguments: Sequence[str] = ()) -> int:
    """Measure and print; takes no arguments."""
    if arguments:
        raise SystemExit(f"vault: expected no arguments, got {arguments[0]!r}")
    with temporary_place() as place:
        for figure in _measure(place):
            print(f"{figure.what:58} {figure.value:12,.2f} {figure.unit}", flush=True)
    return 0


def _measure(place: Path) -> Iterator[Figure]:
    with found_embassy(place / "embassy", n=1, k=1, processes=True) as embassy:
        embassy.stop_vault(1)
        with (embassy.vault_folder(1) / "vault.toml").open("a") as settings:
            settings.write("[limits]\nuploads_per_peer = 64\n")  # thirty depositors are one here
        embassy.start_vault(1)
        yield from _puts(embassy)
        yield from _gets(embassy, place)
    world = new_world()
    yield from _log(world, place / "log")
    yield from _lodging(world, place / "lodging")
    yield from _starting(world, place / "starting")
    yield from _scanning(world, place / "scanning")


# Transfers


def _puts(embassy: Embassy) -> Iterator[Figure]:
    for clients in _CLIENTS:
        shards = [_shard(embassy) for _ in range(_SHARDS)]

        async def put(line: HttpVault, shard: Shard) -> None:
            assert await line.put_shard(shard.root, [shard.prefix(), shard.body])

        spent = _spent(embassy, embassy.depositor_identity, clients, shards, put)
        yield Figure(
            what=f"PUT, {clients} depositors",
            value=sum(shard.size for shard in shards) / 1e6 / spent,
            unit="MB per CPU second",
        )


def _gets(embassy: Embassy, place: Path) -> Iterator[Figure]:
    source = place / "source"
    source.mkdir()
    for number in range(_SHARDS // 2):
        (source / str(number)).write_bytes(os.urandom(2 * _SHARD))
    embassy.add_register(files_register("bench", source))
    embassy.deposit()
    reading = embassy.authorise(place / "reading")
    roots = [pack.shard(Seat(1)) for pack in reading.live.packs.values()]
    for clients in _CLIENTS:
        sizes: list[int] = []

        async def get(line: HttpVault, root: ShardRoot, sizes: list[int] = sizes) -> None:
            sizes.append(len(await line.get_shard(root)))

        spent = _spent(embassy, reading.identity, clients, roots, get)
        yield Figure(
            what=f"GET, {clients} readers", value=sum(sizes) / 1e6 / spent, unit="MB per CPU second"
        )


def _spent(
    embassy: Embassy,
    identity: Identity,
    clients: int,
    work: Sequence[T],
    call: Callable[[HttpVault, T], Awaitable[None]],
) -> float:
    """Processor seconds of the vault for the work, shared out to so many clients."""
    process = embassy.vaults[Seat(1)].process
    assert process is not None
    lines = [embassy.client(1, identity) for _ in range(clients)]

    async def all_of_it() -> None:
        async def one(number: int) -> None:
            for item in work[number::clients]:
                await call(lines[number], item)

        await asyncio.gather(*(one(number) for number in range(clients)))

    before = cpu_seconds(process.pid)
    embassy.loop.run(all_of_it())
    return max(cpu_seconds(process.pid) - before, 0.01)


def _shard(embassy: Embassy) -> Shard:
    (shard,) = make_shards(
        os.urandom(_SHARD),
        mission=embassy.mission,
        veil=os.urandom(32),
        k=1,
        seats=[Seat(1)],
        random=os.urandom,
    )
    return shard


# The log


@contextmanager
def _mission(world: World, folder: Path, seat: Seat) -> Iterator[Mission]:
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    (folder / "mission").mkdir(exist_ok=True)
    engine = FileEngine(folder / "mission", folder / "tmp")
    mission = open_mission(world, engine, seat=seat, index=str(folder / "state.db"))
    try:
        yield mission
    finally:
        mission.close()


def _log(world: World, folder: Path) -> Iterator[Figure]:
    bodies = [os.urandom(2_000) for _ in range(_APPENDS)]
    with _mission(world, folder / "one", SEAT) as mission:
        with _mission(world, folder / "two", Seat(2)) as fellow:
            requests = [_appended(fellow, body) for body in bodies]
        begun = time.process_time()
        for body in bodies:
            _append(mission, body)
        yield _each("a log append", begun, len(bodies))
        logs = log_verifiers(mission.charter())
        begun = time.process_time()
        for request in requests:
            assert mission.witnessing.add_checkpoint(request, logs).lines
        yield _each("a cosignature of another log", begun, len(requests))


def _append(mission: Mission, body: bytes) -> None:
    with mission.lock:
        mission.append([Addition(type=EntryType.REFUSALS, statement=None, body=body)])


def _appended(fellow: Mission, body: bytes) -> bytes:
    """What asks a witness for its cosignature after one more entry."""
    old = fellow.log.size if fellow.log.size > 1 else 0
    _append(fellow, body)
    proof = fellow.log.consistency_proof(old, fellow.log.size)
    return AddCheckpoint(old=old, proof=proof, note=fellow.log.note).encode()


def _lodging(world: World, folder: Path) -> Iterator[Figure]:
    packs = [world.pack(20_000) for _ in range(_PACKS - 1)]
    packs.append(world.pack(5_000, PackKindName.MANIFEST))
    record = world.signed(world.record(packs))
    with _mission(world, folder, SEAT) as mission:
        begun = time.process_time()
        for pack in packs:
            shard = pack.shards[SEAT]
            intake = Intake(mission, shard.root, sealed=False)
            intake.feed([shard.encode()])
            assert intake.finish()
        yield _each("a small shard into the engine and the index", begun, len(packs))
        begun = time.process_time()
        assert submit(mission, record).state is State.LODGED
        yield _each(f"a record of {_PACKS:,} packs, lodged", begun, 1)


# Starting


def _starting(world: World, folder: Path) -> Iterator[Figure]:
    with _mission(world, folder, SEAT):
        pass
    database = apsw.Connection(str(folder / "state.db"))
    rows = (
        (hashlib.sha256(b"%d" % number).digest(), 4_224, bytes(32), 4_000, 1)
        for number in range(_INDEXED)
    )
    named = (
        (hashlib.sha256(b"%d" % number).digest(), bytes(32), bytes(32), 4_000, 1)
        for number in range(_INDEXED)
    )
    with database:
        database.executemany("INSERT INTO shards VALUES (?, ?, ?, ?, ?)", rows)
        database.executemany("INSERT INTO named VALUES (?, ?, ?, ?, ?)", named)
    database.close()
    begun = time.process_time()
    with _mission(world, folder, SEAT) as mission:
        yield _each(f"start with {_INDEXED:,} shards in the index", begun, 1)
        for moment in ("first", "next"):
            begun = time.process_time()
            assert mission.status().shards == _INDEXED
            yield _each(f"{moment} status with as many", begun, 1)


def _scanning(world: World, folder: Path) -> Iterator[Figure]:
    (shard,) = make_shards(
        bytes(4_000), mission=world.mission, veil=bytes(32), k=1, seats=[SEAT], random=os.urandom
    )
    with _mission(world, folder, SEAT) as mission:
        for number in range(_SCANNED):
            name = ShardRoot(hashlib.sha256(b"%d" % number).digest())
            file = folder / "mission" / shard_key(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(shard.encode())
        begun = time.process_time()
        mission.rebuild()
        yield _each("a shard, indexed again from its file", begun, _SCANNED)


def _each(what: str, begun: float, count: int) -> Figure:
    spent = time.process_time() - begun
    return Figure(what=what, value=1000 * spent / count, unit="ms of CPU")
