"""Fetch packs from whichever seats answer, rebuild and open them.

Rules
- Any k shards do. Seats are asked in an order that prefers rows of data (no arithmetic) and
  seats that have not failed; a shard that is corrupt, missing or late is named once and the
  next seat is asked.
- The quick way first: k shards straight into one buffer, nothing of which is used before the
  pack's root and the key commitment hold (`exclave.dispersal.room`). Where anything fails, the
  sure way: shards that were each checked against their own root, so that the wrong one is named.
- A shard must have the size that the record's length and k make, and a header that says the same;
  an opened pack's header must be what the record says of it, or the record lies (`PackForeign`).
- When shards are whole but decode to another pack, other combinations are tried and the
  disagreement is named: the depositor dispersed inconsistently, or a record was forged.
- Few packs are fetched at once and few opened ones kept, in bytes and in memory only: plaintext
  never touches a disk here. Whoever asks again for what was dropped has it fetched again.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from exclave.dispersal.code import body_length
from exclave.dispersal.room import PackRoom
from exclave.dispersal.shard import (
    PREFIX_SIZE,
    Shard,
    ShardHeader,
    ShardsDisagree,
    parse_shard,
    rebuild_pack,
)
from exclave.errors import IntegrityError, VaultError
from exclave.ids import Epoch, MissionId, PackRoot, Seat, ShardRoot
from exclave.lines import LoopThread
from exclave.reconstruct.buffers import OpenedBuffers
from exclave.sealing.pack import CommitmentMismatch, PackHeader, PackKind, open_pack, plain_length
from exclave.values import dataclass
from exclave.vault.buffers import ShardBuffers
from exclave.vault.interface import ShardReader

__all__ = ["CACHE_BYTES", "PackFetcher", "PackForeign", "PackPlan", "PackUnavailable", "SeatFault"]

CACHE_BYTES: Final = 48 * 2**20
"""Opened packs kept, at least the newest one; readers hold what they are reading besides."""

_AT_ONCE: Final = 2
"""Packs on their way: one comes in over the line while another is opened."""


class PackUnavailable(IntegrityError):
    """Fewer than k good shards of a pack could be had, or its secret is not given."""


class PackForeign(IntegrityError):
    """A pack opens, but its header is not what the signed record says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlan:
    """What is known of a pack before it is fetched, from the record."""

    root: PackRoot
    length: int
    k: int
    secret: bytes  # secret id
    kind: PackKind
    epoch: Epoch
    mission: MissionId
    shards: tuple[tuple[Seat, ShardRoot], ...]

    @property
    def shard_size(self) -> int:
        """Bytes of each shard."""
        return PREFIX_SIZE + body_length(self.length, self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatFault:
    """Something a seat did wrong, for the report."""

    seat: Seat
    pack: PackRoot
    what: str


class PackFetcher:
    """Opened packs by root; thread-safe. As a context, gives up what is on its way at the end."""

    def __init__(
        self,
        *,
        loop: LoopThread,
        plans: Mapping[PackRoot, PackPlan],
        stores: Mapping[Seat, ShardReader],
        secrets: Mapping[bytes, bytes],
    ) -> None:
        """`secrets`: deposit secrets by secret id."""
        self._loop = loop
        self._plans = plans
        self._stores = stores
        self._secrets = secrets
        self._cache: OrderedDict[PackRoot, Future[memoryview]] = OrderedDict()
        self._coming: set[Future[memoryview]] = set()
        self._lock = threading.Lock()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="open")
        self._spare: list[memoryview] = []  # rows of packs that were opened, for the next ones
        self._buffers = OpenedBuffers()
        self._faulty: dict[Seat, int] = dict.fromkeys(stores, 0)
        self.faults: list[SeatFault] = []
        self.bytes_fetched: dict[Seat, int] = dict.fromkeys(stores, 0)
        self.packs_fetched = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            coming = tuple(self._coming)
        for future in coming:
            future.cancel()

    def plaintext(self, root: PackRoot) -> memoryview:
        """The opened pack; concurrent callers of the same pack share one fetch."""
        return self.prefetch(root).result()

    def prefetch(self, root: PackRoot) -> Future[memoryview]:
        """Begin to fetch a pack that will be needed, unless it is here or on its way."""
        with self._lock:
            future = self._cache.get(root)
            begun = future is None
            if future is None:
                future = self._cache[root] = self._loop.submit(self._fetch(root))
                self._coming.add(future)
                self._drop_oldest()
            self._cache.move_to_end(root)
        if begun:
            future.add_done_callback(lambda done: self._came(root, done))
        return future

    def _drop_oldest(self) -> None:
        sizes = {root: self._size(root) for root in self._cache}
        total = sum(sizes.values())
        while total > CACHE_BYTES and len(self._cache) > 1:
            root, _ = self._cache.popitem(last=False)
            total -= sizes[root]

    def _size(self, root: PackRoot) -> int:
        plan = self._plans.get(root)
        return 0 if plan is None else plan.length

    def _came(self, root: PackRoot, done: Future[memoryview]) -> None:
        failed = done.cancelled() or done.exception() is not None
        with self._lock:
            self._coming.discard(done)
            if failed and self._cache.get(root) is done:
                del self._cache[root]

    async def _fetch(self, root: PackRoot) -> memoryview:
        plan, secret = self._known(root)
        async with self._turns:
            plaintext = await self._quickly(plan, secret)
            if plaintext is None:
                run = asyncio.get_running_loop().run_in_executor
                plaintext = await run(self._pool, self._first_good, plan, secret)
        self.packs_fetched += 1
        return plaintext

    def _known(self, root: PackRoot) -> tuple[PackPlan, bytes]:
        plan = self._plans.get(root)
        if plan is None:
            raise PackUnavailable(f"pack {root.hex()[:16]}: no record of this deposit names it")
        secret = self._secrets.get(plan.secret)
        if secret is None:
            raise PackUnavailable(
                f"pack {root.hex()[:16]}: its secret {plan.secret.hex()[:16]} was not given out",
                hint="make the unseal request for this deposit and unseal again",
            )
        return plan, secret

    async def _quickly(self, plan: PackPlan, secret: bytes) -> memoryview | None:
        """The pack from the first k seats, or None when they do not give it at once."""
        chosen = self._order(plan)[: plan.k]
        if len(chosen) < plan.k:
            return None
        rows = self._rows(plan)
        room = PackRoom(
            [seat for seat, _ in chosen],
            mission=plan.mission,
            root=plan.root,
            length=plan.length,
            k=plan.k,
            rows=rows,
        )
        if not all(await asyncio.gather(*(self._read(plan, room, *one) for one in chosen))):
            return None
        run = asyncio.get_running_loop().run_in_executor
        try:
            header, plaintext = await run(self._pool, _open, room, secret, self._buffers)
        except (ShardsDisagree, CommitmentMismatch):
            return None  # which of them is wrong, the sure way finds out
        self._spare.append(rows)
        _require_planned(plan, header)
        for seat, _ in chosen:
            self.bytes_fetched[seat] += plan.shard_size
        return plaintext

    def _rows(self, plan: PackPlan) -> memoryview:
        """Room for a pack's bodies; only the loop's thread asks for it."""
        needed = plan.k * body_length(plan.length, plan.k)
        found = self._spare.pop() if self._spare else memoryview(b"")
        return found if len(found) >= needed else memoryview(bytearray(needed))

    async def _read(self, plan: PackPlan, room: PackRoom, seat: Seat, root: ShardRoot) -> bool:
        try:
            into = ShardBuffers(room.prefix(seat), room.body(seat))
            await self._stores[seat].read_unchecked(root, into)
        except (IntegrityError, VaultError) as error:
            self._fault(seat, plan.root, error.message)
            return False
        return True

    def _first_good(self, plan: PackPlan, secret: bytes) -> memoryview:
        good: list[Shard] = []
        waiting = self._order(plan)
        while waiting:
            wanted = max(plan.k - len(good), 1)
            batch, waiting = waiting[:wanted], waiting[wanted:]
            for shard in self._loop.run(self._get_all(plan, batch)):
                good.append(shard)
                plaintext = self._try_with_newest(plan, secret, good)
                if plaintext is not None:
                    return plaintext
        raise PackUnavailable(
            f"pack {plan.root.hex()[:16]}: {len(good)} good shards of {len(plan.shards)}, "
            f"{plan.k} needed",
            hint="; ".join(f"seat {f.seat}: {f.what}" for f in self.faults if f.pack == plan.root)
            or "bring another seat's vault or folder",
        )

    def _try_with_newest(
        self, plan: PackPlan, secret: bytes, good: list[Shard]
    ) -> memoryview | None:
        # The newest shard takes part in every combination; those of older ones were tried before.
        for rest in itertools.combinations(good[:-1], plan.k - 1):
            chosen = [*rest, good[-1]]
            try:
                sealed, veil = rebuild_pack(chosen, plan.k)
                header, plaintext = open_pack(sealed, secret=secret, veil=veil)
            except (ShardsDisagree, CommitmentMismatch) as error:
                # Whole shards, another pack or veil: dispersed inconsistently. Others may agree.
                seats = ", ".join(str(shard.header.seat) for shard in chosen)
                self._fault(good[-1].header.seat, plan.root, f"seats {seats}: {error.message}")
                continue
            _require_planned(plan, header)
            return plaintext
        return None

    def _order(self, plan: PackPlan) -> list[tuple[Seat, ShardRoot]]:
        there = [(seat, root) for seat, root in plan.shards if seat in self._stores]
        return sorted(there, key=lambda item: (self._faulty[item[0]], item[0] > plan.k, item[0]))

    async def _get_all(
        self, plan: PackPlan, wanted: Sequence[tuple[Seat, ShardRoot]]
    ) -> list[Shard]:
        shards = await asyncio.gather(*(self._get(plan, seat, root) for seat, root in wanted))
        return [shard for shard in shards if shard is not None]

    async def _get(self, plan: PackPlan, seat: Seat, root: ShardRoot) -> Shard | None:
        try:
            data = await self._stores[seat].get_shard(root)
            if len(data) != plan.shard_size:
                raise IntegrityError(f"shard: expected {plan.shard_size} bytes, got {len(data)}")
            shard = await asyncio.to_thread(parse_shard, data, root)
            _require_header(plan, seat, shard.header)
        except (IntegrityError, VaultError) as error:
            self._fault(seat, plan.root, error.message)
            return None
        self.bytes_fetched[seat] += len(data)
        return shard

    def _fault(self, seat: Seat, pack: PackRoot, what: str) -> None:
        with self._lock:
            self._faulty[seat] += 1
            fault = SeatFault(seat=seat, pack=pack, what=what)
            if fault not in self.faults:
                self.faults.append(fault)


