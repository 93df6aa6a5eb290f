"""P7: what a host does by hand without permission shows at the others.

The attacker's powers: host's root of vault 2. He stops the vault when he likes, for as long as he
likes, to do what no statement permits; he has its log key and its state's key. In the second part
his vault's software is changed too, and says nothing of itself.
He wants the others not to notice, or to notice a permission that nobody gave.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest

from exclave.authority.agreement import Act, WitnessDuties
from exclave.authority.alarm import parse_alarm
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.authority.order_parts import OrderHead
from exclave.authority.orders import order_payload
from exclave.authority.permission import Declare, DeclaredAct, Grant
from exclave.clock import Clock
from exclave.engine.memory import MemoryEngine
from exclave.ids import Seat
from exclave.ledger.entry import EntryType
from exclave.monitor.values import Level
from exclave.vault.interface import MissionStatus, VaultRefused
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.agreements import agreement, head, signed, terminate
from tests.support.serving import open_mission
from tests.support.vault_world import START, World, new_world
from tests.support.watching import WatchedSeats, gone

TWO = Seat(2)
HOUR = timedelta(hours=1)


def declaration(world: World, clock: Clock, act: DeclaredAct = DeclaredAct.RESTART) -> bytes:
    """By the log key of seat 2, for an hour from now."""
    since = clock().replace(microsecond=0)
    order = Declare(head=head(world), seat=TWO, act=act, since=since, until=since + HOUR)
    envelope = Envelope(payload=order_payload(order), kind=order.kind)
    log = world.vaults[TWO].log
    return envelope.with_signature(log.public, log.sign(envelope.pae)).to_bytes()


def started(world: World, store: MemoryEngine, now: Clock) -> Mission:
    """The vault is started, and goes once round its house."""
    key = world.vaults[TWO].state.public.key_id
    mission = open_mission(world, store, seat=TWO, now=now, agreement_key=key)
    mission.note_start()
    mission.watch()
    return mission


def alarms(mission: Mission) -> list[str]:
    """Causes in its log."""
    found = (entry for _, entry in mission.log.entries() if entry.type is EntryType.ALARM)
    return [parse_alarm(parse_envelope(mission.log.body(e.hash))).cause.value for e in found]


def test_a_restart_that_was_not_declared_is_in_the_log() -> None:
    """Where everybody reads it; one that was declared before is not an alarm."""
    world, store = new_world(), MemoryEngine()

    def now() -> datetime:
        return START + timedelta(minutes=5)

    first = started(world, store, now)
    assert alarms(first) == []
    first.close()
    second = started(world, store, now)
    assert alarms(second) == ["undeclared-restart"]
    assert [item.cause for item in second.status().alarms] == ["undeclared-restart"]
    submit(second, declaration(world, now))
    second.close()
    third = started(world, store, now)
    assert len(alarms(third)) == 1
    assert third.status().alarms == ()


def test_a_vault_that_says_nothing_of_itself_is_named_by_its_own_entries() -> None:
    """Its clock went on while its service time stood; the monitor compares two entries."""
    for declares in (False, True):
        seats = WatchedSeats()
        seats.spread(seats.record())
        seats.meet()
        assert seats.look() == []
        if declares:
            seats.spread(declaration(seats.world, seats.now))
            seats.meet()
            seats.look()
        # It is down for ten minutes; the others are not.
        for seat in (1, 3):
            mission = seats.missions[Seat(seat)]
            mission.service._now += 600_000
        seats.pass_time(600, service=False)
        seats.spread(seats.record())
        seats.meet()
        found = [(int(seat or 0), cause) for seat, cause in seats.causes()]
        named = [item for item in found if item[1] == "standstill"]
        assert named == ([] if declares else [(2, "standstill")]), found


def test_no_statement_permits_reading_unlinking_clocks_or_keys() -> None:
    """They cannot be written, and what names them is not read."""
    words = ("read", "unlink", "delete", "clock", "keys", "sweep", "export")
    assert not any(word in act for act in (*Act, *DeclaredAct) for word in words)
    world, store = new_world(), MemoryEngine()
    mission = open_mission(world, store, seat=TWO)
    submit(mission, signed(world, agreement(world, 2), hosts=(2,)))
    order = Grant(head=head(world), seat=TWO, act=Act.ENTER, since=START, until=START + HOUR)
    payload = order_payload(order)
    assert b'"act":"enter"' in payload
    for word in words:
        forged = payload.replace(b'"act":"enter"', f'"act":"{word}"'.encode())
        envelope = world.officials_sign(Envelope(payload=forged, kind=order.kind), range(7))
        size = mission.log.size
        with pytest.raises(Exception, match=r"grant\.act: expected"):
            submit(mission, envelope.to_bytes())
        assert mission.log.size == size
    submit(mission, signed(world, order, hosts=()))


def test_the_host_permits_itself_nothing() -> None:
    """Neither with its state's key nor with its log key, nor what its agreement does not list."""
    world, store = new_world(), MemoryEngine()
    mission = open_mission(world, store, seat=TWO)
    submit(mission, signed(world, agreement(world, 2), hosts=(2,)))
    fresh = OrderHead(
        mission=world.mission, charter=head(world).charter, nonce=os.urandom(16), issued=START,
        reason="maintenance",
    )  # fmt: skip
    order = Grant(head=fresh, seat=TWO, act=Act.ENTER, since=START, until=START + HOUR)
    envelope = Envelope(payload=order_payload(order), kind=order.kind)
    party = world.vaults[TWO]
    for key in (party.log, party.state):
        forged = envelope.with_signature(key.public, key.sign(envelope.pae))
        with pytest.raises(VaultRefused) as refused:
            submit(mission, forged.to_bytes())
        assert refused.value.cause == "quorum"
    unlisted = Grant(head=fresh, seat=TWO, act=Act.MOVE, since=START, until=START + HOUR)
    with pytest.raises(VaultRefused) as refused:
        submit(mission, signed(world, unlisted, hosts=()))
    assert refused.value.cause == "conflict"


