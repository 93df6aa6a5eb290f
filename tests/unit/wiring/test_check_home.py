"""What `check` finds at the depositing machine: its clock, its folders."""

from __future__ import annotations

import os
from pathlib import Path

from exclave.wiring.check_home import check_clock, check_folders
from exclave.wiring.check_results import CheckResult
from exclave.wiring.settings import load_deposit_settings
from tests.support.agents import write_home
from tests.support.overviews import MOMENT, entry


def folders(tmp_path: Path, *, closed: frozenset[str] = frozenset()) -> CheckResult:
    write_home(tmp_path)
    asked: list[int] = []

    def may(place: Path, what: int) -> bool:
        assert place.exists()
        asked.append(what)
        return place.name not in closed

    (found,) = check_folders(load_deposit_settings(tmp_path / "deposit.toml"), may=may)
    assert set(asked) == {os.W_OK | os.X_OK}
    return found


def test_a_deposit_after_now_is_a_wrong_clock() -> None:
    assert list(check_clock([], MOMENT)) == []
    assert list(check_clock([entry(age=60), entry(age=-200)], MOMENT)) == []
    assert list(check_clock([entry(age=-7200), entry(age=60)], MOMENT)) == []
    (found,) = check_clock([entry(age=60), entry(age=-7200)], MOMENT)
    assert (found.what, found.good, found.said) == (
        "clock",
        False,
        "the newest deposit began 2 h after now",
    )


def test_folders_that_a_deposit_may_write(tmp_path: Path) -> None:
    assert folders(tmp_path).good


def test_folders_on_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state" / "spool").mkdir(parents=True)
    found = folders(tmp_path, closed=frozenset({"spool"}))
    assert not found.good
    assert found.said == (
        f"expected to write there, cannot: spool ({tmp_path / 'state' / 'spool'})"
    )
    assert found.hint is not None
