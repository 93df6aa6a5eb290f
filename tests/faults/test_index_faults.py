"""The dedup index after SIGKILL and power cuts: what was said to be safe is found again.

A process enters packs into a journal that writes runs early. It is killed before or after calls
that change its folder, one of each kind and every so many (in `make soak` each kind both ways, and
ten times as many); and the trace is replayed with what was
not synced left out. Whatever is left opens, finds every chunk of the packs that were said to be
safe and not dropped since, and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from tests.support import indexing
from tests.support.indexing import chunk_of, made_pack, open_journal
from tests.support.interrupting import require_tracing
from tests.support.powercut import power_cuts
from tests.support.systrace import Event, Kill, Point, TracingRefused, Warm
from tests.support.vault_process import child_environment

PACKS = 24
POINTS = 400  # counted 470


@dataclass(frozen=True, kw_only=True)
class Whole:
    points: list[Point]
    events: list[Event]
    said: list[int]  # events that had happened when each pack was said to be safe, at most


def play(
    warm: Warm, place: Path, out: Path, kill: Kill | None = None
) -> tuple[bool, list[int], Whole]:
    """Run it; whether it was killed, and the packs that it said were safe."""
    place.mkdir()
    run = warm.trace([str(place), str(PACKS)], watch=place, out=out, kill=kill)
    numbers, counts = [], []
    for line in run.stdout:
        numbers.append(int(line))
        counts.append(run.count)
    run.wait()
    whole = Whole(points=run.points, events=run.events, said=counts)
    return run.killed, numbers, whole


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    process = Warm(Path(indexing.__file__), child_environment())
    yield process
    process.close()


@pytest.fixture(scope="module")
def whole(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("index")
    try:
        _, numbers, run = play(warm, folder / "place", folder / "out")
    except TracingRefused as error:
        require_tracing(error)
        raise
    assert numbers == list(range(1, PACKS + 1))
    return run


def chosen(points: Sequence[Point], *, both: bool) -> list[Kill]:
    """The last of each kind, before it and after it in turn or both ways, and some more."""
    kinds = {(point.call, point.kind): point for point in points}
    kills = [Kill(point, when) for point in kinds.values() for when in ("before", "after")]
    if both:
        return [*kills, *(Kill(point, "after") for point in points[::6])]
    in_turn = [kill for number, kill in enumerate(kills) if number % 4 in (0, 3)]
    return [*in_turn, *(Kill(point, "after") for point in points[::60])]


def check(place: Path, said: Sequence[int]) -> None:
    """Every pack that was said to be safe is found, unless it was dropped; more can be entered."""
    journal = open_journal(place)
    lost = {5, 10, 15, 20}  # dropped after they were said to be safe
    for number in said:
        chunks = made_pack(number).chunks
        places = journal.lookup([chunk[0] for chunk in chunks])
        if number not in lost:
            assert [p and p.offset for p in places] == [chunk[1] for chunk in chunks], number
    assert journal.lookup([chunk_of(10**6)]) == [None]
    for number in range(PACKS + 1, PACKS + 5):
        journal.add_safe_pack(made_pack(number))
        assert None not in journal.lookup([chunk[0] for chunk in made_pack(number).chunks])
    journal.close()
    named = {
        row[0]
        for row in apsw.Connection(str(place / "journal.db")).execute("SELECT name FROM runs")
    }
    assert {path.name for path in (place / "journal.index").iterdir()} == named


def test_its_writes_are_all_seen(whole: Whole) -> None:
    assert len(whole.points) >= POINTS
    kinds = {(point.call, point.kind) for point in whole.points}
    for column in ("starts", "tags", "packs", "prefixes"):
        file = f"journal.index/*/{column}"
        assert {("write", file), ("fsync", file)} <= kinds
    assert {("fsync", "journal.index"), ("fsync", "journal.index/*")} <= kinds
    assert "unlink" in {event.call for event in whole.events}, "merged runs are removed"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "both", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["in turn", "both ways"]
)
def test_a_killed_process_leaves_a_whole_index(
    whole: Whole, warm: Warm, tmp_path: Path, both: bool
) -> None:
    kills = chosen(whole.points, both=both)
    for number, kill in enumerate(kills):
        place = tmp_path / str(number)
        killed, said, _ = play(warm, place, tmp_path / f"{number}-out", kill)
        assert killed, f"never reached: {kill}"
        check(place, said)
    print(f"dedup index: killed at {len(kills)} of {len(whole.points)} points")


@pytest.mark.timeout(600)
def test_a_power_cut_leaves_a_whole_index(whole: Whole, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    cuts = 0
    for count, disk in power_cuts(empty, whole.events):
        if count % 23 and count != len(whole.events):
            continue
        for names in (False, True):
            place = tmp_path / f"{count}-{names}"
            place.mkdir()
            disk.leave(place, names=names)
            check(place, [n for n, at in enumerate(whole.said, 1) if at <= count])
            cuts += 1
    assert cuts > 40
    print(f"dedup index: {cuts} power cuts")
