"""`exclave monitor` as a timer runs it: exit codes, JSON, what is remembered, and bad input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.conftest import Mission, call, founded_mission, must
from tests.scripts.test_bad_inputs import refused


@pytest.fixture(scope="module")
def mission(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    """Three vaults that serve, one deposit."""
    with founded_mission(tmp_path_factory.mktemp("monitor")) as made:
        must("deposit", "-c", made.config)
        yield made


def head_of(card: Path, to: Path) -> Path:
    """A card's lines above its words: all that a monitor's machine may see."""
    to.write_text(card.read_text().partition("\n\n")[0] + "\n")
    return to


def test_a_quiet_mission_then_a_silent_vault_then_nobody(tmp_path: Path, mission: Mission) -> None:
    head = head_of(mission.card(2, 1), tmp_path / "addresses.txt")
    state = tmp_path / "state"
    ran = must("monitor", "--card", head, "--state", state)
    assert (ran.out, ran.err) == ("", "")
    (memory,) = state.iterdir()
    assert memory.stat().st_mode & 0o777 == 0o600
    alone = must("--json", "monitor", "--charter", mission.charter)
    assert alone.json["findings"] == []
    assert alone.json["code"] == 0
    assert "nothing is remembered" in alone.err
    mission.stop(2)
    try:
        ran = call("--json", "monitor", "--card", head, "--state", state)
        assert ran.code == 1
        (found,) = ran.json["findings"]
        assert (found["seat"], found["cause"], found["level"]) == (2, "silent", "warning")
        assert found["vault"]
        assert found["state"]
        plain = call("monitor", "--card", head, "--state", state)
        assert plain.out.startswith("WARNING   seat 2 (")
        for seat in (1, 3):
            mission.stop(seat)
        refused(3, "monitor", "--charter", mission.charter, "--state", state, says="no seat shows")
        refused(3, "monitor", "--card", head, "--state", state, says="none of 3 vaults showed")
    finally:
        for seat in (1, 2, 3):
            if seat not in mission.servers:
                mission.start(seat)
    must("monitor", "--card", head, "--state", state)


def test_it_goes_on_looking_until_it_is_interrupted(
    tmp_path: Path, mission: Mission, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("exclave.cli.monitor.time.sleep", pause)
    ran = call(
        "--json",
        "monitor",
        "--charter",
        mission.charter,
        "--state",
        tmp_path,
        "--interval",
        "15min",
    )
    assert (ran.code, pauses) == (130, [900, 900])
    assert len(ran.out.splitlines()) == 2


def test_bad_input(tmp_path: Path, mission: Mission) -> None:
    charter = mission.charter
    refused(2, "monitor", says="expected either --card or --charter")
    refused(2, "monitor", "--charter", charter, "--interval", "soon", says="--interval: ")
    refused(2, "monitor", "--charter", charter, "--interval", "0 s", says="--interval: ")
    refused(3, "monitor", "--charter", tmp_path / "none.json", says="cannot be read")
    (tmp_path / "memory.json").write_text("{}")
    refused(
        3, "monitor", "--charter", charter, "--state", tmp_path,
        says="monitor's memory: ", hint="what was seen before is lost",
    )  # fmt: skip
    (tmp_path / "file").touch()
    refused(3, "monitor", "--charter", charter, "--state", tmp_path / "file", says="cannot be used")
