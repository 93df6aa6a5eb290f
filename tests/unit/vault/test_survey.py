"""A survey hears many hosts: one that lies costs a bounded effort and is named (P9)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from exclave.authority.envelope import Envelope, Kind
from exclave.engine.memory import MemoryEngine
from exclave.errors import VaultUnreachable
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, origin_for, sign_checkpoint
from exclave.ledger.entry import EntryType, parse_entry
from exclave.ledger.note import NoteSigner
from exclave.ledger.tiles import TILE_WIDTH, encode_bundle
from exclave.merkle import leaf_hash
from exclave.vault.interface import MissionStatus
from exclave.vault.kept.log import Addition
from exclave.vault.kept.storage import body_key
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.vault.survey.survey import Fault, MissionNotFound, MissionView, SurveyLimits, survey
from tests.support.serving import open_mission
from tests.support.vault_world import SEATS, VaultParty, World, new_world, next_charter


class Seated:
    """A mission's public record, read from its store; counts what it is asked for."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission
        self.seat = mission.seat
        self.asked = 0

    async def checkpoint(self) -> bytes:
        return self.mission.log.note

    async def tile(self, path: str) -> bytes:
        self.asked += 1
        return self.mission.store.get(f"log/{path}")

    async def body(self, sha256: bytes) -> bytes:
        return self.mission.store.get(body_key(sha256))

    async def status(self) -> MissionStatus:
        return self.mission.status()


class Liar(Seated):
    """Claims a log of any size, rightly signed or not."""

    def __init__(self, mission: Mission, signer: VaultParty, size: int) -> None:
        super().__init__(mission)
        name = origin_for(mission.mission, mission.seat)
        key = NoteSigner(name=name, public_key=signer.log.public.raw, sign=signer.log.sign)
        self.note = sign_checkpoint(Checkpoint(origin=name, size=size, root=bytes(32)), key)

    async def checkpoint(self) -> bytes:
        return self.note


class Silent(Seated):
    """Never ends its answer."""

    async def tile(self, path: str) -> bytes:
        await asyncio.Event().wait()
        return b""


def look(world: World, sources: list[Seated], limits: SurveyLimits | None = None) -> MissionView:
    return asyncio.run(survey(sources, world.mission, limits=limits))  # type: ignore[arg-type]


def missions(world: World) -> list[Mission]:
    found = [open_mission(world, MemoryEngine(), seat=seat) for seat in SEATS]
    record, _ = world.deposit()
    for mission in found:
        submit(mission, world.signed(record))
    return found


@pytest.mark.parametrize("size", [2**40, 10**7, 10**6])
@pytest.mark.parametrize("signed", [True, False])
def test_a_claimed_size_is_believed_up_to_what_comes(size: int, signed: bool) -> None:
    world = new_world()
    one, two, three = missions(world)
    key = world.vaults[Seat(1)] if signed else world.vaults[Seat(2)]
    liar = Liar(one, key, size)
    view = look(world, [liar, Seated(two), Seated(three)])
    assert [seat.verified for seat in view.seats] == [False, True, True]
    assert [item.seat for item in view.problems if "log" in item.what or "tile" in item.what]
    assert {item.seat for item in view.problems} == {Seat(1)}
    assert liar.asked <= 20
    assert len(view.deposits) == 1


def test_a_log_that_nobody_can_serve_is_no_reason_to_stop() -> None:
    world = new_world()

    class Gone(Liar):
        async def tile(self, path: str) -> bytes:
            raise VaultUnreachable("gone")

    alone = Gone(open_mission(world, MemoryEngine()), world.vaults[Seat(1)], 2**40)
    with pytest.raises(MissionNotFound):
        look(world, [alone])


def grown(world: World) -> list[Seated]:
    one, two, _ = missions(world)
    for _ in range(4):
        submit(one, world.signed(world.deposit()[0]))
    return [Seated(one), Seated(two)]


@pytest.mark.parametrize(
    ("limits", "verified"),
    [
        (SurveyLimits(entries=3), [False, True]),
        (SurveyLimits(log_bytes=1500), [False, True]),
        (SurveyLimits(body_bytes=60_000), [True, True]),
    ],
)
def test_what_one_seat_may_send_is_bounded(limits: SurveyLimits, verified: list[bool]) -> None:
    world = new_world()
    view = look(world, list(grown(world)), limits)
    assert [seat.verified for seat in view.seats] == verified
    assert [item.seat for item in view.problems] == [Seat(1)]
    assert "at most" in view.problems[0].what


def test_a_seat_that_never_answers_ends_after_its_time() -> None:
    world = new_world()
    one, two, _ = missions(world)
    view = look(world, [Silent(one), Seated(two)], SurveyLimits(seconds=0.2))
    assert [seat.verified for seat in view.seats] == [False, True]
    assert all("not done after" in item.what for item in view.problems)


def test_a_body_is_kept_once_for_all_seats() -> None:
    world = new_world()
    view = look(world, [Seated(mission) for mission in missions(world)])
    assert view.problems == ()
    assert view.deposits[0].mirrored == SEATS


def test_a_later_charter_that_one_seat_has_counts() -> None:
    world = new_world()
    one, two, _ = missions(world)
    _, data = next_charter(world, notice="the second")
    submit(two, data)
    view = look(world, [Seated(one), Seated(two)], SurveyLimits(unsigned_entries=1))
    assert [seat.verified for seat in view.seats] == [True, True]
    assert view.charter.version == 2


def test_full_tiles_lead_to_the_root_too() -> None:
    """The root needs no full tile of level 0: a host could change old entries and their hashes."""
    world = new_world()
    one, two, _ = missions(world)
    envelope = Envelope(payload=b'{"kind":"refusals"}', kind=Kind.REFUSALS)
    for number in range(TILE_WIDTH):
        body = replace(envelope, payload=b'{"kind":"refusals","n":%d}' % number).to_bytes()
        one.append([Addition(type=EntryType.REFUSALS, statement=None, body=body)])
    assert one.log.size > TILE_WIDTH
    whole = look(world, [Seated(one), Seated(two)])
    assert whole.problems == ()
    entries = [entry.encode() for _, entry in one.log.entries()][:TILE_WIDTH]
    other = replace(parse_entry(entries[3]), service=parse_entry(entries[3]).service + 1)
    entries[3] = other.encode()
    forged = {
        "tile/entries/000": encode_bundle(entries),
        "tile/0/000": b"".join(map(leaf_hash, entries)),
    }

    class Forger(Seated):
        async def tile(self, path: str) -> bytes:
            return forged.get(path) or await super().tile(path)

    view = look(world, [Forger(one), Seated(two)])
    assert [seat.verified for seat in view.seats] == [False, True]
    assert [item.what for item in view.problems] == [
        "log: its entries do not lead to its checkpoint"
    ]
    assert view.problems[0].fault is Fault.TRUNCATED
