"""Memory and index suites on small amounts; `python -m bench memory` and `index` do large ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import main


@pytest.mark.timeout(300)
def test_a_deposit_and_its_way_back_stay_within_the_bound(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """64 MB in the made register, twice as many bytes as the packs that come of it."""
    words = ["--gigabytes", "0.064", "--files", "2500", "--limit", "400", "--place", str(tmp_path)]
    assert main(["memory", *words]) == 0
    steps = [line.split()[0] for line in capfd.readouterr().out.splitlines() if "peak" in line]
    assert steps == ["first", "second", "restore"]
    assert list(tmp_path.iterdir()) == []


def test_the_index_is_measured_beside_rows(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--entries", "4000", "--chunks", "200", "--place", str(tmp_path)]
    assert main(["index", "--contender", "journal", "--contender", "rows", *words]) == 0
    figures = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(item["contender"], item["entries"]) for item in figures] == [
        ("journal", 4000),
        ("rows", 4000),
    ]
    assert all(item["VmHWM"] > 0 for item in figures)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_large_index_is_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--entries", "4e6", "--chunks", "1000", "--sampled", "128", "--place", str(tmp_path)]
    assert main(["index", *words]) == 0
    figures = json.loads(capfd.readouterr().out)
    entries = sum(run[0] for run in figures["runs"])
    assert 3_400_000 < entries < 3_600_000, "seven chunks of each thousand, and some in memory"
    assert [run[1] for run in figures["runs"]] == [16, 18]
    assert list(tmp_path.iterdir()) == []
