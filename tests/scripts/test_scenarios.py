"""The scenarios of `examples/`, each by its one command, as a reader of them would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCENARIOS = sorted(file.parent.name for file in EXAMPLES.glob("*/run"))


def test_there_are_scenarios() -> None:
    assert SCENARIOS == ["estonia-luxembourg", "monaco-luxembourg", "singapore-india-uae"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, tmp_path: Path) -> None:
    run = subprocess.Popen(
        [EXAMPLES / name / "run"],
        env={**os.environ, "EXCLAVE_PYTHON": sys.executable, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = run.communicate()
    finally:
        if run.poll() is None:  # this test was interrupted: the scenario stops its vaults itself
            run.terminate()
            run.communicate(timeout=60)
    assert run.returncode == 0, said[-6000:]
    assert "as expected: " in said
    assert list(tmp_path.iterdir()) == [], "a scenario removes what it made"
