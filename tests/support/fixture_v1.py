"""The frozen fixture of format version 1, unpacked, for the tests that open it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest

from exclave.authority.card import parse_card
from exclave.authority.charter_chain import CharterChain, verify_chain
from exclave.authority.envelope import parse_envelope
from exclave.ids import MissionId
from exclave.lines import LoopThread
from exclave.sealing.recovery import XWingPrivateKey
from exclave.shares import read_share, recombine
from exclave.vault.kept.folder import FolderVault
from exclave.vault.survey.survey import MissionView, survey
from tools.make_fixture_v1 import FIXTURE

__all__ = [
    "CARDS", "EXPECTED", "MISSION", "SEATS", "cards", "chain", "charters", "no_network", "read",
    "recovery", "survey_folders", "unpack", "vaults",
]  # fmt: skip

READER: Final = Path(__file__).resolve().parents[2] / "reader" / "exclave_reader.py"
SEATS: Final = (1, 2, 3, 6)
"""Those that have a vault: 4 and 5 are safes, 6 joined."""
CARDS: Final = ((2, 1), (2, 2), (3, 1), (3, 2))
EXPECTED: Final[dict[str, Any]] = json.loads((FIXTURE / "expected.json").read_text("utf-8"))
MISSION: Final = MissionId(bytes.fromhex(EXPECTED["mission"]))


def unpack(folder: Path) -> Path:
    """The fixture's folder as it was packed."""
    with tarfile.open(FIXTURE / "embassy.tar.xz") as archive:
        # Our own archive, pinned by its hash, with modes kept; an attribute instead of an argument,
        # since Python before 3.11.4 knows no filters.
        archive.extraction_filter = lambda member, path: member
        archive.extractall(folder)
    return folder


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tries to reach a vault of the fixture fails."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX, f"expected no connection, got one to {address}"
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


def vaults(v1: Path, *seats: int) -> list[Path]:
    """Folders of these seats' vaults."""
    return [v1 / "vaults" / f"vault-{seat}" for seat in seats]


def cards(v1: Path) -> list[Path]:
    """Cards that are enough."""
    return [v1 / "cards" / f"card-{group}-{member}.txt" for group, member in CARDS]


def charters(v1: Path) -> list[Path]:
    """Files of all charters, in their order."""
    return sorted((v1 / "charters").iterdir())


def chain(v1: Path) -> CharterChain:
    """All charters, verified."""
    return verify_chain([parse_envelope(file.read_bytes()) for file in charters(v1)], MISSION)


def survey_folders(v1: Path, seats: tuple[int, ...] = SEATS) -> MissionView:
    """What the vaults' folders say, all of it verified."""
    folders = [folder / "missions" / MISSION.hex() for folder in vaults(v1, *seats)]
    loop = LoopThread()
    try:
        return loop.run(survey([FolderVault(folder, MISSION) for folder in folders], MISSION))
    finally:
        loop.close()


def recovery(v1: Path) -> XWingPrivateKey:
    """The recovery key, out of the cards."""
    words = [parse_card(file.read_text()).words for file in cards(v1)]
    return XWingPrivateKey.from_seed(recombine([read_share(text) for text in words]))


def read(*arguments: object) -> str:
    """The standalone reader by itself, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-I", str(READER), *map(str, arguments)],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
