"""The scenarios of `examples/`, each by its one command, as a reader of them would run it.

`make test` plays all of them with a program that starts quickly (`tests/support/warm_program.py`):
the script is the same, every command a process of its own. `make soak` plays them with the program
as it is, its imports and its slow key derivation included.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.warm_program import warm_program
from tools.commands import exclave_faults, load_app

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCENARIOS = sorted(file.parent.name for file in EXAMPLES.glob("*/run"))


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with warm_program(tmp_path_factory.mktemp("warm") / "program") as python:
        yield python


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
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, warm: Path, tmp_path: Path) -> None:
    play(name, warm, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_with_nothing_warm(name: str, tmp_path: Path) -> None:
    play(name, Path(sys.executable), tmp_path)


def play(name: str, python: Path, folder: Path) -> None:
    """Run a scenario whose files lie in the folder; it must succeed and leave nothing there."""
    run = subprocess.Popen(
        [EXAMPLES / name / "run"],
        env={**os.environ, "EXCLAVE_PYTHON": str(python), "TMPDIR": str(folder)},
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
    assert list(folder.iterdir()) == [], "a scenario removes what it made"
