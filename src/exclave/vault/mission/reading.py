"""Who may read which shard: only a released warrant's reader, only what the warrant names.

Kept apart so that the one question which opens data has one answer in one place. Depositors and
vaults never read (spec/vault-http.md 3).
"""

from __future__ import annotations

from exclave.authority.record_chain import live_set
from exclave.authority.warrant import Warrant
from exclave.errors import AuthorityError
from exclave.ids import ShardRoot, StatementHash
from exclave.vault.line.problems import refused
from exclave.vault.mission.mission import Mission

__all__ = ["ReadingList"]


class ReadingList:
    """Answers for one mission; remembers the shards of live sets, which never change."""

    def __init__(self, mission: Mission) -> None:
        self._mission = mission
        self._live: dict[StatementHash, frozenset[ShardRoot]] = {}

    def check(self, identity: bytes, root: ShardRoot) -> None:
        """Refuse unless a released warrant of this reader covers a deposit with this shard."""
        mine = [warrant for _, warrant in self._mission.released(identity)]
        if not mine:
            raise refused("not-released", "no released warrant names this reader")
        with self._mission.lock:
            if not any(self._covers(warrant, root) for warrant in mine):
                raise refused(
                    "not-released", f"shard {root.hex()[:16]}: in no deposit of the warrant"
                )

    def _covers(self, warrant: Warrant, root: ShardRoot) -> bool:
        index = self._mission.index
        if warrant.deposits is None:
            return index.named_by_lodged(root)
        rows = (index.of_deposit(deposit) for deposit in warrant.deposits)
        return any(row is not None and root in self._shards(row.statement) for row in rows)

    def _shards(self, statement: StatementHash) -> frozenset[ShardRoot]:
        if statement not in self._live:
            known = self._mission.fold.known
            try:
                live = live_set(known[statement], known)
            except AuthorityError:
                return frozenset()  # pending: what it refers to is not known yet
            self._live[statement] = frozenset(
                root
                for pack in live.packs.values()
                for seat, root in pack.shards
                if seat == self._mission.seat
            )
        return self._live[statement]
