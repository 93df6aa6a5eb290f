"""A line that is read without cyclopts means what cyclopts takes it to mean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exclave.cli.plain import plain_call
from exclave.cli.tree import command_tree

PLAIN = [
    ["status", "--config", "a.toml"],
    ["status", "-c", "a.toml", "--offline"],
    ["check", "-c", "a.toml"],
    ["deposit", "-c", "a.toml"],
    ["deposit", "scans", "-c", "a.toml", "cases", "--read-everything"],
    ["deposit", "--catch-up", "--config", "a.toml"],
    ["deposits", "--card", "card.txt"],
    ["deposits"],
    ["show", "latest", "-c", "a.toml"],
    ["standing", "--charter", "charter.json"],
    ["monitor", "--card", "card.txt", "--state", "seen", "--interval", "15min"],
]
"""What machines call again and again must be among them."""
WORDS = [
    "--config", "-c", "--offline", "--catch-up", "--read-everything", "--card", "--charter",
    "--deposit", "--registers", "--terminal", "--state", "--interval", "a.toml", "scans", "latest",
    "none", "5", "-5", "", "-", "--", "-h", "--help", "--version", "--no-offline", "--config=a",
    "-ca", "--offline=true", "--Config", "--catch_up", "status", "a=b", "{}", "~/a", "*",
]  # fmt: skip


def asked(line: list[str]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """As cyclopts reads it."""
    command, bound, _ = command_tree(line).parse_args(line, exit_on_error=False, print_error=False)
    return command, bound.args, bound.kwargs


def agree(line: list[str]) -> bool:
    """Whether it was read; then both are asked."""
    call = plain_call(line)
    if call is not None:
        named = {name: value for name, value in call.named.items() if name != "terminal"}
        assert (call.command, call.given, named) == asked(line)
    return call is not None


@pytest.mark.parametrize("line", PLAIN, ids=" ".join)
def test_what_runs_often_is_read(line: list[str]) -> None:
    assert agree(line)


@settings(max_examples=150, deadline=None)
@given(
    command=st.sampled_from(sorted({line[0] for line in PLAIN})),
    words=st.lists(st.sampled_from(WORDS), max_size=5),
)
@example(command="show", words=["--deposit", "latest", "-c", "a.toml"])
def test_any_line(command: str, words: list[str]) -> None:
    agree([command, *words])


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["--help"],
        ["sttaus"],
        ["status"],  # --config is missing
        ["status", "-c"],
        ["status", "-c", "a", "-c", "b"],
        ["status", "-c", "a", "--help"],
        ["status", "-c", "a", "--ofline"],
        ["status", "-c", "a", "more"],
        ["status", "--config=a"],
        ["show", "-c", "a"],
        ["vault", "status", "a"],
        ["limits", "charter.json"],  # a list is among its options
    ],
    ids=" ".join,
)
def test_what_is_left_to_cyclopts(line: list[str]) -> None:
    assert plain_call(line) is None


def test_what_every_command_takes_stands_anywhere() -> None:
    shown = {}
    for line in (["--json", "status", "-c", "a"], ["status", "--quiet", "-c", "a", "--json"]):
        call = plain_call(line)
        assert call is not None
        terminal: Any = call.named["terminal"]
        shown[line[0]] = (terminal.json, terminal.quiet, call.named["config"])
    assert shown == {"--json": (True, False, Path("a")), "status": (True, True, Path("a"))}
    assert plain_call(["status", "--json", "--json", "-c", "a"]) is None


def test_cyclopts_is_not_loaded_for_it() -> None:
    program = (
        "import sys; from exclave.cli.plain import plain_call; "
        f"assert all(plain_call(line) is not None for line in {PLAIN!r}); "
        "sys.exit('cyclopts' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
