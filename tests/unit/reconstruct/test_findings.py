"""What a survey found is said: problems, newer deposits left aside, forks (P7)."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from exclave.engine.memory import MemoryEngine
from exclave.ids import MissionId, Seat, StatementHash
from exclave.reconstruct.choose import DepositNotReconstructible, choose_deposit
from exclave.reconstruct.findings import findings
from exclave.reconstruct.report import ReconstructionReport, report_payload, report_text
from exclave.vault.mission.submission import submit
from exclave.vault.survey.survey import MissionView, survey
from exclave.vault.survey.walking import Problem
from tests.support.serving import open_mission
from tests.support.vault_world import World, new_world
from tests.unit.vault.test_survey import Seated

BOTH = (Seat(1), Seat(2))


def viewed(world: World, *records: bytes) -> MissionView:
    """A survey of two vaults that know these records and hold no shard."""
    missions = [open_mission(world, MemoryEngine(), seat=seat) for seat in BOTH]
    for mission in missions:
        for record in records:
            submit(mission, record)
    return asyncio.run(survey([Seated(item) for item in missions], world.mission))  # type: ignore[list-item]


@pytest.fixture(scope="module")
def view() -> MissionView:
    world = new_world()
    return viewed(world, *(world.signed(world.deposit()[0]) for _ in range(3)))


def test_what_no_seat_holds_whole_is_tried_when_named(view: MissionView) -> None:
    newest = view.deposits[0]
    with pytest.raises(DepositNotReconstructible, match="none of 3 deposits") as caught:
        choose_deposit(view, "latest", BOTH)
    assert "name one by its id" in str(caught.value.hint)
    assert choose_deposit(view, newest.deposit.hex(), BOTH) == newest
    told = findings(view, newest, BOTH)
    assert "held whole by 0" in str(told.doubt)
    assert any("tried all the same" in line for line in told.lines)


def test_an_incomplete_chain_of_records_is_still_an_error(view: MissionView) -> None:
    record = dataclasses.replace(
        view.deposits[0].record, sequence=2, previous=StatementHash(bytes(32)), full=False
    )
    broken = dataclasses.replace(view.deposits[0], record=record)
    only = dataclasses.replace(view, deposits=(broken,))
    with pytest.raises(DepositNotReconstructible, match="a record before it"):
        choose_deposit(only, broken.deposit.hex(), BOTH)


def test_newer_deposits_left_aside_are_named_with_the_reason(view: MissionView) -> None:
    oldest = view.deposits[-1]
    whole = dataclasses.replace(view.deposits[0], lodged=BOTH)
    mixed = dataclasses.replace(view, deposits=(whole, *view.deposits[1:]))
    told = findings(mixed, oldest, BOTH)
    assert [item for item, _ in told.passed_over] == [d.deposit for d in view.deposits[:-1]]
    reasons = [why for _, why in told.passed_over]
    assert reasons[0] == "another one was asked for"
    assert "held whole by 0" in reasons[1]


def test_forks_and_problems_reach_the_report(view: MissionView) -> None:
    troubled = dataclasses.replace(view, problems=(Problem(seat=Seat(2), what="lies"),))
    told = findings(troubled, view.deposits[0], BOTH)
    [fork] = told.forks
    assert len(fork.records) == 3  # each of them is number 1 of its depositor
    report = ReconstructionReport(
        mission=MissionId(bytes(32)),
        deposit=view.deposits[0].deposit,
        record=StatementHash(bytes(32)),
        warrant=None,
        software="exclave/0",
        scope=(),
        started="",
        ended="",
        elapsed_ms=0,
        warrant_delay=0,
        registers=(),
        fetched=(),
        packs=0,
        faults=(),
        findings=told,
    )
    payload = report_payload(report)
    assert payload["problems"] == [[2, "lies"]]
    assert payload["forks"] == [
        {
            "depositor": fork.depositor,
            "sequence": fork.sequence,
            "records": [item.hex() for item in fork.records],
        }
    ]
    text = report_text(report)
    assert "seat 2: lies" in text
    assert "fork: depositor" in text
