"""`exclave deposit` as a process, killed in the middle, and the next one that goes on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.embassy import Embassy, files_register, found_embassy

MIB = 2**20


def big_register(embassy: Embassy, *, mib: int) -> None:
    """Files that neither compress nor repeat: packs of 16 MiB are filled as fast as read."""
    folder = embassy.home / "registers" / "scans"
    folder.mkdir(parents=True)
    for i in range(mib):
        (folder / f"scan-{i:03}.bin").write_bytes(os.urandom(MIB))
    embassy.add_register(files_register("scans", folder))


def safe_packs(embassy: Embassy) -> int:
    """Packs that the depositor's journal knows as safe."""
    journal = embassy.home / "state" / "journal.db"
    if not journal.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM packs").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # just being made


def kill_when(embassy: Embassy, process: subprocess.Popen[bytes], packs: int) -> None:
    while safe_packs(embassy) < packs:
        assert process.poll() is None, "the deposit ended before it could be killed"
        time.sleep(0.002)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("packs", [1, 2])
def test_packs_that_became_safe_are_adopted(tmp_path: Path, packs: int) -> None:
    with found_embassy(tmp_path) as embassy:
        big_register(embassy, mib=80)
        kill_when(embassy, embassy.deposit_process(), packs)
        assert safe_packs(embassy) >= packs
        assert not embassy.survey().records, "nothing was lodged"
        outcome = embassy.deposit()
        assert outcome.entry.sequence == 1
        assert outcome.lodged == (1, 2, 3)
        assert outcome.entry.new <= outcome.entry.read - packs * 15 * MIB
        embassy.lose_vault(1)
        embassy.lose_home()
        assert embassy.reconstruct(tmp_path / "out").proven


def test_a_second_kill_and_a_late_seat_change_nothing(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        big_register(embassy, mib=80)
        kill_when(embassy, embassy.deposit_process(), 1)
        embassy.stop_vault(3)
        kill_when(embassy, embassy.deposit_process(), 2)
        outcome = embassy.deposit()
        assert set(outcome.late) == {3}
        embassy.start_vault(3)
        assert not embassy.catch_up()
        embassy.lose_vault(1)
        embassy.lose_home()
        assert embassy.reconstruct(tmp_path / "out", seats=(2, 3)).proven


def test_too_few_states_lodge_nothing(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.stop_vault(2)
        embassy.stop_vault(3)
        process = embassy.deposit_process()
        _, said = process.communicate(timeout=120)
        assert process.returncode == 5
        assert b"expected states that can be reached: 2, got 1" in said
        embassy.start_vault(2)
        assert set(embassy.deposit().late) == {3}
        embassy.lose_vault(1)
        embassy.start_vault(3)
        embassy.catch_up()
        embassy.lose_home()
        assert embassy.reconstruct(tmp_path / "out").proven
