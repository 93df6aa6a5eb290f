"""The courier's guide from its first line to its last: every command is typed, in order."""

from __future__ import annotations

import glob
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.conftest import Mission, call, founded_mission, must

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide-courier.md"
TROUBLED = "exclave bag list papers"
"""Ends with 1 in the guide: a seal was cut on the way."""


def commands() -> list[str]:
    """What stands in the guide's shell blocks, continued lines joined."""
    blocks = GUIDE.read_text(encoding="utf-8").split("```sh\n")[1:]
    text = "".join(block.partition("```")[0] for block in blocks)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Path, Mission]]:
    """Where the guide is followed: home, the vault of seat 3 with its line cut, disk and tape."""
    root = tmp_path / "mission"
    root.mkdir()
    with founded_mission(root) as mission:
        mission.stop(3)
        must("deposit", "-c", mission.config)
        place = tmp_path / "desk"
        place.mkdir()
        (place / "home").symlink_to(mission.root / "home")
        (place / "vault").symlink_to(mission.vault(3))
        (place / "officials").symlink_to(mission.root / "officials")
        shutil.copy(mission.root / "mission" / "depositors" / "home" / "keys.json", place / "home")
        shutil.copy(mission.passphrase, place / "passphrase")
        for medium in ("disk", "tape"):
            (place / medium).mkdir()
        yield place, mission


def test_the_guide(desk: tuple[Path, Mission], monkeypatch: pytest.MonkeyPatch) -> None:
    place, mission = desk
    monkeypatch.chdir(place)
    typed = commands()
    assert len(typed) > 15
    for line in typed:
        words = [
            found
            for word in shlex.split(line)
            for found in (sorted(glob.glob(word)) if "*" in word else [word])  # noqa: PTH207
        ]
        if words[0] == "python3":
            done = subprocess.run(
                [sys.executable, "-I", *words[1:]],
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert mission.mission in done.stdout
            continue
        assert words[0] == "exclave"
        ran = call(*words[1:])
        assert ran.code == (1 if line.startswith(TROUBLED) else 0), (line, ran)
    assert not any((place / "home" / "state" / "spool" / "3").iterdir())
    assert len(list((place / "tape").iterdir())) > 1
    mission.start(3)
    lodged = must("deposit", "-c", mission.config, "--catch-up")
    assert "all seats are up to date" in lodged.out
