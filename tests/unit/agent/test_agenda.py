"""The scheduler's rules, one moment at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exclave.agent.agenda import Decision, decide, ended, next_start, recovered
from exclave.agent.causes import causes
from exclave.agent.jobs import Job, JobKind, Orders, spread
from exclave.agent.memory import MemoryBroken, memory_bytes, parse_memory
from exclave.agent.state import AgentState, Outcome, Result
from exclave.authority.fields import FormatTooNew
from exclave.calendar import parse_calendar
from exclave.ids import Seat
from exclave.signals.cause import Cause

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAILY = Job(
    id="daily",
    kind=JobKind.DEPOSIT,
    schedule=(parse_calendar("*-*-* 02:00"),),
    registers=("land",),
    first_pause=60,
    longest_pause=600,
)
OTHER = replace(DAILY, id="other", registers=("gazette",))
LOGS = replace(DAILY, id="logs", kind=JobKind.MONITOR, registers=())
GOOD = Outcome(result=Result.GOOD)
FAILED = Outcome(result=Result.FAILED, said="database: no connection")


def orders(*jobs: Job) -> Orders:
    return Orders(jobs=jobs or (DAILY,), rpo={"land": 26 * 3600})


def begun(*jobs: Job) -> AgentState:
    return decide(orders(*jobs), AgentState(seen=NOON), NOON).state


def at(state: AgentState, moment: datetime, *jobs: Job) -> Decision:
    return decide(orders(*jobs), state, moment)


def names(decision: Decision) -> list[str]:
    return [job.id for job in decision.start]


def test_a_new_job_begins_with_its_next_slot() -> None:
    state = begun()
    assert state.jobs["daily"].done == NOON
    assert next_start(DAILY, state.jobs["daily"], orders()) == NOON + 14 * HOUR
    assert not at(state, NOON + 14 * HOUR - MINUTE).start
    assert names(at(state, NOON + 14 * HOUR)) == ["daily"]


def test_it_waits_until_what_comes_first() -> None:
    state = begun()
    assert at(state, NOON).wake == NOON + HOUR  # never longer, however far the slot
    assert at(state, NOON + 13 * HOUR + 30 * MINUTE).wake == NOON + 14 * HOUR


def test_jitter_is_the_same_here_and_another_there() -> None:
    delays = {machine: spread(machine, "daily", 900) for machine in map(str, range(40))}
    assert delays == {machine: spread(machine, "daily", 900) for machine in delays}
    assert len(set(delays.values())) > 30
    assert all(0 <= delay <= 900 for delay in delays.values())
    assert spread("m", "daily", 0) == 0
    later = replace(DAILY, spread=300)
    state = begun(later)
    assert not at(state, NOON + 14 * HOUR, later).start
    assert names(at(state, NOON + 14 * HOUR + 5 * MINUTE, later)) == ["daily"]


def test_one_run_serves_all_slots_that_were_missed() -> None:
    back = NOON + 30 * DAY
    first = at(begun(), back)
    assert names(first) == ["daily"]
    state = ended(first.state, DAILY, GOOD, back + HOUR)
    assert not at(state, back + 2 * HOUR).start
    assert names(at(state, back + 14 * HOUR)) == ["daily"]


def test_jobs_of_one_lane_run_one_after_the_other() -> None:
    jobs = (OTHER, DAILY, LOGS)
    moment = NOON + 15 * HOUR
    first = at(begun(*jobs), moment, *jobs)
    assert names(first) == ["other", "logs"]
    assert not at(first.state, moment + MINUTE, *jobs).start
    state = ended(first.state, OTHER, GOOD, moment + HOUR)
    assert names(at(state, moment + HOUR, *jobs)) == ["daily"]


def test_who_is_due_first_goes_first() -> None:
    early = replace(OTHER, schedule=(parse_calendar("*-*-* 01:00"),))
    jobs = (DAILY, early)
    assert names(at(begun(*jobs), NOON + DAY, *jobs)) == ["other"]


def test_failures_are_repeated_after_pauses_that_double_up_to_a_ceiling() -> None:
    moment = NOON + 14 * HOUR
    state, pauses = begun(), []
    for _ in range(7):
        found = at(state, moment)
        assert names(found) == ["daily"]
        state = ended(found.state, DAILY, FAILED, moment)
        retry = state.jobs["daily"].retry
        assert retry is not None
        pauses.append((retry - moment).total_seconds())
        assert not at(state, retry - timedelta(seconds=1)).start
        moment = retry
    assert pauses == [60, 120, 240, 480, 600, 600, 600]
    found = at(state, moment)
    state = ended(found.state, DAILY, GOOD, moment)
    assert state.jobs["daily"].failures == 0
    # The slot was served by the tries; so is one that passed meanwhile.
    assert not at(state, moment + MINUTE).start


def test_somebody_is_told_after_so_many_failures_and_not_before() -> None:
    moment, state = NOON + 14 * HOUR, begun()
    found: tuple[Cause, ...] = ()
    for count in range(1, 4):
        state = ended(at(state, moment).state, DAILY, FAILED, moment)
        found = causes(orders(), state, moment)
        assert [cause.key for cause in found] == (["job:daily"] if count == 3 else [])
        moment += 10 * MINUTE
    assert "database: no connection" in found[0].summary
    state = ended(at(state, moment).state, DAILY, GOOD, moment)
    assert not causes(orders(), state, moment)


def test_a_hook_that_says_no_is_no_failure_and_no_deposit() -> None:
    moment = NOON + 14 * HOUR
    skipped = Outcome(result=Result.SKIPPED, said="hook before: exit code 1")
    state = ended(at(begun(), moment).state, DAILY, skipped, moment)
    assert state.captured["land"] == NOON
    assert not at(state, moment + HOUR).start
    assert names(at(state, moment + DAY)) == ["daily"]


def test_a_run_that_was_stopped_starts_again_with_the_agent() -> None:
    moment = NOON + 14 * HOUR
    state = ended(at(begun(), moment).state, DAILY, Outcome(result=Result.STOPPED), moment)
    assert state.jobs["daily"].failures == 0
    assert names(at(state, moment + HOUR)) == ["daily"]


def test_a_run_whose_end_nobody_saw_is_lost_and_tried_again() -> None:
    moment = NOON + 14 * HOUR
    kept = memory_bytes(at(begun(), moment).state)
    state = recovered(orders(), parse_memory(kept), moment + HOUR)
    assert state.jobs["daily"].result is Result.LOST
    assert names(at(state, moment + HOUR + MINUTE)) == ["daily"]


def test_a_clock_that_goes_back_starts_no_slot_twice() -> None:
    moment = NOON + 14 * HOUR
    state = ended(at(begun(), moment).state, DAILY, GOOD, moment + MINUTE)
    back = moment - 3 * HOUR
    found = at(state, back)
    assert [cause.key for cause in causes(orders(), found.state, back)] == ["clock"]
    started = 0
    while back < moment + 20 * HOUR:
        found = at(found.state, back)
        started += len(found.start)
        back += 10 * MINUTE
    assert started == 0
    assert names(at(found.state, moment + DAY)) == ["daily"]
    # What the clock had lost is time without a deposit, and counts as such.
    assert [c.key for c in causes(orders(), found.state, moment + DAY)] == ["rpo:land"]


def test_days_that_a_wrong_clock_reached_do_not_hold_back_those_that_come() -> None:
    wrong = datetime(2031, 1, 1, 2, tzinfo=UTC)
    state = ended(at(begun(), wrong).state, DAILY, FAILED, wrong)
    found = at(state, NOON + HOUR)
    # Neither the slot that fired then nor the next try in 2031 is waited for.
    assert found.state.jobs["daily"].retry == NOON + HOUR + 10 * MINUTE
    state = ended(at(found.state, NOON + 2 * HOUR).state, DAILY, GOOD, NOON + 2 * HOUR)
    assert names(at(state, NOON + 14 * HOUR)) == ["daily"]
    assert state.captured["land"] <= NOON + 2 * HOUR


def test_slots_that_fired_do_not_fire_again_after_a_long_step_back() -> None:
    state, moment = begun(), NOON + 14 * HOUR
    for _ in range(5):
        state = ended(at(state, moment).state, DAILY, GOOD, moment)
        moment += DAY
    back = NOON + DAY
    started = []
    while back < moment + HOUR:
        found = at(state, back)
        state = found.state
        if found.start:
            started.append(back)
            state = ended(state, DAILY, GOOD, back)
        back += 30 * MINUTE
    assert started == [moment]


def test_a_clock_that_jumps_ahead_fires_once() -> None:
    found = at(begun(), NOON + 400 * DAY)
    assert names(found) == ["daily"]
    state = ended(found.state, DAILY, GOOD, NOON + 400 * DAY)
    assert not at(state, NOON + 400 * DAY + HOUR).start


def test_a_register_too_old_is_told_at_that_moment() -> None:
    state, late = begun(), NOON + 26 * HOUR
    assert not causes(orders(), state, late)
    assert at(state, late - 10 * MINUTE).wake == NOON + 26 * HOUR + timedelta(seconds=1)
    found = causes(orders(), state, late + timedelta(seconds=1))
    assert [(cause.key, cause.severity) for cause in found] == [("rpo:land", "critical")]


def test_a_seat_that_is_late_is_told_once_it_is_so_for_long() -> None:
    moment = NOON + 14 * HOUR
    late = Outcome(result=Result.LATE, late={Seat(2): "no answer"})
    state = ended(at(begun(), moment).state, DAILY, late, moment)
    state = replace(state, captured={"land": moment + 40 * HOUR})
    assert not causes(orders(), state, moment + DAY)
    later = causes(orders(), state, moment + DAY + MINUTE)
    assert [cause.key for cause in later] == ["seat:2"]
    state = ended(state, DAILY, Outcome(result=Result.GOOD, late={}), moment + DAY)
    assert not causes(orders(), state, moment + DAY + MINUTE)


def test_jobs_that_are_no_longer_ordered_are_forgotten() -> None:
    state = at(begun(DAILY, LOGS), NOON + HOUR, DAILY).state
    assert set(state.jobs) == {"daily"}


def test_memory_comes_back_as_it_was() -> None:
    moment = NOON + 14 * HOUR
    told = Cause(key="x:1", severity="warning", summary="väga halb", hint=None)
    state = ended(
        at(begun(DAILY, LOGS), moment, DAILY, LOGS).state,
        LOGS,
        Outcome(result=Result.GOOD, causes=(told,), late={Seat(1): "away"}),
        moment,
    )
    assert parse_memory(memory_bytes(state)) == state


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: data.replace(b'"agent-memory"', b'"monitor-memory"'),
        lambda data: data.replace(b'"failures":0', b'"failures":-1'),
        lambda data: data + b"\n",
        lambda data: b"",
    ],
)
def test_memory_that_cannot_be_read_is_no_empty_memory(damage: object) -> None:
    data = memory_bytes(begun())
    assert callable(damage)
    with pytest.raises(MemoryBroken, match=r"^agent's memory: "):
        parse_memory(damage(data))


def test_a_memory_of_a_later_version_is_named_whatever_else_is_in_it() -> None:
    later = memory_bytes(begun()).replace(b'"version":1', b'"version":2').replace(b'"back"', b'"b"')
    with pytest.raises(FormatTooNew, match="expected version 1 of agent-memory, got version 2"):
        parse_memory(later)


def test_a_register_that_no_job_deposits_is_told() -> None:
    lacking = replace(orders(), unserved=("wills",))
    found = causes(lacking, begun(), NOON)
    assert [(cause.key, cause.severity) for cause in found] == [("unserved:wills", "warning")]
