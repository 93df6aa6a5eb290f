"""`exclave drill` as a process: both scripts hold, and leave nothing behind."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_demo_small import alive
from tests.scripts.conftest import call
from tests.support.embassy import PROGRAM

COERCED = (
    "his warrant only waits",
    "his charter only waits",
    "his release only waits",
    "nothing is read before the delay is over",
    "home's cards alone unseal nothing",
    "no verb deletes or replaces",
    "every shard and body that seats 2, 3 held is there, byte for byte",
    "seat 2 bounds the flood",
    "seat 3 bounds the flood",
    "both other vaults are locked",
    "his warrant is stopped for good",
    "his charter is stopped for good",
    "his release is stopped for good",
    "the depositor's keys are declared compromised",
    "a warrant of all of home is refused",
    "an unlock of all of home is refused",
    "a new era of his own is refused",
    "the other vaults give him no second shard",
    "no clock of theirs moved",
    "the others remember a longer log",
    "the newest deposit that is not suspect is the state's own",
    "home's veto counts for nothing",
    "exile's warrant is released after its delay",
    "every file and every row came back as it was captured",
    "the lockdown stands",
)
SABOTEUR = (
    "a deposit is lodged at all three vaults",
    "his veto stops a warrant at every vault",
    "overridden by five, it cannot be vetoed again and is released",
    "he may lock down only so often on a day",
    "home is frozen, and its released warrant stopped",
    "his veto does not count against his own removal, and era 2 is in force",
    "his veto of the unlock is refused",
    "another lockdown of his is refused",
    "the lockdowns are over at every vault",
    "two officials and a delay release a warrant",
    "every file and every row came back as it was captured",
    "every shard and body that seats 1, 2, 3 held is there, byte for byte",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("coerced", COERCED),
        # What it plays is attacked at real vaults in tests/attacks/test_p6_*.py each time.
        pytest.param("saboteur", SABOTEUR, marks=pytest.mark.soak),
    ],
)
def test_it_holds_and_leaves_nothing_behind(
    tmp_path: Path, script: str, expected: tuple[str, ...]
) -> None:
    folder = tmp_path / "drill"
    done = subprocess.run(
        [*PROGRAM, "--json", "drill", f"--{script}", "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict: dict[str, Any] = json.loads(done.stdout)
    assert verdict["held"]
    assert verdict["script"] == f"--{script}"
    assert all(item["held"] for item in verdict["findings"])
    assert set(expected) <= {item["what"] for item in verdict["findings"]}
    assert not folder.exists()
    pids = [int(number) for number in re.findall(r"pid (\d+)", done.stderr)]
    assert len(pids) == 3
    assert not any(map(alive, pids))


@pytest.mark.parametrize("flags", [(), ("--coerced", "--saboteur")])
def test_a_drill_needs_one_script(flags: tuple[str, ...]) -> None:
    ran = call("drill", *flags)
    assert ran.code == 2
    expected = "--coerced or --saboteur, got both" if flags else "FOLDER and --answer, or --coerced"
    assert f"drill: expected {expected}" in ran.err


def test_a_drill_leaves_a_folder_with_something_in_it_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    ran = call("drill", "--saboteur", "--folder", tmp_path)
    assert ran.code == 3
    assert "expected a new or empty folder" in ran.err
    assert [item.name for item in tmp_path.iterdir()] == ["mine"]
