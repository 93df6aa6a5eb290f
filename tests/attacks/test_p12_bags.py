"""P12: a bag that was being packed when the power went is whole under its name, or is no bag.

The attacker's powers: SIGKILL before or after any single call that changes the medium, or a power
cut after any, with nothing kept that was not synced. After each, what lies on the medium reads as
no bag, as a bag with findings, or as the whole bag; a folder has its name only when it is whole;
and packing again succeeds beside it. What was reported as packed is whole after any power cut.

Positive control: without its fsyncs a finished folder would lose something.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exclave.bag.opening import open_bag
from exclave.errors import ExclaveError
from tests.support.interrupting import require_tracing
from tests.support.pack_made_bag import MADE
from tests.support.powercut import power_cuts
from tests.support.systrace import Event, Kill, Point, TracingRefused, Warm
from tests.support.vault_process import child_environment

CHILD = Path(__file__).parents[1] / "support" / "pack_made_bag.py"
CARRIERS = pytest.mark.parametrize("carrier", ["folder", "volumes"])
POINTS = {"folder": 30, "volumes": 25}  # less means that the tracer lost sight of writes


@dataclass(frozen=True, kw_only=True)
class Packing:
    points: list[Point]
    events: list[Event]
    before: Path


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    made = Warm(CHILD, child_environment())
    yield made
    made.close()


@pytest.fixture(scope="module")
def packings(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> dict[str, Packing]:
    """A whole run onto each carrier."""
    found = {}
    for carrier in POINTS:
        folder = tmp_path_factory.mktemp(carrier)
        run = pack(warm, carrier, folder)
        (folder / "before").mkdir()
        found[carrier] = Packing(points=run.points, events=run.events, before=folder / "before")
        assert look(folder / "place", carrier) == "whole"
    return found


def pack(warm: Warm, carrier: str, folder: Path, kill: Kill | None = None):  # type: ignore[no-untyped-def]
    place, work = folder / "place", folder / "work"
    place.mkdir(exist_ok=True)
    shutil.rmtree(work, ignore_errors=True)
    try:
        run = warm.trace([carrier, str(place)], watch=place, out=work, kill=kill)
        run.stdout.read()
        run.wait()
    except TracingRefused as error:
        require_tracing(error)
        raise
    return run


def look(place: Path, carrier: str) -> str:
    """`whole`, `damaged` or `none`: what somebody who finds the medium sees."""
    named = sorted(path for path in place.iterdir() if not path.name.startswith("."))
    try:
        bag = open_bag(named)
        good = list(bag.items())
    except ExclaveError:
        assert carrier == "volumes" or not named, "a folder has its name before it is whole"
        return "none"
    assert all(item.matches(data) for item, data in good)
    if len(good) == len(MADE[0].items) and not bag.findings:
        return "whole"
    assert bag.findings, "something is missing and nothing says so"
    assert carrier == "volumes", "a folder has its name before it is whole"
    return "damaged"


@CARRIERS
def test_a_killed_packing_leaves_no_bag_that_seems_whole(
    packings: dict[str, Packing], warm: Warm, tmp_path: Path, carrier: str
) -> None:
    points = packings[carrier].points
    assert len(points) >= POINTS[carrier]
    seen = set()
    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = pack(warm, carrier, folder, Kill(point, "after" if number % 2 else "before"))
        assert run.killed, f"never reached: {point}"
        seen.add(state := look(folder / "place", carrier))
        if state == "none":
            pack(warm, carrier, folder)
            assert look(folder / "place", carrier) == "whole", point
        shutil.rmtree(folder)
    assert "none" in seen
    print(f"bags: killed at {len(points)} points on a {carrier}")


@CARRIERS
def test_a_power_cut_leaves_no_bag_that_seems_whole(
    packings: dict[str, Packing], tmp_path: Path, carrier: str
) -> None:
    packing = packings[carrier]
    states = {}
    for count, disk in power_cuts(packing.before, packing.events):
        for names in (False, True):
            left = tmp_path / f"{count}-{names}"
            disk.leave(left, names=names)
            states[count, names] = look(left, carrier)
            shutil.rmtree(left)
    last = len(packing.events)
    assert states[last, False] == states[last, True] == "whole"
    assert "none" in states.values()


def test_control_without_its_fsyncs_a_folder_would_lose_something(
    packings: dict[str, Packing], tmp_path: Path
) -> None:
    packing = packings["folder"]
    events = [event for event in packing.events if event.call not in {"fsync", "fdatasync"}]
    assert len(events) < len(packing.events)
    *_, (_, disk) = power_cuts(packing.before, events)
    disk.leave(tmp_path / "left", names=False)
    assert look(tmp_path / "left", "folder") == "none"
