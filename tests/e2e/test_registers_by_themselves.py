"""Registers deposited by themselves, each by a job of its own: none is sent twice for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embassy import Embassy, found_embassy


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    with found_embassy(tmp_path_factory.mktemp("mission")) as made:
        made.write_registers(mib=0.2)
        for register in made.registers:
            made.deposit([register])  # so that none shares a pack with another
        yield made


def test_a_deposit_of_one_register_does_not_make_the_others_new(
    embassy: Embassy, tmp_path: Path
) -> None:
    deeds, gazette = embassy.registers
    for registers in ([deeds], [gazette], [deeds], None):
        assert embassy.deposit(registers).entry.new == 0
    # Every deposit refers to what it holds, and to nothing else: all come back.
    report = embassy.reconstruct(tmp_path / "out")
    assert report.proven
    assert [item.id for item in report.registers] == [deeds.plan.id, gazette.plan.id]


def test_what_was_left_out_is_shared_again_after_the_journal_was_lost(embassy: Embassy) -> None:
    deeds, gazette = embassy.registers
    embassy.deposit([gazette])
    embassy.lose_journal()
    assert embassy.rebuild_journal() > 0
    assert embassy.deposit([deeds]).entry.new == 0


def test_a_register_that_left_the_plan_is_shared_no_more(embassy: Embassy) -> None:
    deeds, gazette = embassy.registers
    embassy.deposit([deeds])
    embassy.registers.remove(deeds)
    embassy.deposit([gazette])
    embassy.registers.insert(0, deeds)
    assert embassy.deposit().entry.new > 0
