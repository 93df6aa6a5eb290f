"""`exclave demo --keep`: what is left runs, is stopped as it says, and needs no Exclave to be read.

The standalone reader gets two vault folders and four cards, and `psql` loads what it wrote. At last
what came back is altered, and the demo's own comparison must name it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from exclave import clock
from exclave.demo.verdict import judge
from exclave.postgres_server.server import PostgresServer, available_majors, pg_tool, start_server
from tests.support.embassy import PROGRAM

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        not {16, 18} <= set(available_majors()), reason="needs PostgreSQL 16 and 18"
    ),
]

READER = Path(__file__).resolve().parents[2] / "reader" / "exclave_reader.py"
EMPTY: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A demo that was left as it stood."""

    value: dict[str, Any]

    @property
    def place(self) -> dict[str, Any]:
        """Where things are."""
        kept: dict[str, Any] = self.value["kept"]
        return kept

    def rows(self) -> dict[str, int]:
        """Rows by register, as the demo says."""
        return {item["id"]: item["rows"] for item in self.value["registers"]}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept") / "demo"
    done = subprocess.run(
        [*PROGRAM, "--json", "demo", "--size", "0.02", "--keep", "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = Kept(value=json.loads(done.stdout))
    yield found
    for pid in found.place["pids"]:
        os.kill(pid, signal.SIGTERM)
    for removed in found.place["remove"]:
        shutil.rmtree(removed, ignore_errors=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    found = start_server(18, tmp_path / "postgres")
    yield found
    found.remove()


def test_every_register_comes_back_proven(kept: Kept) -> None:
    value = kept.value
    assert value["proven"]
    assert len(value["registers"]) == 11
    assert all(item["proven"] and item["rows"] + item["files"] for item in value["registers"])
    assert sum(item["rows"] for item in value["registers"]) > 20_000
    first, second = value["deposits"]
    assert second["stored"] < first["stored"]
    assert second["new"] < second["read"]
    assert [item["seat"] for item in value["receipts"]] == [1, 2, 3]
    assert all(len(item["witnesses"]) >= item["quorum"] == 2 for item in value["receipts"])
    assert value["refused"]["answers"] == {"DELETE": 405, "PUT": 200}
    assert value["refused"]["unchanged"]
    assert value["refused"]["files"] >= 4
    assert value["locked"] == [2, 3]


def test_the_restored_server_answers(kept: Kept) -> None:
    with psycopg.connect(
        host=kept.place["host"],
        port=kept.place["port"],
        user="postgres",
        dbname="population_register",
        passfile=kept.place["passfile"],
    ) as connection:
        assert connection.info.server_version // 10000 == 18
        counted = connection.execute("SELECT count(*) FROM population.person").fetchone()
    assert counted is not None
    assert counted[0] > 0


def test_the_vaults_still_answer_a_card(kept: Kept) -> None:
    done = subprocess.run(
        [*PROGRAM, "--json", "deposits", "--card", kept.place["cards"][0]],
        capture_output=True,
        text=True,
        check=True,
    )
    listed = json.loads(done.stdout)["deposits"]
    expected = [item["deposit"] for item in reversed(kept.value["deposits"])]
    assert [item["deposit"] for item in listed] == expected
    assert all(item["lodged"] == [2, 3] for item in listed)


def test_the_standalone_reader_and_psql_bring_everything_back(
    kept: Kept, tmp_path: Path, server: PostgresServer
) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(READER), "extract", *kept.place["vaults"]),
            *("--cards", *kept.place["cards"], "--out", str(out)),
        ],
        env=EMPTY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = kept.rows()
    verdict = (out / "VERDICT.txt").read_text()
    for register in rows:
        assert f"register {register} (" in verdict
    assert verdict.count("equal to what was captured") == len(rows)
    for script in sorted(out.glob("*/load.sql")):
        load(script, server)
    for register, expected in rows.items():
        if (out / f"register-{register}" / "load.sql").exists():
            assert count_rows(server, register.replace("-", "_")) == expected


def test_what_is_altered_is_named(kept: Kept) -> None:
    """The last one: what the others look at is not as it was any more."""
    deed = alter(kept)
    place = Path(kept.place["folder"], "abroad", "rescue")
    done = subprocess.run(
        [
            *(*PROGRAM, "--json", "reconstruct", str(place / "reconstruction")),
            *("--answer", str(place / "unsealed.json"), "--targets", str(place / "targets.toml")),
        ],
        cwd=place,
        env=EMPTY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    verdicts = judge(json.loads(done.stdout), kept.rows(), lost=clock.now(), before=0)
    altered = {item.id: item.faults for item in verdicts if not item.good}
    assert set(altered) == {"population-register", "land-register-deeds"}
    assert "population_register." in altered["population-register"][0]
    assert altered["population-register"][0].endswith("]"), "the key of the row is named"
    assert deed.name in " ".join(altered["land-register-deeds"])


def alter(kept: Kept) -> Path:
    """Delete a row of the largest table, and change a byte of a deed, which is returned."""
    with psycopg.connect(
        host=kept.place["host"],
        port=kept.place["port"],
        user="postgres",
        dbname="population_register",
        passfile=kept.place["passfile"],
    ) as connection:
        schema, table = connection.execute(
            "SELECT schemaname, relname FROM pg_stat_user_tables ORDER BY n_live_tup DESC"
        ).fetchone() or ("", "")
        name = sql.Identifier(schema, table)
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(name))
        first = sql.SQL("DELETE FROM {0} WHERE ctid = (SELECT min(ctid) FROM {0})").format(name)
        assert connection.execute(first).rowcount == 1
    files = Path(kept.place["restored"]).rglob("*")
    deed = min(path for path in files if path.is_file() and path.stat().st_size > 100)
    data = bytearray(deed.read_bytes())
    data[50] ^= 1
    deed.write_bytes(data)
    return deed


def load(script: Path, server: PostgresServer) -> None:
    done = subprocess.run(
        [
            *(str(pg_tool(18, "psql")), "-X", "-q", "-d", "postgres"),
            *("-v", "ON_ERROR_STOP=1", "-f", script.name),
        ],
        cwd=script.parent,
        env=server.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}: {done.stderr}"


def count_rows(server: PostgresServer, database: str) -> int:
    query = (
        "SELECT quote_ident(t.schemaname) || '.' || quote_ident(t.relname) "
        "FROM pg_stat_user_tables t JOIN pg_class c ON c.oid = t.relid WHERE c.relkind = 'r'"
    )
    with server.connect(database) as connection:
        names = [str(row[0]) for row in connection.execute(query)]
        counts = [connection.execute(f"SELECT count(*) FROM {n}").fetchone() for n in names]
    return sum(int(str(count[0])) for count in counts if count is not None)
