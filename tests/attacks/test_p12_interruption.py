"""P12: kill -9 or power loss at any write loses nothing acknowledged and lists nothing incomplete.

The attacker's powers: he ends the real process with SIGKILL before or after any single call that
changes its disk, or cuts the power after any of them, so that of the disk only what was synced is
left: bytes by an fsync of their file, names by an fsync of their folder. He chooses the moment. He
does not change bytes that are on the disk.

Kill points are enumerated by tracing the process itself (`tests/support/systrace.py`). At a vault
every distinct pair of call and kind of file is killed at in every run; at a deposit, whose every
kill costs a deposit more, every kind of file and every call; everywhere every point in `make soak`.
Positive controls: the same traces with their fsyncs taken out must lose something; a process that
says what it has not done must be caught.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exclave.errors import ExclaveError
from exclave.vault.interface import State
from tests.support.depositor_process import CHILD as DEPOSIT
from tests.support.depositor_process import DepositStage
from tests.support.embassy import found_embassy
from tests.support.interrupting import require_tracing
from tests.support.powercut import Disk, power_cuts
from tests.support.systrace import Event, Kill, Point, TracingRefused, Warm
from tests.support.vault_process import CHILD, Acknowledged, VaultStage, child_environment

PARTS = 2  # so that two workers share the kills
VAULT_POINTS = 300  # counted 323; less means that the tracer or the vault lost sight of writes
DEPOSIT_POINTS = 150  # counted 165 for a first deposit
LATER_POINTS = 100  # counted 116 for one that goes on with a journal
CALLS = {"write", "pwrite64", "fsync", "fdatasync", "rename", "link", "ftruncate"}


def chosen(points: Sequence[Point], part: int, *, every: bool) -> list[Kill]:
    """The first or last of each kind, before or after it, and each 20th; or all, both ways."""
    if every:
        kills = [Kill(point, when) for point in points for when in ("before", "after")]
    else:
        kinds: dict[tuple[str, str], list[Point]] = {}
        for point in points:
            kinds.setdefault((point.call, point.kind), []).append(point)
        kills = [
            Kill(kinds[kind][0 if number % 2 else -1], "after" if number % 4 > 1 else "before")
            for number, kind in enumerate(sorted(kinds))
        ]
        kills += [Kill(points[0], "before"), Kill(points[-1], "after")]
        kills += [Kill(point, "after") for point in points[::20]]
        kills = list(dict.fromkeys(kills))
    return kills[part::PARTS]


def telling(points: Sequence[Point], part: int) -> list[Kill]:
    """Of each kind of file one, by its calls in turn; what no call had; and each 40th."""
    files: dict[str, dict[str, list[Point]]] = {}
    for point in points:
        files.setdefault(point.kind, {}).setdefault(point.call, []).append(point)
    kills, rare = [], sorted({point.call for point in points})
    for number, (_, calls) in enumerate(sorted(files.items())):
        # What is killed at seldom comes first: so every call has its turn.
        call = next((name for name in rare if name in calls), sorted(calls)[number % len(calls)])
        rare = [name for name in rare if name != call]
        at = calls[call][0 if number % 2 else -1]
        kills.append(Kill(at, "after" if number % 4 > 1 else "before"))
    kills += [Kill(next(p for p in points if p.call == name), "after") for name in rare]
    kills += [Kill(points[0], "before"), Kill(points[-1], "after")]
    kills += [Kill(point, "after") for point in points[::40]]
    return list(dict.fromkeys(kills))[part::PARTS]


# The vault


@dataclass(frozen=True, kw_only=True)
class VaultTrace:
    stage: VaultStage  # as it is before the process starts
    points: list[Point]
    events: list[Event]
    acked: Acknowledged


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> VaultTrace:
    """A whole run of a real vault process."""
    folder = tmp_path_factory.mktemp("vault")
    stage = VaultStage.new(folder / "before")
    whole = stage.copy(folder / "whole")
    try:
        run, acked = whole.play(folder / "work")
    except TracingRefused as error:
        require_tracing(error)
        raise
    assert run.exit_code == 0
    return VaultTrace(stage=stage, points=run.points, events=run.events, acked=acked)


@pytest.fixture(scope="module")
def warm_vault() -> Iterator[Warm]:
    warm = Warm(CHILD, child_environment())
    yield warm
    warm.close()


def test_the_vaults_writes_are_all_seen(vault: VaultTrace) -> None:
    assert vault.acked.done
    assert len(vault.acked.receipts) == 2
    said = [state for _, _, state in vault.acked.states]
    assert said == [State.PENDING, State.LODGED, State.LODGED]
    assert len(vault.points) >= VAULT_POINTS
    assert {point.call for point in vault.points} >= CALLS
    kinds = {point.kind.removeprefix("missions/*/") for point in vault.points}
    assert kinds >= {
        "tmp/*", "shards/*/*", "bodies/*/*", "log/checkpoint", "log/tile/*/*/*",
        "log/tile/entries/*/*", "meta/service", "state.db-wal",
    }  # fmt: skip


def kill_vault(vault: VaultTrace, warm: Warm, folder: Path, kills: Sequence[Kill]) -> None:
    """Kill at each point; restarted, everything acknowledged holds and the rest can be done."""
    for number, kill in enumerate(kills):
        stage = vault.stage.copy(folder / str(number))
        run, acked = stage.play(folder / f"{number}-work", kill=kill, warm=warm)
        assert run.killed, f"never reached: {kill}"
        assert run.exit_code == -9
        try:
            stage.check(acked)
            stage.complete()
        except (AssertionError, ExclaveError) as error:
            raise AssertionError(f"{kill}: {error}") from error


@pytest.mark.parametrize("part", range(PARTS))
def test_a_killed_vault_keeps_its_word(
    vault: VaultTrace, warm_vault: Warm, tmp_path: Path, part: int
) -> None:
    kills = chosen(vault.points, part, every=False)
    kill_vault(vault, warm_vault, tmp_path, kills)
    print(f"vault: killed at {len(kills)} of {len(vault.points)} points")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_vault_killed_anywhere_keeps_its_word(
    vault: VaultTrace, warm_vault: Warm, tmp_path: Path, part: int
) -> None:
    kill_vault(vault, warm_vault, tmp_path, chosen(vault.points, part, every=True))


def test_every_kind_of_point_is_killed_at(vault: VaultTrace) -> None:
    killed = {k.point for part in range(PARTS) for k in chosen(vault.points, part, every=False)}
    assert {(p.call, p.kind) for p in killed} == {(p.call, p.kind) for p in vault.points}
    every = [kill for part in range(PARTS) for kill in chosen(vault.points, part, every=True)]
    assert {kill.point for kill in every} == set(vault.points)
    assert len(every) == len(set(every)) == 2 * len(vault.points)


def cut_vault(
    vault: VaultTrace, events: Sequence[Event], folder: Path, wanted: set[int] | None = None
) -> int:
    """Cut the power after each wanted event, in both ways; returns how many cuts."""
    cuts = 0
    for count, disk in power_cuts(vault.stage.vault, events):
        for names in (False, True) if wanted is None or count in wanted else ():
            stage = vault.stage.copy(
                folder / f"{count}-{names}", lambda at, n=names, d=disk: d.leave(at, names=n)
            )
            try:
                stage.check(vault.acked.until(count))
                stage.complete()
            except (AssertionError, ExclaveError) as error:
                what = events[count - 1] if count else "nothing"
                raise AssertionError(
                    f"power cut after event {count} ({what}), names kept {names}: {error!r}"
                ) from error
            cuts += 1
    return cuts


def moments(vault: VaultTrace, part: int) -> set[int]:
    """Where things were just acknowledged, and every eleventh event."""
    acked = vault.acked
    told = {item[0] for item in (*acked.shards, *acked.states, *acked.receipts)}
    spread = set(range(0, len(vault.events) + 1, 11))
    return set(sorted(told | spread | {len(vault.events)})[part::PARTS])


@pytest.mark.parametrize("part", range(PARTS))
def test_a_power_cut_leaves_the_vault_its_word(
    vault: VaultTrace, tmp_path: Path, part: int
) -> None:
    cuts = cut_vault(vault, vault.events, tmp_path, moments(vault, part))
    print(f"vault: {cuts} power cuts over {len(vault.events)} events")
    assert cuts >= 2 * 15


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_power_cut_anywhere_leaves_the_vault_its_word(vault: VaultTrace, tmp_path: Path) -> None:
    assert cut_vault(vault, vault.events, tmp_path) == 2 * (len(vault.events) + 1)


@pytest.mark.parametrize(
    "without",
    ["tmp/", "/shards", "/bodies", "/log", "/log/tile"],
    ids=["of files", "of shards/", "of bodies/", "of log/", "of log/tile/"],
)
def test_control_without_its_fsyncs_a_vault_would_lose(
    vault: VaultTrace, tmp_path: Path, without: str
) -> None:
    syncs = {"fsync", "fdatasync"}
    events = [e for e in vault.events if e.call not in syncs or without not in e.path]
    assert len(events) < len(vault.events)
    end = replace(vault, acked=_all_at(vault.acked, len(events)))
    with pytest.raises(AssertionError, match="power cut"):
        cut_vault(end, events, tmp_path, {len(events)})


def test_control_a_lie_is_noticed(vault: VaultTrace, tmp_path: Path) -> None:
    acked = vault.acked
    early = [(0, *item[1:]) for item in acked.shards], [(0, *item[1:]) for item in acked.states]
    lie = replace(vault, acked=replace(acked, shards=early[0], states=early[1]))
    with pytest.raises(AssertionError, match="power cut"):
        cut_vault(lie, vault.events, tmp_path, {len(vault.events) // 2})


def _all_at(acked: Acknowledged, count: int) -> Acknowledged:
    """Everything acknowledged, as if when so many events had ended."""
    return replace(
        acked,
        shards=[(min(n, count), root) for n, root in acked.shards],
        states=[(min(n, count), statement, state) for n, statement, state in acked.states],
        receipts=[(min(n, count), data) for n, data in acked.receipts],
    )


# The depositing machine


@dataclass(frozen=True, kw_only=True)
class DepositTrace:
    stage: DepositStage
    points: list[Point]
    events: list[Event]
    lodged: bool


@pytest.fixture(scope="module")
def warm_deposit() -> Iterator[Warm]:
    warm = Warm(DEPOSIT, child_environment())
    yield warm
    warm.close()


@pytest.fixture(scope="module", params=["second deposit", "first deposit"])
def home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, warm_deposit: Warm
) -> Iterator[DepositTrace]:
    """A whole run of the real depositing process."""
    folder = tmp_path_factory.mktemp("home")
    with found_embassy(folder / "embassy") as embassy:
        stage = DepositStage.new(embassy, second=request.param == "second deposit")
        stage.reset()
        try:
            run, lodged = stage.play(folder / "work", warm_deposit)
        except TracingRefused as error:
            require_tracing(error)
            raise
        yield DepositTrace(stage=stage, points=run.points, events=run.events, lodged=lodged)


def test_the_depositors_writes_are_all_seen(home: DepositTrace) -> None:
    assert home.lodged
    assert len(home.points) >= (DEPOSIT_POINTS if "first" in _name(home) else LATER_POINTS)
    assert {point.call for point in home.points} >= CALLS - {"ftruncate", "link"}
    spooled = {("link", "spool/*/*"), ("fsync", "spool/*"), ("write", "spool/tmp/*")}
    seen = {(point.call, point.kind) for point in home.points}
    assert seen >= ({("unlink", "spool/*/*")} if home.stage.second else spooled)
    assert {point.kind for point in home.points} >= {
        "catalogue/packs/*/*", "catalogue/*/record.json",
        "catalogue/*/deposit.json", "journal.db", "journal.db-wal",
    }  # fmt: skip


def interrupt_deposit(
    home: DepositTrace,
    warm: Warm,
    folder: Path,
    kills: Sequence[tuple[Kill, str]],
    *,
    rebuilt: int = 1,
) -> None:
    """Kill at each point, then cut the power or not; the next run must make everything good.

    Each `rebuilt`th time everything is reconstructed as well.
    """
    stage = home.stage
    for number, (kill, power) in enumerate(kills):
        stage.reset()
        run, lodged = stage.play(folder / f"{number}-work", warm, kill)
        assert run.killed, f"never reached: {kill}"
        if power != "stays":
            disk = Disk(stage.snapshot / "home" / "state")
            for event in run.events:
                disk.apply(event)
            stage.lose_power(lambda at, d=disk, p=power: d.leave(at, names=p == "leaves names"))
        try:
            stage.check(lodged=lodged)
            stage.complete(folder / f"{number}-out", rebuilt=number % rebuilt == 0)
        except (AssertionError, ExclaveError) as error:
            raise AssertionError(f"{kill}, power {power}: {error!r}") from error


@pytest.mark.parametrize("part", range(PARTS))
def test_a_killed_deposit_is_made_good(
    home: DepositTrace, warm_deposit: Warm, tmp_path: Path, part: int
) -> None:
    kills = telling(home.points, part)
    if "second" in _name(home):  # the kinds are those of a first one: spread evenly instead
        kills = [Kill(point, "after") for point in home.points[::24]]
        kills += [Kill(p, "after") for p in home.points if p.kind.startswith("spool/*/")]
        kills = kills[part::PARTS]
    powers = itertools.cycle(["goes", "stays", "leaves names", "stays"])
    chances = list(zip(kills, powers, strict=False))
    interrupt_deposit(home, warm_deposit, tmp_path, chances, rebuilt=5)
    print(f"{_name(home)}: killed at {len(kills)} of {len(home.points)} points")


@pytest.mark.parametrize("home", ["first deposit"], indirect=True)
def test_every_file_and_every_call_of_a_deposit_is_killed_at(home: DepositTrace) -> None:
    killed = {kill.point for part in range(PARTS) for kill in telling(home.points, part)}
    assert {point.kind for point in killed} == {point.kind for point in home.points}
    assert {point.call for point in killed} == {point.call for point in home.points}


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("power", ["stays", "goes", "leaves names"])
def test_a_deposit_killed_anywhere_is_made_good(
    home: DepositTrace, warm_deposit: Warm, tmp_path: Path, power: str
) -> None:
    for part in range(PARTS):
        kills = [(kill, power) for kill in chosen(home.points, part, every=True)]
        interrupt_deposit(home, warm_deposit, tmp_path / str(part), kills)


def test_a_finished_deposit_outlives_a_power_cut(
    home: DepositTrace, warm_deposit: Warm, tmp_path: Path
) -> None:
    for names in (False, True):
        _finish_and_lose_power(home, warm_deposit, tmp_path / str(names), names=names)
        home.stage.check(lodged=True)
        home.stage.complete(tmp_path / f"out-{names}")


@pytest.mark.parametrize("home", ["first deposit"], indirect=True)
@pytest.mark.parametrize("without", ["spool/tmp/", "spool/3"], ids=["of files", "of folders"])
def test_control_without_its_fsyncs_a_deposit_would_lose(
    home: DepositTrace, warm_deposit: Warm, tmp_path: Path, without: str
) -> None:
    _finish_and_lose_power(home, warm_deposit, tmp_path, without=without)
    with pytest.raises((AssertionError, ExclaveError)):
        home.stage.check(lodged=True)


def test_control_a_deposit_that_was_not_lodged_is_noticed(home: DepositTrace) -> None:
    home.stage.reset()
    with pytest.raises((AssertionError, IndexError)):
        home.stage.check(lodged=True)


def _finish_and_lose_power(
    home: DepositTrace, warm: Warm, folder: Path, *, names: bool = False, without: str = "nothing"
) -> None:
    home.stage.reset()
    run, lodged = home.stage.play(folder / "work", warm)
    assert lodged
    disk = Disk(home.stage.snapshot / "home" / "state")
    for event in run.events:
        if event.call not in ("fsync", "fdatasync") or not event.path.startswith(without):
            disk.apply(event)
    home.stage.lose_power(lambda at: disk.leave(at, names=names))


def _name(home: DepositTrace) -> str:
    return "second deposit" if home.stage.second else "first deposit"
