"""What a drill counts as held: nothing is not enough, and one failure is too much."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from exclave.demo.attack.estate import DEEDS, POPULATION, contents, fill_registers, garble_registers
from exclave.demo.attack.findings import Book
from exclave.demo.narration import Narrator
from exclave.demo.reach import cause_of, stored_objects
from exclave.errors import VaultUnreachable
from exclave.vault.line.problems import refused


@pytest.fixture
def book() -> Book:
    return Book(Narrator(quiet=True, json=False))


def test_a_drill_without_findings_shows_nothing(book: Book) -> None:
    assert not book.good


def test_all_that_holds_is_good(book: Book) -> None:
    book.expect("the door is shut", True, "it is")
    assert book.good


def test_one_failure_is_said_and_fails_the_drill(
    book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    with book.scene("a scene"):
        book.expect("the door is shut", True, "it is")
        book.expect("the window is shut", False, "it is open")
    assert not book.good
    assert "FAILED: the window is shut; seen: it is open" in capsys.readouterr().out
    assert [item.to_json()["scene"] for item in book.findings] == ["a scene", "a scene"]


def test_one_byte_and_one_file_are_noticed_at_a_vault(tmp_path: Path) -> None:
    (tmp_path / "shards" / "ab").mkdir(parents=True)
    (tmp_path / "bodies").mkdir()
    (tmp_path / "shards" / "ab" / "one").write_bytes(b"one")
    (tmp_path / "bodies" / "two").write_bytes(b"two")
    before = stored_objects(tmp_path)
    assert sorted(before) == ["bodies/two", "shards/ab/one"]
    (tmp_path / "bodies" / "two").write_bytes(b"twp")
    assert different(before, stored_objects(tmp_path)) == {"bodies/two"}
    (tmp_path / "shards" / "ab" / "one").unlink()
    assert different(before, stored_objects(tmp_path)) == set(before)


def test_one_row_and_one_file_are_noticed_in_the_registers(tmp_path: Path) -> None:
    fill_registers(tmp_path, seed=1)
    before = contents(tmp_path)
    assert len(before) > 2000
    with closing(sqlite3.connect(tmp_path / POPULATION / "persons.db")) as db, db:
        db.execute("UPDATE person SET name = 'nobody' WHERE id = 7")
    (tmp_path / DEEDS / "deed-003.bin").write_bytes(b"")
    assert different(before, contents(tmp_path)) == {f"{POPULATION} 7", f"{DEEDS}/deed-003.bin"}
    garble_registers(tmp_path, lambda size: b"x" * size)
    assert different(before, contents(tmp_path)) == set(before)


def test_a_refusal_has_its_cause_and_silence_its_class() -> None:
    assert cause_of(refused("quota", "too much")) == "quota"
    assert cause_of(VaultUnreachable("nobody there")) == "VaultUnreachable"


def different(one: Mapping[str, str], other: Mapping[str, str]) -> set[str]:
    return {name for name in one if one[name] != other.get(name)}
