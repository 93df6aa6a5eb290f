"""Join the stages of a deposit: packers hand full packs to sealing threads, those to the line.

Two sealing threads and a queue of one keep at most four packs in memory before the line.
The first failure of any stage stops all of them and is raised to whoever waits.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import Final

from exclave.deposit.dispatch import Dispatcher
from exclave.deposit.packing import FullPack
from exclave.deposit.sealing import PackSealer, SealedPack
from exclave.errors import ExclaveError

__all__ = ["SealingStage", "StageClosed"]

_THREADS: Final = 2
_POLL: Final = 0.2  # seconds between looks at the failure while a queue is full or empty


class StageClosed(ExclaveError):
    """Something was handed on after the deposit ended."""


class SealingStage:
    """Bounded queue and threads between packers and dispatcher."""

    def __init__(self, sealer: PackSealer, dispatcher: Dispatcher) -> None:
        self._sealer = sealer
        self._dispatcher = dispatcher
        self._queue: queue.Queue[FullPack | None] = queue.Queue(maxsize=1)  # None: the end
        self._failure: BaseException | None = None
        self._unsealed = 0
        self._idle = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"seal-{i}", daemon=True)
            for i in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def take(self, full: FullPack) -> None:
        """Accept a full pack; blocks while the stage is full."""
        with self._idle:
            self._unsealed += 1
        self._put(full)

    def drain(self) -> None:
        """Wait until everything taken so far is safe; raises what went wrong."""
        with self._idle:
            while self._unsealed and self._failure is None:
                self._idle.wait(_POLL)
        self._raise()
        self._dispatcher.finish()

    def close(self) -> None:
        """End the threads; what is queued and not drained is dropped."""
        if self._failure is None:
            self._failure = StageClosed("deposit: sealing has ended")
        self._wake()
        for thread in self._threads:
            thread.join()

    def _put(self, item: FullPack) -> None:
        while True:
            self._raise()
            self._dispatcher.raise_failure()
            try:
                self._queue.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while self._failure is None:
            try:
                full = self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
            if full is None:
                break
            try:
                sealed: SealedPack = self._sealer.seal(full)
                del full
                self._dispatcher.send(sealed)
            except BaseException as error:  # handed to whoever waits
                self._failure = error
            with self._idle:
                self._unsealed -= 1
                self._idle.notify_all()
        self._wake()

    def _wake(self) -> None:
        """Let a thread that waits for a pack see that it is over; it wakes the next one."""
        with suppress(queue.Full):
            self._queue.put_nowait(None)
