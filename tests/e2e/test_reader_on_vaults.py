"""The standalone reader on folders of real vaults: it rebuilds what was lodged, without Exclave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from psycopg import Connection, sql

from exclave.postgres_server.server import PostgresServer, pg_tool, start_server
from exclave.source.postgresql import PostgresConfig
from tests.pgfixtures import FreshDatabase
from tests.support.embassy import Embassy, found_embassy, postgres_register
from tests.support.nasty import DROP_ROLES, ROLES, SCHEMA

READER = Path(__file__).resolve().parents[2] / "reader" / "exclave_reader.py"


def _read(*arguments: object, expect: int = 0) -> str:
    """The reader in an empty environment and isolated mode: nothing of Exclave is on its path."""
    done = subprocess.run(
        [sys.executable, "-I", str(READER), *map(str, arguments)],
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def _cards(embassy: Embassy, folder: Path) -> list[Path]:
    folder.mkdir()
    files = []
    for number, text in enumerate(embassy.card_files()):
        files.append(folder / f"card-{number}.txt")
        files[-1].write_text(text)
    return files


def _extract(embassy: Embassy, seats: Sequence[int], out: Path, cards: list[Path]) -> str:
    folders = [embassy.vault_folder(seat) for seat in seats]
    return _read("extract", "--cards", *cards, "--out", out, *folders)


@pytest.mark.parametrize("seats", [(1, 2), (2, 3)])
def test_files_and_sqlite_from_two_folders(tmp_path: Path, seats: tuple[int, int]) -> None:
    with found_embassy(tmp_path / "mission") as embassy:
        embassy.write_registers(mib=1)
        embassy.deposit()
        embassy.write_registers(mib=1, seed=2)
        embassy.deposit()  # shares packs with the first
        kept = tmp_path / "kept"
        shutil.copytree(embassy.home / "registers", kept)
        cards = _cards(embassy, tmp_path / "cards")
        embassy.lose_home()
        listed = _read("list", *(embassy.vault_folder(seat) for seat in seats))
        assert embassy.mission.hex() in listed
        _extract(embassy, seats, tmp_path / "out", cards)
    restored = {p.name: p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    originals = {p.name: p for p in kept.rglob("*") if p.is_file()}
    assert originals
    for name, original in originals.items():
        assert restored[name].read_bytes() == original.read_bytes(), name


def test_a_corrupt_shard_is_named_and_a_third_folder_used(tmp_path: Path) -> None:
    with found_embassy(tmp_path / "mission") as embassy:
        embassy.write_registers(mib=1)
        embassy.deposit()
        cards = _cards(embassy, tmp_path / "cards")
        embassy.lose_home()
        shards = sorted(embassy.mission_folder(1).glob("shards/*/*"))
        for shard in shards:
            data = bytearray(shard.read_bytes())
            data[len(data) // 2] ^= 1
            shard.chmod(0o600)
            shard.write_bytes(data)
        said = _extract(embassy, (1, 2, 3), tmp_path / "out", cards)
        assert any(shard.name[:12] in said for shard in shards)


def test_one_folder_is_not_enough(tmp_path: Path) -> None:
    with found_embassy(tmp_path / "mission") as embassy:
        embassy.write_registers(mib=0.1)
        embassy.deposit()
        cards = _cards(embassy, tmp_path / "cards")
        folder = embassy.vault_folder(2)
        said = _read("extract", "--cards", *cards, "--out", tmp_path / "out", folder, expect=2)
        assert "Traceback" not in said


def test_a_database_loads_into_postgresql_18(
    tmp_path: Path, pg16: PostgresServer, fresh_database: FreshDatabase
) -> None:
    name = fresh_database(pg16)
    with pg16.connect(name) as connection:
        for role in (*DROP_ROLES, *ROLES):
            connection.execute(role)
        connection.execute(SCHEMA)
        tables = [
            (row[0], row[1])
            for row in connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n "
                "ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' "
                "AND n.nspname <> 'information_schema' ORDER BY 1, 2"
            )
        ]
        before = {table: _dump(connection, table) for table in tables}
    assert len(tables) > 5
    config = PostgresConfig(
        host=pg16.host,
        port=pg16.port,
        user=pg16.user,
        password_file=pg16.passfile,
        databases=(name,),
        bin_dir=pg16.bin_dir,
    )
    with found_embassy(tmp_path / "mission") as embassy:
        embassy.deposit([postgres_register("registry", config)])
        cards = _cards(embassy, tmp_path / "cards")
        embassy.lose_vault(1)
        _extract(embassy, (2, 3), tmp_path / "out", cards)
    [script] = (tmp_path / "out").rglob("load.sql")
    with start_server(18, tmp_path / "pg18") as target:
        done = subprocess.run(
            [
                str(pg_tool(18, "psql")),
                *("-X", "-h", target.host, "-p", str(target.port), "-U", target.user),
                *("-d", "postgres", "-f", script.name),
            ],
            cwd=script.parent,
            env={"PGPASSFILE": str(target.passfile), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        with target.connect(name) as connection:
            assert {table: _dump(connection, table) for table in tables} == before
        target.remove()


def _dump(connection: Connection[tuple[object, ...]], table: tuple[str, str]) -> list[bytes]:
    query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(*table))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return sorted(b"".join(bytes(piece) for piece in copy).split(b"\n"))
