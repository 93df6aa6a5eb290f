"""From streams to shards and back, without vaults: packing, sealing, dispatch, fetch, supply."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from exclave.archive.reference import MANIFEST_PACK_BIT
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.dispatch import Dispatcher, TooFewSeats
from exclave.deposit.memory import PackMemory
from exclave.deposit.packing import Packer, PackTable
from exclave.deposit.sealing import PackSealer, ReopenedDiffers, SealedPack
from exclave.deposit.seat_line import SeatLine
from exclave.deposit.spool import Spool, SpoolFull
from exclave.deposit.stages import SealingStage
from exclave.deposit.streams import DepositSink
from exclave.dispersal.sealed_shard import parse_sealed_shard, unseal_shard
from exclave.dispersal.shard import parse_shard
from exclave.ids import DepositId, Epoch, MissionId, PackRoot, Seat, ShardRoot, StatementHash
from exclave.journal.store import Journal, PackRow
from exclave.ledger.checkpoint import log_verifier
from exclave.lines import LoopThread
from exclave.reconstruct.fetch import PackFetcher, PackForeign, PackPlan, PackUnavailable
from exclave.reconstruct.supply import ReconstructSupply
from exclave.sealing.pack import PackKind
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import DepositContext, unseal_deposit_secret
from exclave.source.interface import StreamPurpose
from exclave.vault.buffers import ShardBuffers
from exclave.vault.interface import VaultRefused

MISSION = MissionId(b"\x01" * 32)
SEATS = (Seat(1), Seat(2), Seat(3))
RECOVERY = XWingPrivateKey.from_seed(b"\x02" * 32)
SEAT_KEYS = {seat: XWingPrivateKey.from_seed(bytes([0x10 + seat]) * 32) for seat in SEATS}


class MemorySeat:
    """A shard store in memory that can be switched off or made to lie."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.shards: dict[ShardRoot, bytes] = {}
        self.down = False

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        if self.down:
            raise VaultRefused("vault: quota exceeded", cause="quota", status=507)
        data = b"".join(parts)
        parse_shard(data, root)
        new = root not in self.shards
        self.shards[root] = data
        return new

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        shard = unseal_shard(parse_sealed_shard(b"".join(parts)), SEAT_KEYS[self.seat], root)
        return await self.put_shard(root, [shard.encode()])

    async def get_shard(self, root: ShardRoot) -> bytes:
        if self.down or root not in self.shards:
            raise VaultRefused("vault: not found", cause="not-found", status=404)
        return self.shards[root]

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        data = await self.get_shard(root)
        into.require(len(data))
        into.put(0, data)

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        raise AssertionError("not asked here")


class Bench:
    """One depositor with three seats in memory."""

    def __init__(self, folder: Path, loop: LoopThread) -> None:
        self.folder = folder
        self.loop = loop
        self.seats = {seat: MemorySeat(seat) for seat in SEATS}
        self.journal = Journal.open(
            folder / "journal.db", mission=MISSION, depositor="home", epoch=Epoch(1)
        )
        self.spool = Spool(folder / "spool", limit=1 << 30)
        self.catalogue = Catalogue(folder / "catalogue")
        self.sealed: list[SealedPack] = []

    def lines(self) -> dict[Seat, SeatLine]:
        return {
            seat: SeatLine(
                seat=seat,
                state="ABC"[seat - 1] * 2,
                name=f"vault-{seat}",
                seat_key=SEAT_KEYS[seat].public,
                log_verifier=log_verifier(MISSION, seat, bytes(32)),
                store=self.seats[seat],
                record=None,  # type: ignore[arg-type]  # nothing is lodged here
            )
            for seat in SEATS
        }

    def attempt(self) -> Attempt:
        return Attempt(self)


class Attempt:
    """The stages of one deposit without record."""

    def __init__(self, bench: Bench) -> None:
        self.tables = {kind: PackTable() for kind in PackKind}
        memory = PackMemory(keep=1)
        self.sealer = PackSealer(
            mission=MISSION,
            deposit=DepositId(os.urandom(16)),
            epoch=Epoch(1),
            recovery=RECOVERY.public,
            k=2,
            seats=SEATS,
            dedup_key=b"\x03" * 32,
            memory=memory,
            random=os.urandom,
        )
        self.dispatcher = Dispatcher(
            loop=bench.loop,
            lines=bench.lines(),
            h=2,
            spool=bench.spool,
            journal=bench.journal,
            remember=bench.catalogue.add_pack,
            on_safe=self._on_safe,
        )
        self.bench = bench
        self.stage = SealingStage(self.sealer, self.dispatcher)
        self.packers = {
            kind: Packer(
                kind,
                table=self.tables[kind],
                hand_on=self.stage.take,
                journal=bench.journal if kind is PackKind.DATA else None,
                memory=memory,
                capacity=64 * 1024,
            )
            for kind in PackKind
        }
        self.sink = DepositSink(
            data=self.packers[PackKind.DATA],
            manifest=self.packers[PackKind.MANIFEST],
            dedup_key=b"\x03" * 32,
            scratch=bench.folder,
        )

    def _on_safe(self, pack: SealedPack, number: int) -> None:
        self.bench.sealed.append(pack)
        self.tables[pack.full.kind].set_root(pack.full.number, pack.root)
        self.packers[pack.full.kind].forget_in_flight(pack.full, number)

    def drain(self) -> None:
        for packer in self.packers.values():
            packer.close()
        self.stage.drain()

    def close(self) -> None:
        self.sink.close()
        self.stage.close()
        self.dispatcher.wait()
        self.sealer.wipe()

    def supply(self) -> ReconstructSupply:
        return ReconstructSupply(
            fetcher=self.bench_fetcher(),
            packs=self.tables[PackKind.DATA].roots(),
            manifest_packs=self.tables[PackKind.MANIFEST].roots(),
            scratch=self.bench.folder,
        )

    def bench_fetcher(self, **changes: object) -> PackFetcher:
        """`changes`: what a record says of its packs that is not so."""
        return PackFetcher(
            loop=self.bench.loop,
            plans={
                row.root: _plan(row, changes)
                for row in self.bench.journal.packs_by_root(_all_roots(self.bench))
            },
            stores=self.bench.seats,
            secrets={pack.secret: _unsealed(pack) for pack in self.bench.sealed},
        )


