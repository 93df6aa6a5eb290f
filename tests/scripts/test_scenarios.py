"""The scenarios of `examples/`, each by its one command, as a reader of them would run it.

`make test` plays the one with two missions and two hosts, where a state is host and guest, and
looks whether the program has every command and option that any of them uses. What is only in the
others, vaults that join, a later charter and the end of an agreement, is tried by tests/e2e and
tests/attacks each time; `make soak` plays all.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tools.commands import exclave_faults, load_app

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCENARIOS = sorted(file.parent.name for file in EXAMPLES.glob("*/run"))


def test_there_are_scenarios() -> None:
    assert SCENARIOS == ["estonia-luxembourg", "monaco-luxembourg", "singapore-india-uae"]


def test_every_command_of_a_scenario_exists() -> None:
    """Lines of shell as they stand there, up to where the shell goes on."""
    tree, seen, wrong = load_app(), set[str](), list[str]()
    for file in (*EXAMPLES.glob("*/run"), EXAMPLES / "scenario" / "functions.sh"):
        text = file.read_text().replace("\\\n", " ")
        for line in re.findall(r"(?<=\bexclave )(?:--\w+ )*[a-z][^\n|>;&)]*", text):
            words = tuple(shlex.split(line))
            seen.add(next(word for word in words if not word.startswith("-")))
            wrong += [f"{file}: {line}: {fault}" for fault in exclave_faults(tree, words)]
    assert not wrong, "\n".join(wrong)
    assert seen >= {"found", "official", "vault", "agreement", "deposit", "warrant", "reconstruct"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        "singapore-india-uae",
        pytest.param("estonia-luxembourg", marks=pytest.mark.soak),
        pytest.param("monaco-luxembourg", marks=pytest.mark.soak),
    ],
)
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
