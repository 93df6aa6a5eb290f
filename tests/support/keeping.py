"""A mission with something to sweep: two deposits, of which the second drops packs of the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exclave.authority.record import DepositRecord, PackKindName
from exclave.engine.memory import MemoryEngine
from exclave.ids import PackRoot, ShardRoot, StatementHash
from exclave.vault.interface import State
from exclave.vault.kept.storage import shard_key
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.keeping import Keeping
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.serving import SEAT, fellows, open_mission, passed
from tests.support.vault_world import START, Pack, World, new_world

RELEASE = StatementHash(b"\x07" * 32)
RETENTION = timedelta(days=30)


class Hands:
    """A wall clock that tests set."""

    def __init__(self, time: datetime = START) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time


def put(mission: Mission, pack: Pack, uploader: bytes = b"") -> None:
    """Store this seat's shard of a pack."""
    shard = pack.shards[SEAT]
    intake = Intake(mission, shard.root, sealed=False, uploader=uploader)
    try:
        intake.feed([shard.encode()])
        intake.finish()
    finally:
        intake.abort()


@dataclass(kw_only=True)
class Kept:
    """The mission, its clocks, and what it holds."""

    world: World
    store: MemoryEngine
    now: Hands
    mission: Mission
    records: list[DepositRecord] = field(default_factory=list)
    packs: list[list[Pack]] = field(default_factory=list)
    """Of each deposit: a pack of its own, one that both have, and its manifest pack."""

    @classmethod
    def new(cls, store: MemoryEngine | None = None, world: World | None = None) -> Kept:
        """Two deposits, lodged; an hour lies between them."""
        world, now = world or new_world(), Hands()
        store = store or MemoryEngine()
        mission = open_mission(world, store, now=now, witnesses=fellows(now))
        kept = cls(world=world, store=store, now=now, mission=mission)
        own, both = world.pack(), world.pack()
        kept._lodge([own, both, world.pack(2000, PackKindName.MANIFEST)], [], [])
        kept.later(timedelta(hours=1))
        first = kept.packs[0]
        dropped = [own.root, first[2].root]
        kept._lodge([world.pack(), world.pack(2000, PackKindName.MANIFEST)], [both], dropped)
        return kept

    def _lodge(self, added: list[Pack], living: list[Pack], dropped: list[PackRoot]) -> None:
        for pack in added:
            put(self.mission, pack)
        previous = self.records[-1] if self.records else None
        record = self.world.record(
            added, previous=previous, live=[pack.root for pack in living], dropped=dropped,
            secrets_dropped=(),
        )  # fmt: skip
        assert submit(self.mission, self.world.signed(record)).state is State.LODGED
        self.records.append(record)
        self.packs.append([added[0], *living, *added[1:]])

    def reopened(self) -> Mission:
        """The mission of a restarted vault, with what stood."""
        keeping = self.mission.keeping
        self.mission = open_mission(
            self.world, self.store, now=self.now, witnesses=fellows(self.now)
        )
        self.mission.keeping = keeping
        return self.mission

    def release(self, *packs: Pack, **changes: object) -> None:
        """From now on these packs are released, and whatever else is said stands."""
        released = {pack.root: RELEASE for pack in packs}
        keeping = Keeping(released=released, **changes)  # type: ignore[arg-type]
        self.mission.keeping = lambda: keeping

    def later(self, span: timedelta = RETENTION) -> None:
        """All clocks go on."""
        self.now.time += span
        passed(self.mission, span)

    def has(self, pack: Pack) -> bool:
        """Whether index and engine have this seat's shard of a pack; they must agree."""
        root = pack.shards[SEAT].root
        stored = shard_key(root) in set(self.store.keys("shards/"))  # type: ignore[comparison-overlap]
        assert self.mission.index.has_shard(root) is stored
        return stored


def roots(packs: Iterable[Pack]) -> tuple[ShardRoot, ...]:
    """This seat's shard roots, ascending."""
    return tuple(sorted(pack.shards[SEAT].root for pack in packs))
