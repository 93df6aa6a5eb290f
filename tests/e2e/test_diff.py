"""`exclave diff`: what it says of real registers is what was done to them."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.pgfixtures import FreshDatabase, PostgresServer
from tests.support.bags import run
from tests.support.embassy import Embassy, files_register, found_embassy, postgres_register
from tests.support.tampering import config_of

NOTE = "repeat(md5(n::text), 8)"


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path / "mission", n=1, k=1) as made:
        made.write_registers(mib=0.1)
        yield made


def compare(embassy: Embassy, before: object, after: object) -> dict[str, dict[str, Any]]:
    """Objects by register and name."""
    said = run("diff", before, after, "-c", embassy.write_config())
    return {
        f"{register['id']}/{item['name']}": item
        for register in said["registers"]
        for item in register["objects"]
    }


def test_files_and_rows(embassy: Embassy) -> None:
    """Added, removed and changed files by folder; rows of SQLite tables; and back again."""
    folder = embassy.home / "registers" / "scans"
    (folder / "old").mkdir()
    (folder / "old" / "gone.txt").write_text("gone")
    (folder / "old" / "kept.txt").write_text("kept")
    embassy.deposit()
    embassy.deposit()
    same = run("diff", 1, 2, "-c", embassy.write_config())
    assert same["same"]
    (folder / "old" / "gone.txt").unlink()
    (folder / "old" / "kept.txt").write_text("other")
    (folder / "new").mkdir()
    for name in ("a", "b"):
        (folder / "new" / name).write_text(name)
    with closing(sqlite3.connect(embassy.home / "registers" / "gazette.sqlite")) as database:
        [(table, _)] = database.execute(
            "SELECT name, 0 FROM sqlite_schema WHERE type = 'table' LIMIT 1"
        ).fetchall()
        [(rows,)] = database.execute(f"SELECT count(*) FROM {table}").fetchall()
        database.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT min(rowid) FROM {table})")
        database.commit()
    embassy.deposit()
    found = compare(embassy, 1, "latest")
    [tree] = [item for item in found.values() if item["type"] == "tree"]
    assert tree["exact"]
    assert tree["files"][1] == tree["files"][0] + 1
    assert {f["folder"]: (f["added"], f["removed"], f["changed"]) for f in tree["folders"]} == {
        "./new/": (2, 0, 0),
        "./old/": (0, 1, 1),
    }
    [file] = [item for item in found.values() if item["type"] == "file"]
    assert {"name": table, "rows": [rows, rows - 1]} in file["tables"]
    back = compare(embassy, 3, 2)
    [tree] = [item for item in back.values() if item["type"] == "tree"]
    assert {f["folder"]: (f["added"], f["removed"], f["changed"]) for f in tree["folders"]} == {
        "./new/": (0, 2, 0),
        "./old/": (1, 0, 1),
    }


def test_a_register_of_one_deposit_only(embassy: Embassy) -> None:
    more = embassy.home / "more"
    more.mkdir()
    (more / "a.txt").write_text("a")
    embassy.deposit()
    embassy.add_register(files_register("more", more))
    embassy.deposit()
    said = run("diff", 1, 2, "-c", embassy.write_config())
    assert {item["id"]: item["only"] for item in said["registers"]}["more"] == "after"
    assert not said["same"]


def test_what_cannot_be_compared(tmp_path: Path, embassy: Embassy) -> None:
    """Unknown deposits; outlines that are lost, damaged, or another's."""
    embassy.deposit()
    embassy.deposit()
    config = embassy.write_config()
    assert "expected the name of one deposit" in run("diff", 1, 7, "-c", config, expect=2)
    outlines = sorted((embassy.home / "state" / "catalogue").glob("*/outline"))
    assert len(outlines) == 2
    assert b"scans" not in outlines[0].read_bytes()
    shutil.copy(outlines[1], outlines[0])
    said = run("diff", 1, 2, "-c", config, expect=7)
    assert "cannot be opened with this depositor's keys" in said
    outlines[0].unlink()
    said = run("diff", 1, 2, "-c", config, expect=3)
    assert "expected an outline to compare, got none" in said


@pytest.mark.postgres
def test_tables_by_their_groups(
    tmp_path: Path, embassy: Embassy, pg16: PostgresServer, fresh_database: FreshDatabase
) -> None:
    """Appended, updated and deleted rows: exactly the groups that the manifests do not share."""
    name = fresh_database(pg16)
    with pg16.connect(name) as connection:
        for table in ("still", "grows", "edited", "cut"):
            connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, note text)")
            connection.execute(
                f"INSERT INTO {table} SELECT n, {NOTE} FROM generate_series(1, 4000) n"
            )
        connection.commit()
    registry = postgres_register("registry", config_of(pg16, name))
    embassy.deposit([registry])
    with pg16.connect(name) as connection:
        connection.execute(f"INSERT INTO grows SELECT n, {NOTE} FROM generate_series(4001, 4040) n")
        connection.execute("UPDATE edited SET note = repeat(md5('x'), 8) WHERE id = 4000")
        connection.execute("DELETE FROM cut WHERE id = 3999")
        connection.execute("CREATE TABLE fresh AS SELECT 1 AS one")
        connection.commit()
    embassy.deposit([registry])
    found = {key.rpartition(".")[2]: item for key, item in compare(embassy, 1, 2).items()}
    assert found["still"]["same"]
    assert found["still"]["groups"][0] > 10
    for table, rows in {"grows": [4000, 4040], "edited": [4000, 4000], "cut": [4000, 3999]}.items():
        item = found[table]
        assert item["exact"]
        assert item["rows"] == rows
        # All that was done lies at the table's end: its last group, and what was appended.
        assert 1 <= item["groups_new"] <= 2, table
        assert item["groups_gone"] == 1, table
        assert item["share"] == round(item["groups_new"] / item["groups"][1], 6)
    assert (found["fresh"]["rows"], found["fresh"]["groups_new"]) == ([None, 1], 1)
    kinds = Counter(item["type"] for item in found.values())
    assert kinds["table"] == 5
