"""Drills as `check` sees them: overdue, failed, and what they measured; and room at home."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exclave.evidence import EvidenceStore
from exclave.plan import RegisterPlan
from exclave.values import replace
from exclave.vault.line.identity import new_identity, save_identity
from exclave.wiring.check_evidence import check_drills, rehearsed
from exclave.wiring.check_home import check_keys, check_room
from exclave.wiring.check_results import CheckResult, Severity
from exclave.wiring.settings import DepositSettings, load_deposit_settings
from tests.support.certificates import make_drill, result, results, signed_drill, warrant_for
from tests.support.vault_world import START, World, ed, new_world
from tests.unit.check.test_forecast import captured, entry, plan

DAY = timedelta(days=1)
FIRST = entry(captured("land", 1, 1, 1), elapsed=1)  # began 2026-01-02


@pytest.fixture(scope="module")
def world() -> World:
    return new_world()


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence")


def looked(store: EvidenceStore, *, deposited: bool, days: float) -> CheckResult:
    """The result for `land`, so many days after a drill could have been kept."""
    (found,) = check_drills(
        [plan("land")],
        store,
        [FIRST] if deposited else [],
        days=90,
        moment=START + days * DAY,
    )
    return found


def test_the_first_interval_runs_from_the_first_deposit(store: EvidenceStore) -> None:
    began = (START - START.replace(year=2026, month=1, day=2, hour=3, minute=4, second=5)) / DAY
    assert looked(store, deposited=False, days=9999).severity == Severity.GOOD
    assert looked(store, deposited=True, days=89 - began).severity == Severity.GOOD
    overdue = looked(store, deposited=True, days=91 - began)
    assert overdue.severity == Severity.BAD
    assert overdue.said.startswith("never passed, 91 d after the first deposit")


def test_a_passed_drill_lasts_for_an_interval(world: World, store: EvidenceStore) -> None:
    drill = make_drill(world, warrant_for(world, ed()), ended=START)
    store.keep(signed_drill(drill))
    assert looked(store, deposited=True, days=89).severity == Severity.GOOD
    assert looked(store, deposited=True, days=91).severity == Severity.BAD
    known = rehearsed([plan("land"), plan("wills")], store)
    assert known.restore == {"land": 1.6}  # all of the work: nothing was before it
    assert known.access == 60  # until the reader could read


def all_looked(store: EvidenceStore, *plans: RegisterPlan, days: float) -> dict[str, CheckResult]:
    """The results of registers that were all deposited long ago."""
    first = entry(*(captured(item.id, 1, 1, 1) for item in plans), elapsed=1)
    moment = START + days * DAY
    found = check_drills(plans, store, [first], days=90, moment=moment)
    return {item.what.removeprefix("drill of "): item for item in found}


def test_every_register_needs_its_own_drill(world: World, store: EvidenceStore) -> None:
    """Drills of some are enough when together they are of all, each within the interval."""
    warrant = warrant_for(world, ed())
    plans = plan("land"), plan("wills")
    for register, days in (("land", 0), ("wills", 60)):
        of = results(("land", "wills"), started=START + days * DAY, ended=START + days * DAY)
        drill = make_drill(world, warrant, result(register), results=of, only=(register,))
        assert not drill.passed
        store.keep(signed_drill(drill))
        found = all_looked(store, *plans, days=days + 1)
        assert found["land"].severity == Severity.GOOD
        assert found["wills"].good is (days == 60)
    found = all_looked(store, *plans, days=91)
    assert [found[name].severity for name in ("land", "wills")] == [Severity.BAD, Severity.GOOD]


def test_what_depends_on_a_failed_register_is_red(world: World, store: EvidenceStore) -> None:
    warrant = warrant_for(world, ed())
    names = ("persons", "land", "rents", "gazette")
    plans = plan("persons"), plan("land", "persons"), plan("rents", "land"), plan("gazette")
    store.keep(signed_drill(make_drill(world, warrant, *map(result, names), ended=START)))
    assert all(item.good for item in all_looked(store, *plans, days=2).values())
    of = results(names, started=START + DAY, ended=START + DAY)
    bad = result("persons", differences=3)
    store.keep(signed_drill(make_drill(world, warrant, bad, results=of, only=("persons",))))
    found = all_looked(store, *plans, days=2)
    assert [found[name].good for name in names] == [False, False, False, True]
    assert "did not bring it back" in found["persons"].said
    assert "it depends on persons, which" in found["rents"].said
    # Once it comes back, the others are as old as their own.
    of = results(names, started=START + 2 * DAY, ended=START + 2 * DAY)
    again = make_drill(world, warrant, result("persons"), results=of, only=("persons",))
    store.keep(signed_drill(again))
    assert all(item.good for item in all_looked(store, *plans, days=3).values())


def test_a_register_that_came_back_too_late_is_red(world: World, store: EvidenceStore) -> None:
    drill = make_drill(world, warrant_for(world, ed()), ended=START)
    (land,) = drill.registers
    late = replace(land, rto_ms=3_600_001 + 60_000)  # the plan's RTO is an hour
    store.keep(signed_drill(replace(drill, registers=(late,))))
    found = looked(store, deposited=True, days=1)
    assert found.severity == Severity.BAD
    assert "longer than its RTO of 1 h" in found.said


def test_a_forecast_that_was_off_warns_and_the_next_has_learned(
    world: World, store: EvidenceStore
) -> None:
    drill = make_drill(world, warrant_for(world, ed()), ended=START)
    (land,) = drill.registers
    slow = replace(land, forecast=60, work_ms=90_000, rto_ms=100_000)
    assert slow.foreseen is False
    store.keep(signed_drill(replace(drill, registers=(slow,))))
    found = looked(store, deposited=True, days=1)
    assert found.severity == Severity.WARNS
    assert "90 s of work where 60 s was forecast, off by more than 30 %" in found.said
    assert rehearsed([plan("land")], store).restore == {"land": 90}
    assert looked(store, deposited=True, days=31).severity == Severity.GOOD


def test_a_certificate_that_cannot_be_read_is_no_drill(
    store: EvidenceStore, tmp_path: Path
) -> None:
    (tmp_path / "evidence").mkdir()
    name = f"drill-20260301T120000Z-{'0' * 16}.json"
    (tmp_path / "evidence" / name).write_text("{}")
    assert looked(store, deposited=True, days=0).severity == Severity.BAD
    assert rehearsed([plan("land")], store).restore == {}


@pytest.fixture
def settings(tmp_path: Path) -> DepositSettings:
    """A spool of 1 MiB."""
    keys = ("depositor", "plan", "journal", "catalogue", "spool", "scratch")
    text = "".join(f'{key} = "{key}"\n' for key in keys) + 'spool_limit = "1MiB"\n'
    (tmp_path / "deposit.toml").write_text(text)
    return load_deposit_settings(tmp_path / "deposit.toml")


@pytest.mark.parametrize(
    ("used", "next_deposit", "severity", "said"),
    [
        (0, 1000, 0, "0 B of 1.0 MiB"),
        (0, 300_000, 1, "full after 3 deposits while a seat is away"),
        (1_000_000, 100_000, 2, "one seat's part of the next deposit is 97.7 KiB"),
    ],
)
def test_room_in_the_spool(
    settings: DepositSettings, used: int, next_deposit: int, severity: int, said: str
) -> None:
    spool = next(iter(check_room(settings, next_deposit=next_deposit, used=used)))
    assert (spool.what, spool.severity) == ("spool", severity)
    assert said in spool.said


def test_keys_that_others_may_read(tmp_path: Path) -> None:
    save_identity(new_identity("home", START), tmp_path / "identity.pem")
    (tmp_path / "keys.json").write_text("{}")
    for mode, severity in ((0o600, Severity.GOOD), (0o640, Severity.BAD)):
        for name in ("identity.pem", "keys.json"):
            (tmp_path / name).chmod(mode)
        (found,) = check_keys(tmp_path, "home", START)
        assert found.severity == severity
    assert found.hint == f"chmod 600 {tmp_path / 'keys.json'}"
