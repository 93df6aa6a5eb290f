"""Expiry time: the least of three clocks, never back, still without a quorum (P8)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exclave.clock import format_time
from exclave.engine.memory import MemoryEngine
from exclave.errors import StorageError
from exclave.vault.kept.expiry import (
    ExpiryClock,
    ExpiryInputs,
    WitnessRules,
    entry_time,
    expiry_time,
)
from tests.support.vault_world import START

HOUR, YEARS = timedelta(hours=1), timedelta(days=3650)
RULES = WitnessRules(f=1, q=3, freshness=3600)


def inputs(
    *ahead: timedelta, wall: datetime = START + HOUR, service: timedelta = HOUR
) -> ExpiryInputs:
    """Witnesses whose timestamps are so far ahead of the truth, START + one hour."""
    return ExpiryInputs(
        wall=wall,
        enrolled=START,
        service_ms=int(service.total_seconds() * 1000),
        times={f"w{number}": START + HOUR + span for number, span in enumerate(ahead)},
        rules=RULES,
    )


def test_all_clocks_right() -> None:
    zero = timedelta()
    assert expiry_time(inputs(zero, zero, zero)) == START + HOUR


@pytest.mark.parametrize(
    ("given_inputs", "reached"),
    [
        # every clock alone is far ahead: nothing is gained
        (inputs(*[timedelta()] * 3, wall=START + YEARS), None),  # its witnesses look stale
        (inputs(*[timedelta()] * 3, service=YEARS), START + HOUR),
        (inputs(YEARS, timedelta(), timedelta()), START + HOUR),
        (inputs(YEARS, YEARS, YEARS), START + HOUR),
        (inputs(YEARS, YEARS, YEARS, wall=START + YEARS), START + HOUR),
        # every clock alone is far behind: it stands
        (inputs(*[timedelta()] * 3, wall=START - YEARS), START - YEARS),
        (inputs(*[timedelta()] * 3, service=timedelta()), START),
        (inputs(-YEARS, timedelta(), timedelta()), None),
        (inputs(-YEARS, *[timedelta()] * 3), START + HOUR),
    ],
)
def test_one_clock_alone_moves_nothing(
    given_inputs: ExpiryInputs, reached: datetime | None
) -> None:
    assert expiry_time(given_inputs) == reached


def test_f_liars_move_nothing_and_one_more_would() -> None:
    ahead = timedelta(minutes=30)
    late = {"wall": START + YEARS, "service": YEARS}
    near = replace(inputs(**late), wall=START + HOUR + ahead)  # type: ignore[arg-type]
    honest = [START + HOUR] * 3
    for liars, reached in ((1, START + HOUR), (2, START + HOUR + ahead)):
        times = [*honest, *[START + HOUR + ahead] * liars]
        named = {f"w{number}": time for number, time in enumerate(times)}
        assert expiry_time(replace(near, times=named)) == reached


@given(
    ahead=st.lists(st.timedeltas(-YEARS, YEARS), max_size=7),
    wall=st.timedeltas(-YEARS, YEARS),
    service=st.timedeltas(timedelta(), YEARS),
)
def test_never_beyond_any_of_the_three(
    ahead: list[timedelta], wall: timedelta, service: timedelta
) -> None:
    asked = inputs(*ahead, wall=START + wall, service=service)
    reached = expiry_time(asked)
    if reached is not None:
        assert reached <= asked.wall
        assert reached <= START + service + timedelta(milliseconds=1)
        assert sum(time >= reached for time in asked.times.values()) > RULES.f


def test_an_entry_is_never_before_the_expiry_time_of_its_moment() -> None:
    assert entry_time(START - YEARS, START, 3_600_000) == START + HOUR
    assert entry_time(START + YEARS, START, 3_600_000) == START + YEARS


class Vault:
    """A clock of each kind, which tests set."""

    def __init__(self) -> None:
        self.store = MemoryEngine()
        self.wall = START
        self.service = 0
        self.witnesses = {"b": START, "c": START}

    def clock(self) -> ExpiryClock:
        return ExpiryClock(
            self.store,
            "meta/expiry",
            enrolled=START,
            wall=lambda: self.wall,
            service=lambda: self.service,
            own="a",
            times=lambda: self.witnesses,
            rules=lambda: replace(RULES, f=0),
        )

    def later(self, span: timedelta) -> None:
        self.wall += span
        self.service += int(span.total_seconds() * 1000)
        self.witnesses = dict.fromkeys(self.witnesses, self.wall)


def test_it_goes_on_stands_still_and_never_goes_back() -> None:
    vault = Vault()
    clock = vault.clock()
    assert clock.now() == START
    vault.later(HOUR)
    assert clock.now() == START + HOUR
    vault.later(HOUR)
    vault.witnesses = {}
    assert clock.now() == START + HOUR, "no quorum: it stands"
    vault.witnesses = {"b": vault.wall, "c": vault.wall}
    assert clock.now() == START + 2 * HOUR
    vault.wall = START - YEARS
    assert clock.now() == START + 2 * HOUR
    clock.keep()
    assert vault.clock().now() == START + 2 * HOUR, "kept"


def test_a_forged_file_gains_nothing() -> None:
    vault = Vault()
    vault.later(HOUR)
    vault.store.replace_head("meta/expiry", f"{format_time(START + YEARS)}\n".encode())  # type: ignore[arg-type]
    assert vault.clock().now() == START + HOUR
    vault.store.replace_head("meta/expiry", f"{format_time(START - YEARS)}\n".encode())  # type: ignore[arg-type]
    vault.witnesses = {}
    assert vault.clock().now() == START


def test_a_damaged_file_is_named() -> None:
    vault = Vault()
    vault.store.replace_head("meta/expiry", b"tomorrow")  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="meta/expiry: expected a time") as caught:
        vault.clock()
    assert "remove the file" in str(caught.value.hint)


def test_the_vaults_own_clock_counts_once() -> None:
    vault = Vault()
    vault.witnesses = {"a": START, "b": START}
    vault.later(HOUR)
    assert vault.clock().now() == START, "two of three: no quorum"
