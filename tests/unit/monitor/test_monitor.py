"""Each thing that a monitor names, with the right vault and nothing else; and a quiet mission."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from exclave.authority.alarm import Alarm, AlarmCause, alarm_envelope
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.evidence import FORK, Evidence, evidence_payload
from exclave.authority.fields import FormatTooNew
from exclave.authority.orders import Veto
from exclave.errors import VaultUnreachable
from exclave.ids import Seat, StatementHash
from exclave.ledger.cosignature import cosign
from exclave.ledger.entry import EntryType
from exclave.ledger.note import NoteSignature, parse_note
from exclave.monitor.memory import Memory, MemoryBroken, SeatMemory, memory_bytes, parse_memory
from exclave.monitor.values import Level, period
from exclave.vault.interface import AlarmState, MissionStatus, Quarantined, State, WarrantState
from exclave.vault.kept.log import Addition
from exclave.vault.kept.refusals import Refusals
from exclave.vault.line.identity import new_identity
from exclave.vault.survey.survey import MissionNotFound
from tests.support.serving import passed
from tests.support.vault_world import START, fellow_lines, new_world, next_charter
from tests.support.watching import SeatSource, WatchedSeats, gone

TWO = Seat(2)


def running() -> WatchedSeats:
    """A mission with a deposit that everybody has seen, looked at once."""
    seats = WatchedSeats()
    seats.spread(seats.record())
    seats.meet()
    assert seats.look() == []
    return seats


def test_a_quiet_mission_gives_nothing_however_often_it_is_looked_at() -> None:
    seats = running()
    for _ in range(3):
        seats.pass_time(20)
        seats.spread(seats.record())
        seats.meet()
        judgement = seats.judge()
        assert judgement.findings == ()
        assert judgement.level is Level.INFO
    seats.forget()
    assert seats.look() == []


# One log


def test_a_vault_that_was_put_back_is_named() -> None:
    seats = running()
    disk = seats.snapshot(2)
    seats.spread(seats.record())
    seats.meet()
    assert seats.look() == []
    seats.restore(2, disk)
    found = seats.look()
    assert (found[0].seat, found[0].vault, found[0].state) == (2, "vault-2", "XB")
    assert found[0].level is Level.CRITICAL
    assert {item.seat for item in found} == {2}
    assert "rollback" in found[0].line
    assert "this monitor" in found[0].what
    assert "seat 1" in found[0].what
    # It is named until it is right again, and by the fellows' word alone too.
    seats.pass_time(5)
    assert (2, "rollback") in seats.causes()
    seats.forget()
    assert (2, "rollback") in seats.causes()


def test_a_memory_needs_nobody_else_to_see_a_rollback() -> None:
    seats = running()
    disk = {seat: seats.snapshot(seat) for seat in (1, 2, 3)}
    seats.spread(seats.record())
    seats.meet()
    assert seats.look() == []
    for seat in (1, 2, 3):
        seats.restore(seat, disk[seat])
    assert seats.causes() == [(seat, "rollback") for seat in (1, 2, 3)]
    seats.forget()
    assert seats.look() == []


def test_a_memory_keeps_what_was_contradicted() -> None:
    """Also when nobody else remembers, the second look names what the first one named."""
    seats = running()
    disks = {seat: seats.snapshot(seat) for seat in (1, 2, 3)}
    seats.spread(seats.record())
    seats.meet()
    assert seats.look() == []
    for seat, disk in disks.items():
        seats.restore(seat, disk)
    expected = [(seat, "rollback") for seat in disks]
    assert [seats.causes() for _ in range(2)] == [expected, expected]


def test_another_history_is_a_fork() -> None:
    seats = running()
    disk = seats.snapshot(2)
    seats.spread(seats.record())
    seats.meet()
    assert seats.look() == []
    seats.restore(2, disk)
    for _ in range(3):
        seats.spread(seats.record(), 2)  # it goes on from there, elsewhere
    found = seats.causes()
    assert (2, "fork") in found
    assert {seat for seat, _ in found} == {2}
    seats.forget()
    assert (2, "fork") in seats.causes()


def test_what_a_fellow_claims_to_have_seen_counts_only_when_it_was_signed() -> None:
    seats = running()

    class Accuser(SeatSource):
        async def witness_head(self, log: Seat) -> bytes:
            del log
            return seats.note(3, 99, bytes(32)).replace(b"/3\n", b"/2\n")

    seats.sources[Seat(3)] = Accuser(seats.missions[Seat(3)])
    assert seats.look() == []


def test_evidence_in_a_fellows_log_is_read_and_checked() -> None:
    seats = running()
    log = seats.missions[TWO].log
    seats.show_witness(3, seats.note(2, log.size, bytes(32)))
    seats.meet(1, 3)
    found = seats.look()
    assert [(item.seat, item.cause.value) for item in found] == [(2, "fork")]
    assert "the log of seat 3 proves" in found[0].what


def test_false_evidence_is_the_fault_of_who_logged_it() -> None:
    seats, other = running(), WatchedSeats()
    notes = [other.note(2, 2, bytes([number]) * 32) for number in (1, 2)]
    name, mission = other.world.mission.hex().encode(), seats.world.mission
    first, second = (note.replace(name, mission.hex().encode()) for note in notes)
    evidence = Evidence(mission=mission, seat=TWO, cause=FORK, notes=(first, second))
    body = Envelope(payload=evidence_payload(evidence), kind=Kind.EVIDENCE)
    seats.missions[Seat(3)].append(
        [Addition(type=EntryType.EVIDENCE, statement=body.statement_hash, body=body.to_bytes())]
    )
    seats.meet()
    assert seats.causes() == [(3, "statement")]


def test_a_frozen_log_is_named_after_freshness() -> None:
    seats = running()
    seats.pass_time(61)
    seats.meet(1, 3)
    found = seats.look()
    assert [(item.seat, item.cause.value) for item in found] == [(2, "freeze")]
    assert "allowed is 1 minute" in found[0].what


def test_a_log_without_a_quorum_is_named_after_freshness() -> None:
    seats = running()

    async def none() -> bytes:
        raise gone()

    seats.sources[TWO].cosigned = none  # type: ignore[method-assign]
    assert seats.look() == []
    seats.pass_time(61)
    seats.meet()
    assert seats.causes() == [(2, "freeze")]


def test_a_cosigned_note_of_too_few_is_named() -> None:
    seats = running()
    note = parse_note(seats.missions[TWO].log.note)

    async def alone() -> bytes:
        return note.encode()

    seats.sources[TWO].cosigned = alone  # type: ignore[method-assign]
    assert seats.causes() == [(2, "freeze")]


def test_entries_that_no_quorum_has_seen_are_named() -> None:
    seats = running()
    seats.spread(seats.record())
    old = asyncio.run(seats.sources[TWO].cosigned())
    seats.pass_time(50)
    seats.meet()
    fresh = parse_note(old, most=200)
    lines: list[NoteSignature] = []
    for seat in (1, 3):
        cosigner = seats.world.vaults[Seat(seat)].cosigner(seats.world.mission, Seat(seat))
        lines += cosign(fresh.text, cosigner, int(seats.now().timestamp()))
    held = replace(fresh, signatures=(fresh.signatures[0], *lines)).encode()

    async def cosigned() -> bytes:
        return held

    seats.sources[TWO].cosigned = cosigned  # type: ignore[method-assign]
    seats.pass_time(15)
    seats.meet(1, 3)
    found = seats.look()
    assert [(item.seat, item.cause.value) for item in found] == [(2, "freeze")]
    assert "no quorum has seen its entries from" in found[0].what


def test_when_too_few_answer_the_others_are_not_to_blame() -> None:
    seats = running()

    class Away(SeatSource):
        async def checkpoint(self) -> bytes:
            raise VaultUnreachable("seat: no answer")

        async def status(self) -> MissionStatus:
            raise VaultUnreachable("seat: no answer")

    for seat in (1, 3):
        seats.sources[Seat(seat)] = Away(seats.missions[Seat(seat)])
    first = seats.look()
    assert [(item.seat, item.cause.value) for item in first] == [(1, "silent"), (3, "silent")]
    assert {item.level for item in first} == {Level.WARNING}
    seats.pass_time(61)
    found = {(item.seat or 0, item.cause.value): item for item in seats.look()}
    assert found[1, "silent"].level is Level.CRITICAL
    assert "1 minute" in found[1, "silent"].what
    assert found[2, "freeze"].level is Level.WARNING
    assert "only 1 vaults answer" in found[2, "freeze"].what
    seats.sources[TWO] = Away(seats.missions[TWO])
    with pytest.raises(MissionNotFound):
        seats.look()


def test_missing_tiles_entries_and_bodies_are_named() -> None:
    seats = running()

    class Cut(SeatSource):
        async def tile(self, path: str) -> bytes:
            if path.startswith("tile/0"):
                raise gone()
            return await super().tile(path)

    seats.sources[TWO] = Cut(seats.missions[TWO])
    assert seats.causes() == [(2, "truncated")]

    class Short(SeatSource):
        async def tile(self, path: str) -> bytes:
            data = await super().tile(path)
            return data[:-10] if "entries" in path else data

    seats.sources[TWO] = Short(seats.missions[TWO])
    assert seats.causes() == [(2, "truncated")]

    class Bodiless(SeatSource):
        async def body(self, sha256: bytes) -> bytes:
            if sha256 in records:
                raise gone()
            return await super().body(sha256)

    entries = seats.missions[TWO].log.entries()
    records = [entry.hash for _, entry in entries if entry.type is EntryType.RECORD]
    seats.sources[TWO] = Bodiless(seats.missions[TWO])
    assert seats.causes() == [(2, "missing-body")]


def test_a_checkpoint_that_the_seat_did_not_sign_is_named() -> None:
    seats = running()
    mission = seats.missions[TWO]

    async def stranger() -> bytes:
        signed = seats.note(3, mission.log.size, bytes(32))  # by the key of another seat
        return signed.replace(b"/3", b"/2")

    seats.sources[TWO].checkpoint = stranger  # type: ignore[method-assign]
    assert (2, "signature") in seats.causes()
    assert {seat for seat, _ in seats.causes()} == {2}


def test_a_witnessed_entry_without_a_quorum_is_named() -> None:
    seats = running()
    mission = seats.missions[TWO]
    note = parse_note(mission.log.note)
    lines = fellow_lines(seats.world, mission, [TWO])
    body = replace(note, signatures=(*note.signatures, *lines)).encode()
    mission.append([Addition(type=EntryType.WITNESSED, statement=None, body=body)])
    seats.meet()
    found = seats.look()
    assert [(item.seat, item.cause.value) for item in found] == [(2, "witnessed")]
    assert "quorum not reached" in found[0].what


def test_a_log_that_ages_too_fast_is_named() -> None:
    seats = running()
    passed(seats.missions[TWO], timedelta(seconds=250))
    assert seats.look() == [], "clocks that differ by less do not differ"
    passed(seats.missions[TWO], timedelta(seconds=100))
    found = seats.look()
    assert [(item.seat, item.cause.value) for item in found] == [(2, "clock")]
    assert "its service time ran 5 minutes 5" in found[0].what
    # By the memory alone: a vault that stood still for a day and then runs to catch up.
    seats = running()
    passed(seats.missions[Seat(1)], timedelta(days=1))
    passed(seats.missions[Seat(3)], timedelta(days=1))
    seats.pass_time(86400, service=False)
    seats.meet()
    assert seats.look() == []
    passed(seats.missions[TWO], timedelta(hours=23))
    assert seats.causes() == [(2, "clock")]
    assert seats.look() == [], "named once, then measured anew"


class Claiming(SeatSource):
    """A status that says something else."""

    changes: Mapping[str, object] = MappingProxyType({})

    async def status(self) -> MissionStatus:
        return replace(await super().status(), **self.changes)  # type: ignore[arg-type]


def claims(seats: WatchedSeats, **changes: object) -> None:
    source = Claiming(seats.missions[TWO])
    source.changes = changes
    seats.sources[TWO] = source


def test_effects_before_the_log_allows_them_are_named() -> None:
    seats = WatchedSeats(new_world(read_delay=3600))
    reader = new_identity("reader", START)
    seats.spread(seats.world.warrant(reader))
    seats.meet()
    (item,) = seats.missions[TWO].status().warrants
    assert item.state is State.WAITING
    seats.look()
    early = WarrantState(statement=item.statement, state=State.RELEASED, seconds=None)
    claims(seats, warrants=(early,))
    found = [item for item in seats.look() if item.level is Level.CRITICAL]
    assert [(item.seat, item.cause.value) for item in found] == [(2, "early")]
    claims(seats, warrants=(replace(early, statement=StatementHash(bytes(32))),))
    assert (2, "early") in seats.causes()
    claims(seats, charter=StatementHash(bytes(32)))
    assert (2, "early") in seats.causes()


def test_claims_that_the_log_does_not_bear_out_are_named() -> None:
    seats = running()
    claims(seats, log_size=99)
    assert seats.causes() == [(2, "withheld")]
    claims(seats, locked=True)
    assert seats.causes() == [(2, "claim")]


def test_the_words_of_a_host_do_not_reach_a_terminal_as_they_are() -> None:
    seats = running()
    words = "\x1b[2Jnothing is wrong\n" + "x" * 9999
    claims(seats, quarantined=(Quarantined(entry=1, why=words),))
    (found,) = seats.look()
    assert "entry 1 of its log: \ufffd[2Jnothing is wrong\ufffdxxx" in found.what
    assert len(found.what) == 1024


def test_alarms_and_what_cannot_be_followed_are_shown() -> None:
    seats = running()
    alarm = AlarmState(cause="clock-ahead", began="2026-01-01T00:00:00Z", detail="by 400 s")
    claims(seats, alarms=(alarm,))
    (found,) = seats.look()
    assert (found.seat, found.cause.value, found.level) == (2, "alarm", Level.WARNING)
    claims(seats, alarms=(replace(alarm, cause="engine-corrupt"),))
    assert seats.look()[0].level is Level.CRITICAL
    envelope = alarm_envelope(
        Alarm(
            mission=seats.world.mission,
            cause=AlarmCause.CLOCK_AHEAD,
            detail="by 400 s",
            began=seats.now(),
        )
    )
    claims(seats)
    seats.missions[TWO].append(
        [
            Addition(
                type=EntryType.ALARM,
                statement=envelope.statement_hash,
                body=envelope.to_bytes(),
            )
        ]
    )
    seats.meet()
    (past,) = seats.look()
    assert (past.seat, past.cause.value, past.level) == (2, "alarm", Level.NOTICE)
    assert seats.look() == []


def test_refusals_are_counted_and_change_nothing() -> None:
    seats = running()
    mission = seats.missions[TWO]
    refusals = Refusals(seats.world.mission, seats.now)
    for _ in range(2):
        refusals.count("anonymous", "quota")
    seats.pass_time(3601)
    due = refusals.due()
    assert due is not None
    mission.append([due])
    seats.meet()
    judgement = seats.judge()
    assert [item.what for item in judgement.findings] == ["refused 2 quota"]
    assert judgement.level is Level.INFO
    assert seats.judge().findings == ()


# Between the seats


def test_a_statement_that_one_lacks_is_named_there_after_a_heartbeat() -> None:
    seats = running()
    seats.spread(seats.record(), 1, 3)
    seats.meet()
    assert seats.look() == [], "on its way"
    seats.pass_time(16)
    seats.meet()
    (found,) = seats.look()
    assert (found.seat, found.cause.value, found.level) == (2, "disagreement", Level.WARNING)
    assert "which seats 1, 3 have" in found.what
    seats.pass_time(45)
    seats.meet()
    assert seats.look()[0].level is Level.CRITICAL


def test_a_statement_that_one_alone_has_is_named_there() -> None:
    seats = running()
    seats.spread(seats.record(), 2)
    seats.pass_time(16)
    seats.meet()
    assert seats.causes() == [(2, "disagreement")]
    seats.forget()
    assert seats.causes() == [(2, "disagreement")]


def test_a_lockdown_here_and_not_there_is_named() -> None:
    seats = running()
    seats.spread(seats.lockdown(), 1, 3)
    seats.meet()
    assert [item.cause.value for item in seats.look()] == ["order"]
    seats.pass_time(16)
    seats.meet()
    assert seats.causes() == [(2, "disagreement"), (2, "lockdown")]


def test_another_charter_in_force_is_named() -> None:
    seats = running()
    _, charter = next_charter(seats.world)
    seats.spread(charter, 1, 3)
    seats.meet()
    assert [item.cause.value for item in seats.look()] == ["in-effect"]
    seats.pass_time(16)
    seats.meet()
    assert seats.causes() == [(2, "charter"), (2, "disagreement")]


def test_two_charters_for_one_place_are_named() -> None:
    seats = running()
    _, one = next_charter(seats.world)
    _, other = next_charter(seats.world, notice="another")
    seats.spread(one)
    seats.spread(other)
    seats.meet()
    found = seats.look()
    assert found[0].cause.value == "conflict"
    assert found[0].seat is None
    assert "seats 1, 2, 3" in found[0].what


# News


def test_what_waits_is_told_while_it_waits_and_what_happened_once() -> None:
    seats = WatchedSeats(new_world(read_delay=3600))
    assert seats.look() == []
    warrant = seats.world.warrant(new_identity("reader", START))
    seats.spread(warrant)
    seats.meet()
    for _ in range(2):
        (found,) = seats.look()
        assert (found.level, found.cause.value) == (Level.NOTICE, "waiting")
        assert "seat 1 in 59 minutes" in found.what or "seat 1 in 1 hour" in found.what
        assert "it can be vetoed" in found.what
    (item,) = seats.missions[TWO].status().warrants
    seats.spread(seats.order(Veto(head=seats.head(), target=item.statement), (0,)))
    seats.meet()
    assert sorted(item.cause.value for item in seats.look()) == ["in-effect", "order"]
    assert seats.look() == []


def test_a_released_warrant_is_told_once() -> None:
    seats = WatchedSeats()
    seats.look()
    seats.spread(seats.world.warrant(new_identity("reader", START)))
    seats.meet()
    (found,) = seats.look()
    assert "its reader may read" in found.what
    assert seats.look() == []


# Memory


def test_a_memory_is_read_as_it_was_written() -> None:
    seats = running()
    memory = seats.memory
    assert set(memory.seats) == {1, 2, 3}
    assert parse_memory(memory_bytes(memory), memory.mission) == memory


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\n", b"\xff", b'{"kind":"monitor-memory"}\n'])
def test_a_memory_that_cannot_be_read_is_an_error(data: bytes) -> None:
    with pytest.raises(MemoryBroken):
        parse_memory(data, new_world().mission)


def test_a_memory_of_a_later_version_is_named() -> None:
    seats = running()
    later = memory_bytes(seats.memory).replace(b'"version":1', b'"version":2')
    with pytest.raises(FormatTooNew, match="expected version 1 of monitor-memory, got version 2"):
        parse_memory(later, seats.world.mission)


def test_a_memory_of_another_mission_or_spelling_is_refused() -> None:
    seats = running()
    data = memory_bytes(seats.memory)
    with pytest.raises(MemoryBroken, match="expected mission"):
        parse_memory(data, new_world().mission)
    with pytest.raises(MemoryBroken, match="canonical"):
        parse_memory(data.rstrip(), seats.world.mission)
    broken = Memory(mission=seats.world.mission, seats={TWO: SeatMemory(note=b"no", behind=0)})
    with pytest.raises(MemoryBroken):
        parse_memory(memory_bytes(broken), seats.world.mission)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "no time"), (59, "59 seconds"), (93784, "1 day 2 hours")]
)
def test_periods_in_words(seconds: float, words: str) -> None:
    assert period(seconds) == words
