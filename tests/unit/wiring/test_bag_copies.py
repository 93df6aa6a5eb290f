"""What `bag copy` and `deposit --bag-for` refuse before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.errors import ConfigurationError
from exclave.ids import MissionId
from exclave.vault.installation.install import VaultFolder
from exclave.wiring.bag_copies import _one_mission
from tests.support.bags import run
from tests.support.embassy import found_embassy


def test_which_mission_has_to_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = MissionId(bytes(32)), MissionId(bytes([1]) * 32)
    vault = VaultFolder(tmp_path)
    monkeypatch.setattr(VaultFolder, "missions", lambda _: [(one, b""), (two, b"")])
    with pytest.raises(ConfigurationError, match="expected --mission, since it holds 2 missions"):
        _one_mission(vault, None)
    assert _one_mission(vault, two) == two
    monkeypatch.setattr(VaultFolder, "missions", lambda _: [(one, b"")])
    assert _one_mission(vault, None) == one


def test_bags_for_nobody(tmp_path: Path) -> None:
    with found_embassy(tmp_path / "mission", n=1, k=1) as embassy:
        embassy.write_registers(mib=0.1)
        config = embassy.write_config()
        said = run("deposit", "-c", config, "--bag-for", 1, "--catch-up", expect=2)
        assert "expected --bag-for or --catch-up, got both" in said
        said = run("deposit", "-c", config, "--bag-for", "one", expect=2)
        assert "expected a seat's number, or several as in 3,4, got 'one'" in said
        said = run("deposit", "-c", config, "--bag-for", 9, expect=6)
        assert "has no seat 9" in said
        # The only seat of one is needed on the line.
        said = run("deposit", "-c", config, "--bag-for", 1, expect=5)
        assert "states that can be reached: 1, got 0" in said
