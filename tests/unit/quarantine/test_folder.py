"""Folders of quarantines: nothing that was there is touched, and nothing of a run stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from exclave.quarantine import folder as module
from exclave.quarantine.folder import (
    QuarantineBusy,
    QuarantineFull,
    QuarantineLeft,
    QuarantineOpen,
    hold_alone,
    open_quarantine,
    remove_tree,
    require_room,
)
from exclave.quarantine.note import NOTE, Note, keep_note
from exclave.quarantine.processes import VARIABLE

LEFT = "quarantine-0123456789abcdef"


def killed(place: Path) -> Path:
    """What a run leaves that is killed: its lock is free."""
    folder = place / LEFT
    (folder / "registers").mkdir(parents=True)
    (folder / "registers" / "deed").write_text("private")
    (folder / "lock").touch()
    return folder


def test_it_is_gone_afterwards_whatever_is_in_it(tmp_path: Path) -> None:
    with open_quarantine(tmp_path) as made:
        assert made.stat().st_mode & 0o777 == 0o700
        folder = made / "registers" / "scans" / "closed"
        folder.mkdir(parents=True)
        (folder / "deed").write_text("private")
        (folder / "link").symlink_to("/etc/passwd")
        os.mkfifo(made / "pipe")
        folder.chmod(0o500)
        folder.parent.chmod(0o000)
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc/passwd").exists()


def test_it_is_gone_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with open_quarantine(tmp_path) as made:
            (made / "deed").write_text("private")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_next_one_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    killed(tmp_path)
    outside = tmp_path / "elsewhere" / "stand-in"
    outside.mkdir(parents=True)
    keep_note(tmp_path / LEFT, Note(folders=(str(outside),)))
    (tmp_path / "quarantine-fedcba9876543210").mkdir()  # killed before there was a lock
    with open_quarantine(tmp_path) as made:
        assert sorted(tmp_path.iterdir()) == [outside.parent, made]
        assert list(outside.parent.iterdir()) == []


def test_one_that_is_held_is_left_alone(tmp_path: Path) -> None:
    with open_quarantine(tmp_path) as first, open_quarantine(tmp_path) as second:
        assert set(tmp_path.iterdir()) == {first, second}


@pytest.mark.parametrize("name", ["quarantine-notes", f"{LEFT}0", LEFT])
def test_what_only_looks_like_one_is_left_alone(tmp_path: Path, name: str) -> None:
    """Somebody's own folder beside it: another name, or no lock in it."""
    mine = tmp_path / name
    mine.mkdir()
    (mine / "mine").touch()
    if name != LEFT:
        (mine / "lock").touch()
    with open_quarantine(tmp_path):
        assert (mine / "mine").exists()


def test_one_that_somebody_else_planted_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its note would name what the owner of a drill is to remove."""
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    keep_note(killed(tmp_path), Note(folders=(str(treasure),)))
    monkeypatch.setattr(module.os, "geteuid", lambda: os.getuid() + 1)
    with open_quarantine(tmp_path):
        assert treasure.exists()
        assert (tmp_path / LEFT / NOTE).exists()


def test_a_program_that_outlives_a_killed_run_is_ended_by_the_next(tmp_path: Path) -> None:
    """Also when it lies deeper; one that works elsewhere goes on."""
    left = killed(tmp_path)
    mine = left / "registers" / "land"
    started = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"],
            env={VARIABLE: str(place)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for place in (mine, f"{left}-of-others")
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
    with open_quarantine(tmp_path):
        assert started[0].wait(60) == -9
        assert started[1].poll() is None
    for process in started:
        process.communicate()


def test_it_says_when_it_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100 * 2**20)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    require_room(tmp_path, 100 * 2**20, hint="")
    with pytest.raises(QuarantineFull, match=r"expected 104\.0 MiB free, got 100\.0 MiB"):
        require_room(tmp_path, 104 * 2**20, hint="name another")


def test_a_place_is_held_by_one_and_closed_to_others(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with hold_alone(place), pytest.raises(QuarantineBusy, match="another proof"), hold_alone(place):
        raise AssertionError("entered")
    place.chmod(0o750)
    with pytest.raises(QuarantineOpen, match="got mode 750"), hold_alone(place):
        raise AssertionError("entered")


def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "rmtree", lambda *_, **__: None)
    (tmp_path / "deeds").mkdir()
    with pytest.raises(QuarantineLeft, match="deeds: expected to be removed"):
        remove_tree(tmp_path / "deeds")


def test_a_folder_that_nobody_may_enter_goes_all_the_same() -> None:
    """Folders have the modes that they had at home; only root may ignore them."""
    place = Path(tempfile.mkdtemp(prefix="xq-", dir="/tmp"))
    (place / "run" / "closed" / "within").mkdir(parents=True)
    (place / "run" / "closed" / "within" / "file").touch()
    (place / "run" / "closed" / "within").chmod(0o500)
    (place / "run" / "closed").chmod(0o000)
    root = os.geteuid() == 0
    if root:
        for item in (place, *place.rglob("*")):
            os.chown(item, 65534, 65534)
        os.seteuid(65534)
    try:
        remove_tree(place / "run")
    finally:
        if root:
            os.seteuid(0)
    assert list(place.iterdir()) == []
    place.rmdir()
