"""The main job in small: deposit, lose the homeland and a vault, reconstruct with proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.reconstruct.fetch import PackUnavailable
from exclave.reconstruct.run import Scope
from tests.support.embassy import found_embassy


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_any_two_vaults_give_everything_back(tmp_path: Path, lost: int) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        embassy.deposit()
        embassy.lose_vault(lost)
        embassy.lose_home()
        report = embassy.reconstruct(tmp_path / "out")
    assert report.proven
    assert [item.id for item in report.registers] == ["scans", "gazette"]
    assert {seat for seat, _ in report.fetched} == {1, 2, 3} - {lost}


def test_a_day_later_only_the_change_is_sent(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=2)
        first = embassy.deposit()
        embassy.write_registers(mib=2, seed=2)
        second = embassy.deposit()
        assert second.entry.read == pytest.approx(first.entry.read, rel=0.05)
        assert second.entry.new < first.entry.new / 2
        assert sum(n for _, n in second.entry.sent) < sum(n for _, n in first.entry.sent) / 2
        assert [record.sequence for record in embassy.survey().records] == [2, 1]
        newest = embassy.reconstruct(tmp_path / "newest")
        oldest = embassy.survey().records[-1]
        older = embassy.reconstruct(tmp_path / "older", record=oldest)
    assert newest.proven
    assert older.proven
    changed = "scans/deed-000.bin"
    new, old = ((tmp_path / name / changed).read_bytes() for name in ("newest", "older"))
    assert new != old


def test_one_vault_is_not_enough(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.2)
        embassy.deposit()
        embassy.lose_vault(1)
        embassy.lose_vault(2)
        with pytest.raises(PackUnavailable, match="1 good shards of 3, 2 needed"):
            embassy.reconstruct(tmp_path / "out")


def test_one_register_alone(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        embassy.deposit()
        report = embassy.reconstruct(tmp_path / "out", scope=Scope(registers=("gazette",)))
    assert report.proven
    assert [item.id for item in report.registers] == ["gazette"]
    assert not (tmp_path / "out" / "scans").exists()


def test_three_of_five(tmp_path: Path) -> None:
    with found_embassy(tmp_path, n=5, k=3) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.deposit()
        embassy.lose_vault(1)
        embassy.lose_vault(4)
        embassy.lose_home()
        assert embassy.reconstruct(tmp_path / "out").proven


def test_vaults_in_processes_of_their_own(tmp_path: Path) -> None:
    with found_embassy(tmp_path, processes=True) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.deposit()
        embassy.kill_vault(2)
        embassy.start_vault(2)
        embassy.lose_vault(1)
        embassy.lose_home()
        assert embassy.reconstruct(tmp_path / "out").proven


def test_a_vault_that_was_away_is_caught_up_from_the_spool(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        embassy.stop_vault(3)
        outcome = embassy.deposit()
        assert outcome.partial
        assert set(outcome.late) == {3}
        with embassy.workplace() as place:
            assert [seat for seat, _, _ in place.spool.seats()] == [3]
        embassy.start_vault(3)
        assert not embassy.catch_up()
        with embassy.workplace() as place:
            assert place.spool.used == 0
        embassy.lose_vault(1)
        embassy.lose_home()
        report = embassy.reconstruct(tmp_path / "out", seats=(2, 3))
    assert report.proven
    assert dict(report.fetched).keys() == {2, 3}


def test_a_lost_journal_is_made_again_from_the_catalogue(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        first = embassy.deposit()
        embassy.lose_journal()
        embassy.rebuild_journal()
        second = embassy.deposit()
        assert second.entry.new < first.entry.new / 4
        assert second.entry.sequence == 2
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out").proven


def test_with_journal_and_catalogue_lost_the_chain_goes_on_with_a_full_deposit(
    tmp_path: Path,
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        first = embassy.deposit()
        embassy.lose_journal()
        embassy.lose_catalogue()
        second = embassy.deposit()
        assert second.entry.sequence == 2
        assert second.entry.new == first.entry.new
        newest = embassy.survey().newest
        assert newest.full
        assert newest.previous == first.entry.statement
        third = embassy.deposit()
        assert third.entry.new == 0
        assert [len(embassy.running()), third.lodged] == [3, (1, 2, 3)]
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out").proven
