"""P7: a depositor who is made to stop, or to send something else, is noticed by the vaults.

The attacker's powers: he holds the homeland's machines with all their keys, and nothing abroad. He
wants the deposits to end, or to hold something else from now on, while nobody outside learns of
it; he lets records come that look well, signed with the right keys, and those of keys that were
replaced before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from exclave.authority.alarm import parse_alarm
from exclave.authority.charter_parts import Depositor
from exclave.authority.envelope import parse_envelope
from exclave.authority.record import DepositRecord, PackKindName
from exclave.engine.memory import MemoryEngine
from exclave.ids import PackRoot, Seat
from exclave.ledger.entry import EntryType
from exclave.vault.interface import State
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.serving import fellows, open_mission, passed
from tests.support.vault_world import (
    SEATS,
    START,
    Pack,
    World,
    new_depositor,
    new_world,
    next_charter,
    witnessed,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BIG, SMALL = 3 * 2**20, 10_000
DAYS = 6


@dataclass
class Wall:
    """Everybody's clock; all of them are right."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment


@dataclass
class Homeland:
    """Deposits of one key, at a vault for each seat."""

    world: World
    wall: Wall
    missions: tuple[Mission, ...] = ()
    last: DepositRecord | None = None
    live: tuple[PackRoot, ...] = ()
    manifest: tuple[PackRoot, ...] = ()

    def deposit(self, *sizes: int, whole: bool = False) -> None:
        """New packs of these sizes beside what lives on, or in place of it."""
        full = whole or self.last is None
        packs = [self.world.pack(size) for size in sizes]
        if full:
            packs.append(self.world.pack(SMALL, PackKindName.MANIFEST))
            self.manifest, self.live = (packs[-1].root,), ()
        record = self.world.record(
            packs, previous=self.last, live=self.live, full=full, manifest_packs=self.manifest
        )
        self.last = record
        self.live = (*self.live, *(pack.root for pack in packs))
        for mission in self.missions:
            lodge(self.world, mission, record, packs)

    def passes(self, span: timedelta) -> None:
        """Time at all vaults, which go round their houses meanwhile."""
        self.wall.moment += span
        for mission in self.missions:
            passed(mission, span)
            mission.watch()

    def opened(self, store: MemoryEngine, seat: Seat) -> Mission:
        """A vault that is started."""
        return open_mission(
            self.world, store, seat=seat, now=self.wall, witnesses=fellows(self.wall)
        )

    def causes(self) -> list[list[str]]:
        """What stands at each vault now."""
        return [[alarm.cause for alarm in m.status().alarms] for m in self.missions]


def lodge(world: World, mission: Mission, record: DepositRecord, packs: Sequence[Pack]) -> None:
    for pack in packs:
        shard = pack.shards[mission.seat]
        intake = Intake(mission, shard.root, sealed=False)
        intake.feed([shard.encode()])
        assert intake.finish()
    assert submit(mission, world.signed(record)).state is State.LODGED


def logged(mission: Mission) -> list[str]:
    """Causes in its log."""
    found = (entry for _, entry in mission.log.entries() if entry.type is EntryType.ALARM)
    return [parse_alarm(parse_envelope(mission.log.body(e.hash))).cause.value for e in found]


@pytest.fixture
def homeland() -> Homeland:
    """Six days of honest deposits."""
    world = new_world()
    home = Homeland(world=world, wall=Wall())
    home.missions = tuple(home.opened(MemoryEngine(), seat) for seat in SEATS[:2])
    home.deposit(BIG)
    for _ in range(DAYS - 1):
        home.passes(DAY)
        home.deposit(SMALL)
    assert home.causes() == [[], []]
    return home


def test_silence_is_noticed_by_every_vault_and_logged_once_a_day(homeland: Homeland) -> None:
    homeland.passes(2 * DAY)
    assert homeland.causes() == [[], []]
    homeland.passes(2 * HOUR)
    assert homeland.causes() == [["deposits-silent"]] * 2
    (alarm,) = homeland.missions[0].status().alarms
    assert alarm.detail == "home: expected a deposit every 24.0 h or so, got none for 50.0 h"
    for _ in range(40):
        homeland.passes(HOUR / 2)
    assert [logged(mission) for mission in homeland.missions] == [["deposits-silent"]] * 2
    for _ in range(10):
        homeland.passes(HOUR / 2)
    assert len(logged(homeland.missions[0])) == 2
    homeland.deposit(SMALL)
    homeland.passes(2 * HOUR)
    assert homeland.causes() == [[], []]


def test_a_vault_that_is_started_again_still_knows(homeland: Homeland) -> None:
    first = homeland.missions[0]
    first.close()
    again = homeland.opened(first.store, first.seat)  # with a new index
    homeland.missions = (again,)
    homeland.passes(3 * DAY)
    assert [alarm.cause for alarm in again.status().alarms] == ["deposits-silent"]


def test_a_long_silence_does_not_excuse_a_longer_one(homeland: Homeland) -> None:
    homeland.passes(30 * DAY)
    homeland.deposit(SMALL)
    homeland.passes(2 * HOUR)
    assert homeland.causes() == [[], []]
    homeland.passes(7 * DAY)
    assert homeland.causes() == [["deposits-silent"]] * 2


def test_records_of_keys_that_were_replaced_are_no_sign_of_life(homeland: Homeland) -> None:
    """They are mirrored as pending, as everything signed is; silent is who sits there now."""
    world, mission = homeland.world, homeland.missions[0]
    thief = homeland.last
    assert thief is not None
    fresh = new_depositor()
    (old,) = world.charter.depositors
    seated: Depositor = replace(old, keys=fresh.public, identity=fresh.identity.certificate)
    _, envelope = next_charter(world, depositors=(seated,))
    submit(mission, envelope)
    witnessed(world, mission)
    mission.watch()
    assert mission.charter().version == 2
    for _ in range(3):
        homeland.passes(DAY)
        pack = world.pack(SMALL)
        thief = world.record(
            [pack], previous=thief, live=homeland.live, manifest_packs=homeland.manifest
        )
        homeland.live = (*homeland.live, pack.root)
        assert submit(mission, world.signed(thief)).state is State.PENDING
    mission.watch()
    assert [alarm.cause for alarm in mission.status().alarms] == ["deposits-silent"]


@pytest.mark.parametrize(
    ("sizes", "cause"),
    [
        ((SMALL,), "deposit-shrank"),  # nearly nothing under the right keys
        ((BIG,), "deposit-grew"),  # all of it other bytes of the same size: encrypted, say
        ((BIG, BIG, BIG), "deposit-grew"),
    ],
)
def test_a_deposit_of_something_else_is_noticed(
    homeland: Homeland, sizes: tuple[int, ...], cause: str
) -> None:
    homeland.passes(DAY)
    homeland.deposit(*sizes, whole=True)
    homeland.passes(timedelta())
    assert homeland.causes() == [[cause]] * 2
    assert logged(homeland.missions[0]) == [cause]
    first = homeland.missions[0]
    first.close()
    again = homeland.opened(first.store, first.seat)
    again.watch()
    assert [alarm.cause for alarm in again.status().alarms] == [cause]
