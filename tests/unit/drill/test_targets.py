"""Where a drill restores: how much room it wants, and which server."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from exclave.drill.targets import DrillTargets
from exclave.quarantine import folder as quarantine
from exclave.quarantine.folder import QuarantineFull
from exclave.quarantine.own_server import NoServer


def test_room_for_all_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what went before and what comes now, and some to spare."""
    usage = shutil.disk_usage(tmp_path)._replace(free=100 * 2**20)
    monkeypatch.setattr(quarantine.shutil, "disk_usage", lambda _: usage)
    targets = DrillTargets(tmp_path)
    targets.need(30 * 2**20)
    with pytest.raises(QuarantineFull, match=r"expected 104\.0 MiB free, got 100\.0 MiB"):
        targets.need(10 * 2**20)


def test_no_server_and_no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exclave.postgres_server.programs.available_majors", tuple)
    with closing(DrillTargets(tmp_path)) as made, pytest.raises(NoServer, match="got neither"):
        made.server_for(["land"])
