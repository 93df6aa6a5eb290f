"""PostgreSQL tables captured with a proof for every row, rebuilt and every row compared.

Beside `pg_dump -Fd -j2 -Z gzip:1` and `pg_restore -j2` of the same tables. One server of the
demo's (16) for both directions; each kind of table in a database of its own: integer, text and
uuid keys, and no key. Rows with uuid and text keys are loaded in another order than that of the
key. `fsync` is as PostgreSQL ships it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.embassy import prepare_reading, rebuild, write_config
from bench.measuring import Cost, Run, run_program, tree_size
from exclave.demo.postgres import PostgresServer, available_majors, start_server
from tests.support.embassy import PROGRAM, Embassy, found_embassy

__all__ = ["KINDS", "MAJOR", "PEER", "measure", "served"]

MAJOR: Final = 16
_ROWS: Final = 2_000_000
PEER: Final = "pg_dump, pg_restore"
KINDS: Final = {
    "integer": (
        (
            "CREATE TABLE person AS SELECT i AS id, md5(i::text) AS code, "
            "'Tamm ' || i % 977 AS name, date '1950-01-01' + i % 20000 AS born, "
            "(i * 7 % 1000)::numeric / 10 AS share "
            "FROM generate_series(1, {rows}) AS i"
        ),
        "ALTER TABLE person ADD PRIMARY KEY (id)",
    ),
    "uuid": (
        (
            "CREATE TABLE deed AS SELECT md5(i::text)::uuid AS id, 'plot ' || i AS plot, "
            "repeat(chr(97 + i % 26), 1 + i % 60) AS text, "
            "timestamptz '2020-01-01' - i * interval '1 minute' AS signed "
            "FROM generate_series(1, {rows}) AS i"
        ),
        "ALTER TABLE deed ADD PRIMARY KEY (id)",
    ),
    "text": (
        (
            "CREATE TABLE company AS SELECT md5((i * 3)::text) AS code, 'Company ' || i AS name, "
            "i % 2 = 0 AS active, i % 100 AS kind FROM generate_series(1, {rows}) AS i"
        ),
        "ALTER TABLE company ADD PRIMARY KEY (code)",
    ),
    "none": (
        (
            "CREATE TABLE entry AS SELECT i % 1000 AS kind, md5((i * 5)::text) AS text "
            "FROM generate_series(1, {rows}) AS i"
        ),
    ),
}
"""The statements that make a table with such a key, one database each."""


@contextmanager
def served(folder: Path, *, scale: float) -> Iterator[PostgresServer | None]:
    """A server with the tables; None where no PostgreSQL is installed."""
    if MAJOR not in available_majors():
        yield None
        return
    server = start_server(MAJOR, folder / "pg")
    try:
        for kind, statements in KINDS.items():
            with server.connect() as session:
                session.execute(f"CREATE DATABASE {_database(kind)}".encode())
            with server.connect(_database(kind)) as session:
                for statement in (*statements, "VACUUM ANALYZE"):
                    session.execute(statement.format(rows=max(8, int(_ROWS * scale))).encode())
        yield server
    finally:
        server.remove()


def _database(kind: str) -> str:
    return f"bench_{kind}"


def measure(server: PostgresServer, place: Path, repeat: int) -> list[Run]:
    """For each kind: one deposit to one vault and its reconstruction; one dump and its restore."""
    runs: list[Run] = []
    for kind in KINDS:
        for act in (_exclave, _pg_dump):
            folder = place / f"{kind}-{act.__name__.strip('_')}"
            folder.mkdir()
            runs += act(server, folder, kind, repeat)
            shutil.rmtree(folder)
    return runs


def _exclave(server: PostgresServer, place: Path, kind: str, repeat: int) -> list[Run]:
    where = (
        f'host = "{server.host}"\nport = {server.port}\nuser = "{server.user}"\n'
        f'password_file = "{server.passfile}"\nbin_dir = "{server.bin_dir}"\n'
    )
    with found_embassy(place / "embassy", n=1, k=1, processes=True) as embassy:
        source = f'kind = "postgresql"\n{where}databases = ["{_database(kind)}"]\n'
        config = write_config(embassy, source)
        deposited = run_program([*PROGRAM, "deposit", "--config", str(config)])
        stored = _kept(embassy)
        with _away(server, kind):
            target = f'[default.postgresql]\nkind = "postgresql"\n{where}'
            rebuilt = rebuild(prepare_reading(embassy, place), place, target)
        return [
            cost.as_run("exclave 1-of-1", f"{step}, key {kind}", repeat, stored=stored)
            for step, cost in (("dump", deposited), ("load", rebuilt))
        ]


def _pg_dump(server: PostgresServer, place: Path, kind: str, repeat: int) -> list[Run]:
    environment = {**os.environ, **server.environment()}
    out, database = place / "dump", _database(kind)

    def program(name: str, *words: str) -> Cost:
        return run_program([str(server.bin_dir / name), *words], environment=environment)

    dumped = program("pg_dump", "-Fd", "-j2", "-Z", "gzip:1", "-f", str(out), database)
    with _away(server, kind):
        restored = program("pg_restore", "-j2", "-C", "-d", "postgres", str(out))
    stored = tree_size(out)
    # They work in children, and the server does the reading: no peak of theirs says anything.
    return [
        replace(cost.as_run(PEER, f"{step}, key {kind}", repeat, stored=stored), peak=None)
        for step, cost in (("dump", dumped), ("load", restored))
    ]


@contextmanager
def _away(server: PostgresServer, kind: str) -> Iterator[None]:
    """The database under another name meanwhile, so that it can be made anew."""
    database, kept = _database(kind), f"{_database(kind)}_kept"
    with server.connect() as session:
        session.execute(f"ALTER DATABASE {database} RENAME TO {kept}".encode())
    try:
        yield
    finally:
        with server.connect() as session:
            session.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
            session.execute(f"ALTER DATABASE {kept} RENAME TO {database}".encode())


def _kept(embassy: Embassy) -> int:
    return tree_size(embassy.folder / "vaults")
