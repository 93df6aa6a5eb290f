"""What a vault notices about clocks and witnesses, and how often it says so."""

from datetime import datetime, timedelta

import pytest

from exclave.authority.alarm import AlarmCause, parse_alarm
from exclave.authority.envelope import parse_envelope
from exclave.engine.memory import Fault, MemoryEngine
from exclave.errors import StorageError
from exclave.ids import MissionId
from exclave.ledger.entry import EntryType
from exclave.vault.kept.expiry import ExpiryInputs, WitnessRules
from exclave.vault.mission.alarms import DAY_MS, HOUR_MS, Alarms, Reading, Seen, notices
from tests.support.serving import fellows, open_mission, passed
from tests.support.vault_world import START, new_world

ZERO, YEARS = timedelta(), timedelta(days=3650)
RULES = WitnessRules(f=0, q=2, freshness=600)
BEFORE = Reading(wall=START, service_ms=0)


def asked(wall: timedelta = ZERO, service_ms: int = 0, *fresh: timedelta) -> ExpiryInputs:
    now = START + wall
    times = {"own": now} | {f"w{number}": now - age for number, age in enumerate(fresh)}
    return ExpiryInputs(wall=now, enrolled=START, service_ms=service_ms, times=times, rules=RULES)


def seen(*ahead: timedelta) -> dict[str, Seen]:
    return {f"w{n}": Seen(START + span, START) for n, span in enumerate(ahead)}


@pytest.mark.parametrize(
    ("moved", "cause"),
    [
        (timedelta(minutes=4), None),
        (timedelta(minutes=6), AlarmCause.WALL_CLOCK_JUMP),
        (-timedelta(minutes=6), AlarmCause.WALL_CLOCK_JUMP),
        (YEARS, AlarmCause.WALL_CLOCK_JUMP),
        (-YEARS, AlarmCause.WALL_CLOCK_JUMP),
    ],
)
def test_a_jump_is_what_the_monotonic_clock_did_not_do(
    moved: timedelta, cause: AlarmCause | None
) -> None:
    inputs = asked(timedelta(seconds=30) + moved, 30_000, ZERO)
    found = notices(inputs, before=BEFORE, started_ms=0, seen={})
    assert list(found) == ([] if cause is None else [cause])


@pytest.mark.parametrize(
    ("ahead", "causes"),
    [
        ([ZERO, ZERO], []),
        ([timedelta(minutes=4), ZERO], []),
        ([YEARS], []),  # one against one: nobody can say who is wrong
        ([YEARS, YEARS], [AlarmCause.CLOCK_BEHIND]),
        ([-YEARS, -YEARS], [AlarmCause.CLOCK_AHEAD]),
        ([YEARS, ZERO], [AlarmCause.WITNESS_MINORITY]),
        ([YEARS, ZERO, -YEARS], [AlarmCause.WITNESS_MINORITY]),
        ([YEARS, YEARS, ZERO], [AlarmCause.WITNESS_MINORITY]),
    ],
)
def test_clocks_are_held_against_the_median(
    ahead: list[timedelta], causes: list[AlarmCause]
) -> None:
    inputs = asked(ZERO, 0, ZERO)
    assert list(notices(inputs, before=BEFORE, started_ms=0, seen=seen(*ahead))) == causes


def test_a_lost_quorum_is_said_once_witnesses_had_time_to_come() -> None:
    old = timedelta(seconds=601)
    for service_ms, expected in ((599_000, []), (600_000, [AlarmCause.WITNESS_QUORUM_LOST])):
        inputs = asked(timedelta(milliseconds=service_ms), service_ms, old)
        assert list(notices(inputs, before=BEFORE, started_ms=0, seen={})) == expected
    fine = asked(timedelta(seconds=700), 700_000, timedelta(seconds=1))
    assert notices(fine, before=BEFORE, started_ms=0, seen={}) == {}


def logged(alarms: Alarms, now_ms: int, last: dict[AlarmCause, int]) -> list[str]:
    found = alarms.due(now_ms, lambda cause: last.get(cause, 0))
    for addition in found:
        assert addition.type is EntryType.ALARM
        last[parse_alarm(parse_envelope(addition.body)).cause] = now_ms
    return [parse_alarm(parse_envelope(item.body)).detail for item in found]


def test_at_most_once_an_hour_and_once_a_day_while_it_lasts() -> None:
    alarms = Alarms(MissionId(bytes(32)), "own", Reading(wall=START, service_ms=1), START)
    last: dict[AlarmCause, int] = {}
    said = 0
    for step in range(0, 3 * DAY_MS, HOUR_MS // 2):
        wall = START + timedelta(milliseconds=step)
        alarms.note(
            AlarmCause.ENGINE_CORRUPT,
            "body ab: other bytes",
            Reading(wall=wall, service_ms=step + 1),
        )
        said += len(logged(alarms, step + 1, last))
    assert said == 3, "three days, three entries"
    assert [item.began for item in alarms.states()] == [START.strftime("%Y-%m-%dT%H:%M:%SZ")]


def test_a_witness_that_did_not_answer_since_the_start_is_not_behind() -> None:
    alarms = Alarms(MissionId(bytes(32)), "own", BEFORE, START)
    for step in range(3):
        at = timedelta(seconds=30 * step)
        old = timedelta(days=3) + at  # the same timestamps each time
        alarms.look(asked(at, 30_000 * step, old, old))
    assert alarms.states() == ()
    # One that comes and is behind is another matter.
    for age in (timedelta(days=2), timedelta(days=2, hours=1)):
        alarms.look(asked(timedelta(seconds=90), 90_000, age, age))
    assert [item.cause for item in alarms.states()] == ["clock-ahead"]


def test_a_clock_set_back_while_the_vault_was_down_is_noticed() -> None:
    newest = START + timedelta(hours=1)
    alarms = Alarms(MissionId(bytes(32)), "own", BEFORE, newest)
    alarms.look(asked(timedelta(seconds=30), 30_000, ZERO))
    assert [item.cause for item in alarms.states()] == ["wall-clock-jump"]


class Hands:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


def test_a_mission_logs_shows_and_forgets_an_alarm() -> None:
    world, now, store = new_world(), Hands(), MemoryEngine()
    mission = open_mission(world, store, now=now, witnesses=fellows(now))
    mission.watch()
    assert mission.log.size == 1
    now.time += YEARS
    mission.watch()
    mission.watch()
    (alarm,) = mission.status().alarms
    assert alarm.cause == "wall-clock-jump"
    kinds = [entry.type for _, entry in mission.log.entries()]
    assert kinds == [EntryType.CHARTER, EntryType.ALARM]
    passed(mission, timedelta(hours=2))
    now.time += timedelta(hours=2)
    mission.watch()
    assert mission.status().alarms == ()
    before = mission.index.dump(), mission.fold.last_alarm(AlarmCause.WALL_CLOCK_JUMP)
    mission.rebuild()
    assert (mission.index.dump(), mission.fold.last_alarm(AlarmCause.WALL_CLOCK_JUMP)) == before


def test_a_full_disk_keeps_the_alarm_for_later() -> None:
    world, now, store = new_world(), Hands(), MemoryEngine()
    mission = open_mission(world, store, now=now, witnesses=fellows(now))
    store._faults[store.writes + 1] = Fault.NO_SPACE
    now.time -= YEARS
    with pytest.raises(StorageError):
        mission.watch()
    assert mission.log.size == 1
    mission.watch()
    assert mission.log.size == 2