def breaches(mission: Mission) -> list[str]:
    """Causes in its log that speak of a witness duty; these vaults count no other witnesses."""
    return [cause for cause in alarms(mission) if cause != "witness-quorum-lost"]


def owing(seats: WatchedSeats) -> None:
    """Seat 2 has agreed to cosign the logs of 1 and 3 within two minutes."""
    duties = WitnessDuties(seats=(Seat(1), Seat(3)), freshness=120)
    terms = agreement(seats.world, 2, witness=duties)
    seats.spread(signed(seats.world, terms, hosts=(2,)))
    seats.meet()


def beat(seats: WatchedSeats, *who: int) -> None:
    """A round of time and cosigning, and each vault goes once round its house."""
    seats.pass_time(50)
    seats.meet(*who)
    for mission in seats.missions.values():
        mission.watch()


def test_a_vault_that_stops_cosigning_is_named_by_all() -> None:
    """By itself, which is not healthy any more; by whom it owes it; by whoever follows the logs."""
    seats = WatchedSeats(new_world())
    owing(seats)
    for _ in range(4):
        beat(seats)
        assert not any(breaches(mission) for mission in seats.missions.values())
        assert (2, "duty") not in seats.causes()
    for _ in range(3):
        beat(seats, 1, 3)
    assert breaches(seats.missions[TWO]) == ["witness-duty"]
    assert "witness-duty" in seats.missions[TWO].status().ailing
    for seat in (Seat(1), Seat(3)):
        (alarm,) = (
            item for item in seats.missions[seat].status().alarms if item.cause == "witness-owed"
        )
        assert alarm.detail.startswith("seat 2: has not cosigned this log since 20")
        assert not {"witness-duty", "witness-owed"} & {*seats.missions[seat].status().ailing}
    (found,) = [item for item in seats.look() if item.cause.value == "duty"]
    assert (found.seat, found.level) == (2, Level.CRITICAL)
    assert "has not cosigned the log of seat 1 since" in found.what
    assert "log of seat 3" in found.what


def test_a_vault_that_hides_its_own_breach() -> None:
    """Its software says nothing of itself: its fellows and the monitor do."""
    seats = WatchedSeats(new_world())
    owing(seats)
    for _ in range(4):
        seats.pass_time(50)
        seats.meet(1, 3)
        for seat in (Seat(1), Seat(3)):
            seats.missions[seat].watch()
    assert breaches(seats.missions[TWO]) == []
    assert breaches(seats.missions[Seat(1)]) == ["witness-owed"]
    assert (2, "duty") in seats.causes()


def test_nobody_is_late_for_a_log_that_asked_nobody() -> None:
    """Seat 1 does not answer: seat 2 cannot have cosigned it, and is not named for that."""
    seats = WatchedSeats(new_world())
    owing(seats)

    async def silent() -> MissionStatus:
        raise gone()

    seats.sources[Seat(1)].status = silent  # type: ignore[method-assign]
    for _ in range(4):
        beat(seats, 2, 3)
    assert (2, "duty") not in seats.causes()


def test_a_duty_ends_with_its_agreement() -> None:
    seats = WatchedSeats(new_world())
    terms = agreement(
        seats.world, 2, notice=0, witness=WitnessDuties(seats=(Seat(1), Seat(3)), freshness=120)
    )
    seats.spread(signed(seats.world, terms, hosts=(2,)))
    seats.spread(signed(seats.world, terminate(seats.world, terms), (), (2,)))
    for _ in range(4):
        beat(seats, 1, 3)
    assert not any(breaches(mission) for mission in seats.missions.values())
    assert (2, "duty") not in seats.causes()
