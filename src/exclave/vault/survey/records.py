"""The records that a survey found: each pack kept once, live sets made when asked for.

A full record repeats all packs that live on, and hundreds of deposits refer to mostly the same
ones: all of that at once would be many times what the vaults have.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from exclave.authority.record import DepositRecord, RecordPack
from exclave.authority.record_chain import LiveSet, record_path
from exclave.errors import ExclaveError
from exclave.ids import PackRoot, StatementHash
from exclave.values import replace

__all__ = ["Records"]

_KEPT: Final = 8
"""Live sets kept, the last ones on the way to a record: who lists all, newest first, asks for them
next."""


class Records:
    """Records by their statements."""

    def __init__(self) -> None:
        self.known: dict[StatementHash, DepositRecord] = {}
        self._packs: dict[PackRoot, RecordPack] = {}
        self._live: OrderedDict[int, LiveSet] = OrderedDict()  # by the record's identity

    def enter(self, statement: StatementHash, record: DepositRecord) -> None:
        """Keep a record; packs that another one names in the same words are kept once."""
        packs = tuple(map(self._once, record.packs_added))
        self.known[statement] = replace(record, packs_added=packs)

    def live_set(self, record: DepositRecord) -> LiveSet | None:
        """What a known record refers to; None when one before it is missing, or contradicts it."""
        try:
            return self._applied(record_path(record, self.known))
        except ExclaveError:
            return None

    def _once(self, pack: RecordPack) -> RecordPack:
        known = self._packs.setdefault(pack.root, pack)
        return known if known == pack else pack

    def _applied(self, path: tuple[DepositRecord, ...]) -> LiveSet:
        kept = (at for at in range(len(path), 0, -1) if id(path[at - 1]) in self._live)
        done = next(kept, 0)
        result = self._live[id(path[done - 1])] if done else LiveSet()
        for step in path[done:]:
            result = self._live[id(step)] = result.apply(step)
            if len(self._live) > _KEPT:
                self._live.popitem(last=False)
        return result
