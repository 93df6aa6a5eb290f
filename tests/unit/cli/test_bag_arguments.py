"""What `exclave bag` refuses on its command line, before anything is read or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.carried.gathering import Finding, FindingCause
from exclave.cli.bag_packing import _asked
from exclave.cli.terminal import Terminal
from exclave.cli.words.bag import findings_lines
from tests.support.bags import run

NUMBER = "0" * 31 + "z"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "expected either --folder or --volumes, got neither"),
        (["--folder", "bag", "--volumes", "1.tape"], "got both"),
        (["--folder", "bag", "--capacity", "1MiB"], "expected --capacity with --volumes"),
        (["--volumes", "1.tape", "2.tape", "1.tape"], "1.tape: expected each file once"),
        (["--folder", "bag", "--deposit", NUMBER], "--deposit: expected 32 hex digits, got '0"),
    ],
)
def test_where_to_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run("bag", "copy", "vault", "--papers", "papers", *arguments, expect=2)
    assert says in said
    assert list(tmp_path.iterdir()) == []


def test_a_volume_that_is_there_is_found_before_the_first_is_written(tmp_path: Path) -> None:
    old = tmp_path / "old.tape"
    old.write_bytes(b"another bag")
    said = run(
        "bag", "copy", tmp_path / "vault", "--papers", tmp_path / "papers",
        "--volumes", tmp_path / "new.tape", old, expect=3,
    )  # fmt: skip
    assert f"{old}: expected a new file, got one that is there" in said
    assert list(tmp_path.iterdir()) == [old]


def test_a_key_without_papers_to_sign(tmp_path: Path) -> None:
    said = run("bag", "verify", tmp_path, "--key", tmp_path / "vault.key", expect=2)
    assert "expected --papers with --key, got --key alone" in said


@pytest.mark.parametrize("to", ["nobody", "seat one", "seat 0", "official", "official ../x"])
def test_handed_to_nobody(tmp_path: Path, to: str) -> None:
    said = run("bag", "hand-over", tmp_path, "--to", to, "--key", tmp_path / "k", expect=2)
    assert "--to: expected" in said


def test_the_next_volume_is_asked_for_until_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One word must not cost what was packed until then; nothing ends it."""
    (tmp_path / "there").write_bytes(b"")
    answers = [tmp_path / "there", tmp_path / "unplugged" / "2.tape", tmp_path / "2.tape", ""]
    monkeypatch.setattr(Terminal, "line", lambda *_: str(answers.pop(0) or ""))
    terminal = Terminal()
    assert _asked(terminal, "volume 1 is full") == tmp_path / "2.tape"
    assert _asked(terminal, "volume 2 is full") is None


def test_what_is_wrong_with_a_bag_fits_on_a_screen() -> None:
    """The reader's vectors are seven hundred files: shards stand first, and the rest is counted."""
    kit = [Finding(cause=FindingCause.MISSING, what=f"kit {n}: not there") for n in range(700)]
    shard = Finding(cause=FindingCause.ITEM, what="shard 0a: not whole")
    lines = findings_lines([*kit, shard])
    assert lines[0] == "ITEM shard 0a: not whole"
    assert len(lines) < 30
    assert lines[-1] == f"and {701 - len(lines) + 1} more (--json names them)"
    assert findings_lines([shard]) == ["ITEM shard 0a: not whole"]
