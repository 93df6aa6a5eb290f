"""P12: nor does an interruption break what a vault said as a witness, of orders, or of a sweep.

The attacker's powers are those of `test_p12_interruption.py`: SIGKILL before or after any single
call that changes the disk, or a power cut after any. The process does what
`tests/support/errands.py` lists: cosigned rounds, a fellow's checkpoints and his fork, a release
and its sweep, orders and their mirroring, a charter, a lodged deposit, an alarm, a lockdown.

After each: the vault starts on what is left, `fsck` is clean, a witness that saw any checkpoint
that was published cosigns the log as it is now, what was acknowledged is in effect, the vault's own
witness cosigns nothing that contradicts what it has cosigned, and a shard is there or logged as
swept. Then every errand is done again, and all is as if nothing had happened.

Positive controls: the traces without some of their fsyncs must lose something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exclave.errors import ExclaveError
from tests.support.errand_process import CHILD, ErrandStage
from tests.support.errands import Fact
from tests.support.interrupting import require_tracing
from tests.support.powercut import power_cuts
from tests.support.systrace import Event, Kill, Point, TracingRefused, Warm
from tests.support.vault_process import child_environment

PARTS = 2  # so that two workers share the kills
POINTS = 550  # counted 587; less means that the tracer or the vault lost sight of writes
EVENTS = 700  # counted 760
ERRANDS = 15
OWN = {
    ("rename", "meta/witness-1"), ("rename", "meta/witness-2"), ("rename", "log/cosigned"),
    ("rename", "log/checkpoint"), ("rename", "meta/staged"), ("rename", "meta/expiry"),
    ("rename", "meta/mirrored-2"), ("unlink", "shards/*/*"), ("fsync", "shards/*"),
    ("fsync", "meta"), ("fsync", "log"), ("link", "bodies/*/*"),
}  # fmt: skip
"""What these errands add to the writes of a vault: killed at in every run."""


@dataclass(frozen=True, kw_only=True)
class ErrandTrace:
    stage: ErrandStage  # as it is before the process starts
    points: list[Point]
    events: list[Event]
    said: list[Fact]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> ErrandTrace:
    """A whole run of a real process."""
    folder = tmp_path_factory.mktemp("errands")
    stage = ErrandStage.new(folder / "before")
    try:
        run, said = stage.copy(folder / "whole").play(folder / "work")
    except TracingRefused as error:
        require_tracing(error)
        raise
    assert run.exit_code == 0
    return ErrandTrace(stage=stage, points=run.points, events=run.events, said=said)


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    made = Warm(CHILD, child_environment())
    yield made
    made.close()


def kind_of(point: Point) -> tuple[str, str]:
    return point.call, point.kind.removeprefix("missions/*/")


def chosen(points: Sequence[Point], *, every: bool) -> list[Kill]:
    """Around the first and last of each own kind, and every 45th; or all, both ways."""
    if every:
        return [Kill(point, when) for point in points for when in ("before", "after")]
    kills: list[Kill] = []
    for number, kind in enumerate(sorted(OWN)):
        alike = [point for point in points if kind_of(point) == kind]
        kills += [Kill(alike[0], "after"), Kill(alike[-1], "before" if number % 2 else "after")]
    kills += [Kill(point, "after") for point in points[::45]]
    return list(dict.fromkeys(kills))


def test_all_errands_are_run_and_their_writes_seen(vault: ErrandTrace) -> None:
    did = [fact["did"] for fact in vault.said if fact["did"] != "got"]
    assert (did[0], did[-1], len(did)) == ("start", "end", ERRANDS + 2)
    assert len(vault.points) >= POINTS
    assert len(vault.events) >= EVENTS
    assert {kind_of(point) for point in vault.points} >= OWN
    (swept,) = [fact["swept"] for fact in vault.said if fact["did"] == "sweep"]
    unlinked = [point for point in vault.points if kind_of(point) == ("unlink", "shards/*/*")]
    assert len(swept) == len(unlinked) == 3


def test_every_kind_of_point_is_killed_at(vault: ErrandTrace) -> None:
    killed = {kind_of(kill.point) for kill in chosen(vault.points, every=False)}
    assert killed >= OWN
    every = chosen(vault.points, every=True)
    assert {kill.point for kill in every} == set(vault.points)
    assert len(every) == len(set(every)) == 2 * len(vault.points)


def kill_vault(vault: ErrandTrace, warm: Warm, folder: Path, kills: Sequence[Kill]) -> None:
    for number, kill in enumerate(kills):
        stage = vault.stage.copy(folder / str(number))
        run, said = stage.play(folder / f"{number}-work", kill=kill, warm=warm)
        assert run.killed, f"never reached: {kill}"
        try:
            stage.check(said)
            stage.complete()
        except (AssertionError, ExclaveError) as error:
            raise AssertionError(f"{kill}: {error!r}") from error


@pytest.mark.parametrize("part", range(PARTS))
def test_a_killed_vault_keeps_its_word(
    vault: ErrandTrace, warm: Warm, tmp_path: Path, part: int
) -> None:
    kills = chosen(vault.points, every=False)[part::PARTS]
    kill_vault(vault, warm, tmp_path, kills)
    print(f"errands: killed at {len(kills)} of {len(vault.points)} points")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_vault_killed_anywhere_keeps_its_word(
    vault: ErrandTrace, warm: Warm, tmp_path: Path, part: int
) -> None:
    kill_vault(vault, warm, tmp_path, chosen(vault.points, every=True)[part::PARTS])


def cut_vault(
    vault: ErrandTrace,
    events: Sequence[Event],
    folder: Path,
    wanted: dict[int, tuple[bool, ...]],
    *,
    all_said: bool = False,
) -> int:
    """Cut the power after each wanted event, names kept or not; returns how many cuts."""
    cuts = 0
    for count, disk in power_cuts(vault.stage.vault, events):
        for names in wanted.get(count, ()):
            said = [fact for fact in vault.said if all_said or fact["events"] <= count]
            stage = vault.stage.copy(
                folder / f"{count}-{names}", lambda at, n=names, d=disk: d.leave(at, names=n)
            )
            try:
                stage.check(said)
                stage.complete()
            except (AssertionError, ExclaveError) as error:
                last = events[count - 1] if count else Event("nothing", "")
                raise AssertionError(
                    f"power cut after event {count} ({last.call} {last.path}), "
                    f"names kept {names}: {error!r}"
                ) from error
            cuts += 1
    return cuts


def moments(vault: ErrandTrace, part: int) -> dict[int, tuple[bool, ...]]:
    """Where something was just said, nothing unsynced kept; every 70th event, names kept."""
    told = {fact["events"] for fact in vault.said}
    counts = sorted(told | set(range(0, len(vault.events) + 1, 70)))
    return {count: (count not in told,) for count in counts[part::PARTS]}


@pytest.mark.parametrize("part", range(PARTS))
def test_a_power_cut_leaves_the_vault_its_word(
    vault: ErrandTrace, tmp_path: Path, part: int
) -> None:
    cuts = cut_vault(vault, vault.events, tmp_path, moments(vault, part))
    print(f"errands: {cuts} power cuts over {len(vault.events)} events")
    assert cuts >= 12


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_power_cut_anywhere_leaves_the_vault_its_word(vault: ErrandTrace, tmp_path: Path) -> None:
    both = dict.fromkeys(range(len(vault.events) + 1), (False, True))
    assert cut_vault(vault, vault.events, tmp_path, both) == 2 * len(both)


@pytest.mark.parametrize(
    ("without", "between", "broken"),
    [
        ("/meta", ("start", "later"), "it forgot what it cosigned"),
        ("/shards/", ("release", "sweep"), "a swept shard came back"),
        ("/log", ("start", "round"), "the log shrank"),
        ("/log", ("start", "sweep"), "missing; a lodged record names it"),
        ("/bodies", ("start", "hold"), "missing; the log names it as order"),
        ("tmp/", ("start", "round"), ""),
    ],
)
def test_control_without_its_fsyncs_a_vault_would_break_its_word(
    vault: ErrandTrace, tmp_path: Path, without: str, between: tuple[str, str], broken: str
) -> None:
    when = {fact["did"]: fact["events"] for fact in vault.said}
    after, until = (when[name] for name in between)
    events = [
        event
        for number, event in enumerate(vault.events[:until])
        if event.call not in {"fsync", "fdatasync"} or without not in event.path or number < after
    ]
    assert len(events) < until
    early = replace(vault, said=[f for f in vault.said if f["events"] <= until])
    with pytest.raises(AssertionError, match=f"power cut.*{broken}"):
        cut_vault(early, events, tmp_path, {len(events): (False,)}, all_said=True)


def test_control_a_lie_is_noticed(vault: ErrandTrace, tmp_path: Path) -> None:
    half = {len(vault.events) // 2: (False,)}
    with pytest.raises(AssertionError, match="power cut"):
        cut_vault(vault, vault.events, tmp_path, half, all_said=True)