def _plan(row: PackRow, changes: Mapping[str, object]) -> PackPlan:
    plan = PackPlan(
        root=row.root,
        length=row.length,
        k=row.k,
        secret=row.secret,
        kind=PackKind(row.kind),
        epoch=Epoch(1),
        mission=MISSION,
        shards=row.shards,
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


FOREIGN = {
    "kind": PackKind.MANIFEST,
    "epoch": Epoch(7),
}


@pytest.mark.parametrize("field", FOREIGN)
def test_a_pack_that_contradicts_its_record_is_named(bench: Bench, field: str) -> None:
    attempt = bench.attempt()
    stream = attempt.sink.open_stream(StreamPurpose.CONTENT)
    stream.write(b"deed")
    stream.finish()
    attempt.drain()
    [root] = attempt.tables[PackKind.DATA].roots()
    assert attempt.bench_fetcher().plaintext(root)
    with pytest.raises(PackForeign, match=f"expected {field} "):
        attempt.bench_fetcher(**{field: FOREIGN[field]}).plaintext(root)
    attempt.close()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("length", 40_000_000, "shard: expected [0-9]+ bytes, got"),
        ("mission", MissionId(bytes(32)), "header says another"),
    ],
)
def test_shards_that_contradict_the_record_are_faults(
    bench: Bench, field: str, value: object, says: str
) -> None:
    attempt = bench.attempt()
    stream = attempt.sink.open_stream(StreamPurpose.CONTENT)
    stream.write(os.urandom(300_000))
    stream.finish()
    attempt.drain()
    fetcher = attempt.bench_fetcher(**{field: value})
    with pytest.raises(PackUnavailable):
        fetcher.plaintext(attempt.tables[PackKind.DATA].roots()[0])
    assert {fault.seat for fault in fetcher.faults} == set(bench.seats)
    assert all(re.search(says, fault.what) for fault in fetcher.faults)
    attempt.close()


def _all_roots(bench: Bench) -> list[PackRoot]:
    return [pack.root for pack in bench.sealed]


def _unsealed(pack: SealedPack) -> bytes:
    context = DepositContext(
        mission=MISSION,
        deposit=pack.deposit,
        epoch=Epoch(1),
        key_hash=RECOVERY.public.key_hash,
    )
    return unseal_deposit_secret(RECOVERY, pack.sealed_secret, context)


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def bench(tmp_path: Path, loop: LoopThread) -> Bench:
    return Bench(tmp_path, loop)


def _rows(count: int) -> bytes:
    return b"".join(b"%d\tperson %d\tEE\n" % (i, i * 7919 % 10007) for i in range(count))


def test_streams_come_back_from_any_two_seats(bench: Bench) -> None:
    attempt = bench.attempt()
    rows, scan = _rows(20_000), os.urandom(700_000)
    table = attempt.sink.open_stream(StreamPurpose.TABLE_ORDERED, expected_size=len(rows))
    for start in range(0, len(rows), 10_000):
        table.write(rows[start : start + 10_000])
    content = attempt.sink.open_stream(StreamPurpose.CONTENT)
    content.write(scan)
    notes = attempt.sink.open_stream(StreamPurpose.MANIFEST)
    notes.write(b"CREATE TABLE t (i int);")
    refs = [table.finish(), content.finish(), notes.finish()]
    attempt.drain()
    assert refs[2].refs[0].pack & MANIFEST_PACK_BIT
    assert attempt.sink.tally.read == len(rows) + len(scan)
    for down in SEATS:
        for seat in SEATS:
            bench.seats[seat].down = seat == down
        supply = attempt.supply()
        assert b"".join(supply.read_stream(refs[0])) == rows
        assert b"".join(supply.read_stream(refs[1])) == scan
        assert b"".join(supply.read_stream(refs[2])) == b"CREATE TABLE t (i int);"
    attempt.close()


