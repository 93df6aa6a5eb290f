"""What `check` and `status` say of bags: papers in real logs and at home, and a safe that waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exclave.clock import now
from exclave.wiring import checks, overview
from tests.support.bags import Bag, pack_folder, run
from tests.support.embassy import Embassy, found_embassy


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    """Two vaults and a safe, which has the third seat."""
    with found_embassy(tmp_path / "mission", safes=(3,)) as made:
        made.write_registers(mib=0.1)
        made.deposit()
        yield made


class Clock:
    """Days that pass for whoever looks at home."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.days = 0
        for module in (checks, overview):
            patch.setattr(module, "now", lambda: now() + timedelta(days=self.days))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def checked(embassy: Embassy) -> dict[str, Any]:
    """What `check` says of bags, by what it is about."""
    said = run("check", "-c", embassy.write_config(), expect=None)
    about = ("bag", "safe of", "paper ")
    return {item["what"]: item for item in said["checks"] if item["what"].startswith(about)}


def safe_of(embassy: Embassy) -> dict[str, Any]:
    said = run("status", "-c", embassy.write_config(), "--offline", expect=None)
    [safe] = [item for item in said["seats"] if item["seat"] == 3]
    return safe


def hand_in(embassy: Embassy, bag: Bag) -> None:
    """Every paper to the vaults; known ones change nothing."""
    for paper in sorted(bag.papers.glob("[0-9]*.json")):
        run("submit", paper, "--charter", embassy.home / "keys" / "charter.json")


def test_a_bag_on_its_way_to_a_safe(tmp_path: Path, embassy: Embassy, clock: Clock) -> None:
    """From a safe that has nothing to one whose bag must be read back, each told and ended."""
    keys = embassy.home / "keys" / "keys.json"
    safe_key = embassy.vault_folder(3) / "keys" / "vault.key"
    assert checked(embassy).keys() == {"bags", "safe of seat 3"}
    assert safe_of(embassy)["health"] == "good"
    clock.days = 91
    assert checked(embassy)["safe of seat 3"]["severity"] == "bad"
    assert safe_of(embassy)["health"] == "late"
    bag = pack_folder(embassy, 3, tmp_path / "bag")
    name = f"bag {bag.said['bag'][:16]} for seat 3, "
    run("bag", "seal", bag.papers, "--key", keys, "--marks", "lead 1")
    run("bag", "hand-over", bag.papers, "--key", keys, "--to", "seat 3")
    hand_in(embassy, bag)
    clock.days = 15
    found = checked(embassy)
    assert found.keys() == {"bags", "safe of seat 3", name + "overdue"}
    assert found[name + "overdue"]["severity"] == "warns"
    assert safe_of(embassy)["bags"]["under_way"] == 1
    clock.days = 29
    assert checked(embassy)[name + "overdue"]["severity"] == "bad"
    for seat in (1, 2):
        embassy.stop_vault(seat)
    silent = checked(embassy)
    assert silent[name + "overdue"]["severity"] == "bad", "a silent log is no all-clear"
    assert silent["bags"]["severity"] == "warns"
    run("bag", "receive", bag.papers, "--key", safe_key, "--marks", "lead 1")
    run("bag", "store", bag.papers, *bag.places, "--key", safe_key)
    lay(embassy, bag)
    assert checked(embassy).keys() == {"bags", "safe of seat 3"}
    state = safe_of(embassy)["bags"]
    assert (state["kept"], state["under_way"], state["troubles"]) == (1, 0, [])
    clock.days = 367
    assert checked(embassy)[name + "unread"]["severity"] == "warns"


def lay(embassy: Embassy, bag: Bag) -> None:
    """What came home by mail: the papers in their folder."""
    place = embassy.home / "state" / "papers" / "by-mail"
    place.mkdir(parents=True, exist_ok=True)
    for path in bag.papers.glob("[0-9]*.json"):
        (place / path.name).write_bytes(path.read_bytes())
