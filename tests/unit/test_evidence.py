"""The folder of certificates: what was kept last, and what became of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exclave.clock import format_time
from exclave.evidence import EvidenceDamaged, EvidenceStore
from tests.support.certificates import (
    make_drill,
    make_proof,
    result,
    results,
    signed_drill,
    signed_proof,
    warrant_for,
)
from tests.support.vault_world import START, World, ed, new_world

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def world() -> World:
    return new_world()


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "state" / "evidence")


def test_nothing_is_known_of_what_was_never_kept(store: EvidenceStore) -> None:
    assert store.latest("proof", "land") is None
    assert store.latest("drill", "land") is None


def test_the_newest_of_each_kind_counts(world: World, store: EvidenceStore) -> None:
    for days in (2, 3, 1):
        proof = make_proof(world, ended=START + days * DAY)
        store.keep(signed_proof(world, proof))
    drill = signed_drill(make_drill(world, warrant_for(world, ed())))
    store.keep(drill)
    newest = store.latest("proof", "land")
    assert newest is not None
    assert (newest.ended, newest.passed, newest.seconds) == (
        format_time(START + 3 * DAY), True, None,
    )  # fmt: skip
    drilled = store.latest("drill", "land")
    assert drilled is not None
    assert (drilled.kind, drilled.deposit, drilled.seconds) == ("drill", "05" * 16, 61.6)
    assert store.envelope(drilled) == drill
    assert store.latest("proof", "wills") is None


def test_a_failed_drill_hides_no_passed_one(world: World, store: EvidenceStore) -> None:
    warrant = warrant_for(world, ed())
    store.keep(signed_drill(make_drill(world, warrant)))
    failed = make_drill(world, warrant, result(differences=2), ended=START + DAY)
    store.keep(signed_drill(failed))
    newest = store.latest("drill", "land")
    assert newest is not None
    assert not newest.passed
    passed = store.latest("drill", "land", passed=True)
    assert passed is not None
    assert passed.ended == format_time(START + timedelta(seconds=60))


def test_a_register_that_did_not_come_back_is_concerned(world: World, store: EvidenceStore) -> None:
    lacking = make_drill(world, warrant_for(world, ed()), results=results(("land", "wills")))
    store.keep(signed_drill(lacking))
    for register, passed, seconds in (("land", True, 61.6), ("wills", False, None)):
        found = store.latest("drill", register)
        assert found is not None
        assert (found.passed, found.whole, found.seconds) == (passed, False, seconds)
    assert store.latest("drill", "wills", passed=True) is None


def test_a_drill_of_some_registers_says_nothing_of_the_others(
    world: World, store: EvidenceStore
) -> None:
    warrant = warrant_for(world, ed())
    both = make_drill(world, warrant, result("land"), result("wills"), ended=START + DAY)
    store.keep(signed_drill(both))
    of = results(("land", "wills"), ended=START + 9 * DAY)
    partial = make_drill(world, warrant, result("land"), results=of, only=("land",))
    assert not partial.passed
    store.keep(signed_drill(partial))
    for register, days, whole in (("land", 9, False), ("wills", 1, True)):
        found = store.latest("drill", register)
        assert found is not None
        assert (found.passed, found.whole) == (True, whole)
        assert found.ended == format_time(START + days * DAY)
    # What is shown to an auditor passed as a whole.
    shown = store.latest("drill", "land", whole=True)
    assert shown is not None
    assert shown.ended == format_time(START + DAY)


def test_keeping_again_is_no_error_and_the_warrant_stays_beside(
    world: World, store: EvidenceStore
) -> None:
    warrant = warrant_for(world, ed())
    envelope = signed_drill(make_drill(world, warrant))
    path = store.keep(envelope, warrant)
    assert store.keep(envelope, warrant) == path
    assert store.warrant_of(path) == warrant
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_damaged_certificate_is_named(world: World, store: EvidenceStore) -> None:
    path = store.keep(signed_proof(world, make_proof(world)))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(EvidenceDamaged, match=path.name):
        store.latest("proof", "land")


def test_other_files_are_left_alone(world: World, store: EvidenceStore) -> None:
    path = store.keep(signed_proof(world, make_proof(world)))
    path.with_name("proof-notes.json").write_text("not ours")
    assert store.latest("proof", "land") is not None