def test_the_second_time_nothing_is_stored_anew(bench: Bench) -> None:
    rows = _rows(20_000)
    sizes = []
    for _ in range(2):
        attempt = bench.attempt()
        stream = attempt.sink.open_stream(StreamPurpose.TABLE_ORDERED)
        stream.write(rows)
        ref = stream.finish()
        attempt.drain()
        sizes.append(attempt.sink.tally.new)
        assert b"".join(attempt.supply().read_stream(ref)) == rows
        attempt.close()
    assert sizes == [len(rows), 0]


def test_a_late_seat_is_spooled_sealed_to_it(bench: Bench) -> None:
    bench.seats[Seat(3)].down = True
    attempt = bench.attempt()
    stream = attempt.sink.open_stream(StreamPurpose.CONTENT)
    stream.write(os.urandom(200_000))
    stream.finish()
    attempt.drain()
    attempt.close()
    assert attempt.dispatcher.late == {Seat(3): "vault: quota exceeded"}
    late = bench.journal.late_shards(Seat(3))
    assert len(late) == len(bench.sealed) > 0
    by_root = {shard.root: shard for pack in bench.sealed for shard in pack.shards}
    for _, root in late:
        spooled = bench.spool.get(Seat(3), root)
        assert spooled is not None
        assert by_root[root].veil_share not in spooled
        assert unseal_shard(parse_sealed_shard(spooled), SEAT_KEYS[Seat(3)], root) is not None
    assert bench.spool.used == sum(size for _, _, size in bench.spool.seats())


def test_fewer_than_h_states_stop_the_deposit(bench: Bench) -> None:
    bench.seats[Seat(2)].down = bench.seats[Seat(3)].down = True
    attempt = bench.attempt()
    stream = attempt.sink.open_stream(StreamPurpose.CONTENT)
    stream.write(os.urandom(100_000))
    stream.finish()
    with pytest.raises(TooFewSeats, match="expected states that can be reached: 2, got 1"):
        attempt.drain()
    attempt.close()
    assert bench.journal.chunk_count() == 0


def test_a_full_spool_is_named_and_nothing_is_half_written(bench: Bench) -> None:
    bench.spool = Spool(bench.folder / "small", limit=1000)
    bench.seats[Seat(3)].down = True
    attempt = bench.attempt()
    stream = attempt.sink.open_stream(StreamPurpose.CONTENT)
    stream.write(os.urandom(100_000))
    stream.finish()
    with pytest.raises(SpoolFull, match="limit 1000"):
        attempt.drain()
    attempt.close()
    assert bench.spool.used == 0
    assert list((bench.folder / "small").glob("[0-9]*/*")) == []


def test_corrupt_shards_are_named_and_others_are_used(bench: Bench) -> None:
    attempt = bench.attempt()
    data = os.urandom(300_000)
    stream = attempt.sink.open_stream(StreamPurpose.CONTENT)
    stream.write(data)
    ref = stream.finish()
    attempt.drain()
    for root, shard in bench.seats[Seat(1)].shards.items():
        bench.seats[Seat(1)].shards[root] = shard[:-1] + bytes([shard[-1] ^ 1])
    fetcher = attempt.bench_fetcher()
    supply = ReconstructSupply(
        fetcher=fetcher,
        packs=attempt.tables[PackKind.DATA].roots(),
        manifest_packs=(),
        scratch=bench.folder,
    )
    assert b"".join(supply.read_stream(ref)) == data
    assert {fault.seat for fault in fetcher.faults} == {Seat(1)}
    bench.seats[Seat(2)].down = True
    with pytest.raises(PackUnavailable, match="1 good shards of 3, 2 needed"):
        list(attempt.supply().read_stream(ref))
    attempt.close()


def test_a_pack_that_reopens_to_something_else_is_never_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = bench.attempt()
    # A fault of memory between compression and sealing: one byte of a stored chunk changes.
    monkeypatch.setattr(
        "exclave.deposit.streams.choose_stored",
        lambda plain, compressor: (0, b"\x00" + bytes(plain[1:])),
    )
    stream = attempt.sink.open_stream(StreamPurpose.CONTENT)
    stream.write(b"\x01" + os.urandom(50_000))
    stream.finish()
    with pytest.raises(ReopenedDiffers):
        attempt.drain()
    attempt.close()
    assert all(not seat.shards for seat in bench.seats.values())


def test_the_spool_forgets_what_never_became_safe(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", limit=1 << 20)
    roots = [ShardRoot(os.urandom(32)) for _ in range(3)]
    for root in roots:
        spool.put(Seat(2), root, [b"x" * 100])
    (tmp_path / "spool" / "tmp" / "leftover").write_bytes(b"half")
    spool = Spool(tmp_path / "spool", limit=1 << 20)
    assert spool.used == 300
    assert spool.forget_unless(lambda seat, root: root == roots[0]) == 2
    assert spool.has(Seat(2), roots[0])
    assert list((tmp_path / "spool" / "tmp").iterdir()) == []
    spool.delivered(Seat(2), roots[0])
    assert spool.used == 0
