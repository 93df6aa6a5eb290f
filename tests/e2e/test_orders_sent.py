"""Orders and other statements on their way to real vaults, from a consulate with a card's head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.authority.charter import parse_charter
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.orders import parse_order
from tests.scripts.conftest import Mission, call, founded_mission, must


@pytest.fixture(scope="module")
def mission(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    """Three vaults that serve, one deposit."""
    with founded_mission(tmp_path_factory.mktemp("orders")) as made:
        must("deposit", "-c", made.config)
        yield made


def head_of(card: Path, to: Path) -> Path:
    """A card's lines above its words: all that a consulate's machine may see."""
    to.write_text(card.read_text().partition("\n\n")[0] + "\n")
    return to


def test_a_lockdown_from_a_card(tmp_path: Path, mission: Mission) -> None:
    """The charter is discovered from the vaults; one person signs."""
    head = head_of(mission.card(2, 1), tmp_path / "addresses.txt")
    out = tmp_path / "lockdown.json"
    ran = must(
        "lockdown", "--card", head, "--reason", "the capital is taken", "--out", out, "--yes",
        "--key", mission.key("consul-a"), "--passphrase-file", mission.passphrase,
    )  # fmt: skip
    assert "1 of 9 officials signed, 1 required" in ran.out
    envelope = parse_envelope(out.read_bytes(), kinds=[Kind.LOCKDOWN])
    charter = parse_charter(parse_envelope(mission.charter.read_bytes()))
    assert parse_order(envelope).head.charter == charter.statement_hash


def test_a_warrant_to_every_vault_that_answers(tmp_path: Path, mission: Mission) -> None:
    """`submit` takes any statement; a vault that is down keeps none of the others back."""
    head = head_of(mission.card(2, 1), tmp_path / "addresses.txt")
    reading = tmp_path / "reading"
    must("warrant", "prepare", "--card", head, "--out", reading, "--purpose", "drill")
    must(
        "sign", reading / "warrant.json", "--key", mission.key("ambassador-a"), "--yes",
        "--passphrase-file", mission.passphrase,
    )  # fmt: skip
    mission.stop(3)
    try:
        ran = must("submit", reading / "warrant.json")
        assert "seat 1: incomplete" in ran.out
        assert "seat 3: NOT TAKEN" in ran.out
        assert "taken by 2 of 3 vaults" in ran.out
        alone = call("submit", reading / "warrant.json", "--card", head, "--seat", "3")
        assert (alone.code, "taken by 0 of 1 vaults" in alone.out) == (5, True)
    finally:
        mission.start(3)
