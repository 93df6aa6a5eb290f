"""Send shards to all seats in parallel: the stage that makes packs safe.

A pack is *safe* when seats in at least h distinct states hold their shards and those of
all other seats lie in the spool. Only then does it enter the journal and may be referred to.

Rules
- A seat that fails, or has no line, is *late* for the rest of the attempt, with its reason; its
  shards are spooled, sealed to it. Retrying a request is the vault client's business.
- The attempt fails as soon as fewer than h states can be reached.
- At most `WINDOW` packs are on the line at once; `send` blocks beyond that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final

from exclave.deposit.sealing import SealedPack
from exclave.deposit.seat_line import SeatLine
from exclave.deposit.spool import Spool
from exclave.dispersal.sealed_shard import seal_shard
from exclave.dispersal.shard import Shard
from exclave.errors import VaultError
from exclave.ids import Seat
from exclave.journal.store import Journal, SafePack, ShardRow
from exclave.lines import LoopThread
from exclave.plain_words import of_seat
from exclave.sealing.recovery import XWingPublicKey

__all__ = ["WINDOW", "Dispatcher", "TooFewSeats"]

WINDOW: Final = 3
"""Packs on the line at once: enough to keep every seat busy, 24 MiB of shards each at 2-of-3."""


class TooFewSeats(VaultError):
    """Fewer than h states can be reached: a deposit would not be safe."""


class Dispatcher:
    """Delivers sealed packs; `send` from any thread, `finish` when nothing more comes."""

    def __init__(
        self,
        *,
        loop: LoopThread,
        lines: Mapping[Seat, SeatLine],
        h: int,
        spool: Spool,
        journal: Journal,
        remember: Callable[[SafePack], None],
        on_safe: Callable[[SealedPack, int], None],
        seat_keys: Mapping[Seat, XWingPublicKey] | None = None,
        keep: Callable[[SealedPack], None] | None = None,
    ) -> None:
        """A safe pack goes to `remember` (the catalogue), the journal, then `on_safe`.

        Before, to `keep`, as the lines have taken it: that is what will be proven.

        `on_safe` gets the pack's number in the journal. `seat_keys` are those of all seats that
        packs are made for; a seat without a line (a safe, reached by carried media) is late.
        """
        self._loop = loop
        self._lines = lines
        self._h = h
        self._spool = spool
        self._journal = journal
        self._remember = remember
        self._on_safe = on_safe
        self._keep = keep
        self._window = threading.BoundedSemaphore(WINDOW)
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._open: set[Future[None]] = set()
        self._seat_keys = {seat: line.seat_key for seat, line in lines.items()}
        self._seat_keys.update(seat_keys or {})
        self.late: dict[Seat, str] = {
            seat: "has no line: what lies in the spool for it must be carried there"
            for seat in self._seat_keys
            if seat not in lines
        }
        self.bytes_sent: dict[Seat, int] = dict.fromkeys(lines, 0)

    def send(self, pack: SealedPack) -> None:
        """Put a pack on the line; raises what stopped earlier ones."""
        self._window.acquire()
        try:
            self.raise_failure()
            future = self._loop.submit(self._deliver(pack))
        except BaseException:
            self._window.release()
            raise
        with self._lock:
            self._open.add(future)
        future.add_done_callback(self._done)

    def finish(self) -> None:
        """Wait until every pack sent is safe; raises what went wrong."""
        self.wait()
        self.raise_failure()

    def wait(self) -> None:
        """Wait until nothing is on the line any more, whatever came of it."""
        while True:
            with self._lock:
                waiting = list(self._open)
            if not waiting:
                return
            for future in waiting:
                future.exception()

    def raise_failure(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failure is not None:
            raise self._failure

    def require_states(self) -> None:
        """Raise `TooFewSeats` when fewer than h states are left."""
        states = {line.state for seat, line in self._lines.items() if seat not in self.late}
        if len(states) < self._h:
            reasons = "; ".join(of_seat(s, why) for s, why in sorted(self.late.items()))
            raise TooFewSeats(
                f"deposit: expected states that can be reached: {self._h}, got {len(states)} "
                f"({reasons})",
                hint="nothing was lodged; run again when the lines are up: "
                "packs that arrived are kept",
            )

    def _done(self, future: Future[None]) -> None:
        error = future.exception()
        with self._lock:
            self._open.discard(future)
            if error is not None and self._failure is None:
                self._failure = error
        self._window.release()

    async def _deliver(self, pack: SealedPack) -> None:
        held = await asyncio.gather(*(self._put(shard) for shard in pack.shards))
        self.require_states()
        await asyncio.to_thread(self._make_safe, pack, held)

    async def _put(self, shard: Shard) -> bool:
        seat = shard.header.seat
        if seat in self.late:
            return False
        try:
            await self._lines[seat].store.put_shard(shard.root, [shard.prefix(), shard.body])
        except VaultError as error:
            # One seat's refusal must not stop the others: the reason goes into the report.
            self.late.setdefault(seat, error.message)
            return False
        self.bytes_sent[seat] += shard.size
        return True

    def _make_safe(self, pack: SealedPack, held: list[bool]) -> None:
        if self._keep is not None:
            self._keep(pack)
        rows: list[ShardRow] = []
        for shard, here in zip(pack.shards, held, strict=True):
            seat = shard.header.seat
            if not here:
                sealed = seal_shard(shard, self._seat_keys[seat])
                self._spool.put(seat, shard.root, [sealed.prefix(), sealed.body])
            rows.append(ShardRow(seat=seat, root=shard.root, held=here))
        safe = SafePack(
            root=pack.root,
            length=pack.length,
            k=pack.k,
            kind=int(pack.full.kind),
            secret=pack.secret,
            deposit=pack.deposit,
            sealed_secret=pack.sealed_secret,
            shards=tuple(rows),
            chunks=pack.full.chunks,
        )
        # The catalogue first: whatever the journal may refer to can be rebuilt from there.
        self._remember(safe)
        self._on_safe(pack, self._journal.add_safe_pack(safe))
