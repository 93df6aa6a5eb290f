"""`charter draft | show | submit` and `depositor init`, as people type them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.authority.charter import parse_charter
from exclave.authority.envelope import parse_envelope
from tests.scripts.conftest import GOVERN, Mission, call, founded_mission, must

HEAD = 'mission = "{mission}"\nafter = "1.1"\n'


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    """A mission of its own: its charter changes."""
    with founded_mission(tmp_path_factory.mktemp("charter")) as made:
        yield made


def changes(own: Mission, text: str) -> Path:
    """A file of changes against charter 1."""
    charter = parse_charter(parse_envelope(own.charter.read_bytes()))
    path = own.root / "changes.toml"
    path.write_text(HEAD.format(mission=charter.mission_id.hex()) + text)
    return path


def test_from_draft_to_force(own: Mission) -> None:
    """Drafted, signed elsewhere, shown, handed in, learnt by the depositor."""
    request = own.root / "bundle" / "depositor-request.json"
    made = must("--json", "depositor", "init", "registry-2", "--out", own.root / "bundle").json
    assert made["request"] == str(request)
    assert call("depositor", "init", "x", "--out", own.root / "bundle").code == 3
    text = (
        "retention_days = 4000\n[[depositor.add]]\n"
        'request = "bundle/depositor-request.json"\n'
        "daily_bytes = 1\ntotal_bytes = 2\nreserve = false\n"
    )
    out = own.root / "next"
    drafted = must(
        "charter", "draft", changes(own, text), "--charter", own.charter, "--out", out,
        "--key", own.key(GOVERN[0]), "--passphrase-file", own.passphrase,
    )  # fmt: skip
    assert "depositor added: registry-2, 1 B a day" in drafted.out
    assert "days that deposits are kept is 4000 instead of 3650" in drafted.out
    early = call("charter", "submit", out)
    assert early.code == 5
    assert "quorum not reached: 1 of 5 officials signed, 3 required" in early.out
    for label in GOVERN[1:]:
        must(
            "sign", out / "charter.json", "--yes", "--key", own.key(label),
            "--passphrase-file", own.passphrase,
        )  # fmt: skip
    shown = must("charter", "show", out / "charter.json", "--before", own.charter)
    assert shown.out.splitlines() == (out / "summary.txt").read_text().splitlines()[2:4]
    whole = must(
        "charter", "show", out / "charter.json", "--annex", own.root / "mission" / "annex.json"
    )
    assert "Maarja Tamm" in whole.out
    answers = must("--json", "charter", "submit", out).json["seats"]
    assert {seat: answer["taken"] for seat, answer in answers.items()} == {
        "1": True, "2": True, "3": True,
    }  # fmt: skip
    must("limits", out / "charter.json", "--before", own.charter)


def test_what_does_not_fit(own: Mission) -> None:
    """One message with file and line, and nothing written."""
    out = own.root / "refused"
    bad = call(
        "charter", "draft", changes(own, "[[seat.retire]]\nseat = 9\n"),
        "--charter", own.charter, "--out", out,
    )  # fmt: skip
    assert bad.code == 3
    assert f"{own.root}/changes.toml:4: seat.retire[0].seat: expected a seat in use" in bad.err
    wrong = call(
        "charter", "draft", changes(own, ""), "--charter", own.vault(1) / "seat-request.json",
        "--out", out,
    )  # fmt: skip
    assert wrong.code == 7
    assert "expected charter, got seat-request" in wrong.err
    alone = call("charter", "show", own.charter, "--before", own.vault(1) / "seat-request.json")
    assert alone.code == 7
    assert not out.exists()