def _open(room: PackRoom, secret: bytes, buffers: OpenedBuffers) -> tuple[PackHeader, memoryview]:
    sealed, veil = room.rebuild()
    out = buffers.take(plain_length(len(sealed)))
    return open_pack(sealed, secret=secret, veil=veil, out=out)


def _require_header(plan: PackPlan, seat: Seat, header: ShardHeader) -> None:
    expected = ShardHeader(
        k=plan.k, seat=seat, mission=plan.mission, pack_root=plan.root, length=plan.length
    )
    if header != expected:
        raise IntegrityError("shard: header says another pack, seat, k, length or mission")


def _require_planned(plan: PackPlan, header: PackHeader) -> None:
    """The pack's own header against the record; `rebuild_pack` compared length and root."""
    for name, expected, got in (
        ("kind", plan.kind.name, header.kind.name),
        ("k", plan.k, header.k),
        ("epoch", plan.epoch, header.epoch),
        ("mission", plan.mission.hex(), header.mission.hex()),
        ("secret", plan.secret.hex(), header.secret_id.hex()),
    ):
        if expected != got:
            raise PackForeign(
                f"pack {plan.root.hex()[:16]}: expected {name} {expected} as the record says, "
                f"got {got}",
                hint="the depositor signed a record that its own pack contradicts",
            )
