"""Capture of PostgreSQL tables with a proof for every row, against `pg_dump` of the same tables.

One server of the demo's (16), one database: three tables with integer, text and uuid keys and one
without a key, loaded in an order that is not that of the text and uuid keys. `fsync` of that
server is as PostgreSQL ships it; it only reads here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.embassy import write_config
from bench.measuring import Run, run_program, tree_size
from exclave.demo.postgres import PostgresServer, available_majors, start_server
from tests.support.embassy import PROGRAM, found_embassy

__all__ = ["MAJOR", "measure", "served"]

MAJOR: Final = 16
_ROWS: Final = 2_000_000
_TABLES: Final = (
    (
        "CREATE TABLE person AS SELECT i AS id, md5(i::text) AS code, 'Tamm ' || i % 977 AS name, "
        "date '1950-01-01' + i % 20000 AS born, (i * 7 % 1000)::numeric / 10 AS share "
        "FROM generate_series(1, {rows}) AS i"
    ),
    "ALTER TABLE person ADD PRIMARY KEY (id)",
    (
        "CREATE TABLE deed AS SELECT md5(i::text)::uuid AS id, 'plot ' || i AS plot, "
        "repeat(chr(97 + i % 26), 1 + i % 60) AS text, now() - i * interval '1 minute' AS signed "
        "FROM generate_series(1, {rows} / 4) AS i"
    ),
    "ALTER TABLE deed ADD PRIMARY KEY (id)",
    (
        "CREATE TABLE company AS SELECT md5((i * 3)::text) AS code, 'Company ' || i AS name, "
        "i % 2 = 0 AS active FROM generate_series(1, {rows} / 4) AS i"
    ),
    "ALTER TABLE company ADD PRIMARY KEY (code)",
    (
        "CREATE TABLE entry AS SELECT i % 1000 AS kind, md5((i * 5)::text) AS text "
        "FROM generate_series(1, {rows} / 4) AS i"
    ),
    "VACUUM ANALYZE",
)


@contextmanager
def served(folder: Path, *, scale: float) -> Iterator[PostgresServer | None]:
    """A server with the tables; None where no PostgreSQL is installed."""
    if MAJOR not in available_majors():
        yield None
        return
    server = start_server(MAJOR, folder / "pg")
    try:
        with server.connect() as session:
            session.execute("CREATE DATABASE bench")
        with server.connect("bench") as session:
            for statement in _TABLES:
                session.execute(statement.format(rows=max(8, int(_ROWS * scale))).encode())
        yield server
    finally:
        server.remove()


def measure(server: PostgresServer, place: Path, repeat: int) -> list[Run]:
    """One deposit to one vault, one dump into a folder."""
    return [_deposit(server, place, repeat), _dump(server, place, repeat)]


def _deposit(server: PostgresServer, place: Path, repeat: int) -> Run:
    with found_embassy(place / "embassy", n=1, k=1, processes=True) as embassy:
        config = write_config(
            embassy,
            f'kind = "postgresql"\nhost = "{server.host}"\nport = {server.port}\n'
            f'user = "{server.user}"\npassword_file = "{server.passfile}"\n'
            f'bin_dir = "{server.bin_dir}"\ndatabases = ["bench"]\n',
        )
        cost = run_program([*PROGRAM, "deposit", "--config", str(config)])
        return Run(
            contender="exclave 1-of-1",
            step="postgresql",
            repeat=repeat,
            seconds=cost.seconds,
            cpu=cost.cpu,
            peak=cost.peak,
            stored=tree_size(embassy.folder / "vaults"),
        )


def _dump(server: PostgresServer, place: Path, repeat: int) -> Run:
    out = place / "dump"
    cost = run_program(
        [str(server.bin_dir / "pg_dump"), "-Fd", "-j2", "-Z", "gzip:1", "-f", str(out), "bench"],
        environment={**os.environ, **server.environment()},
    )
    return Run(
        contender="pg_dump",
        step="postgresql",
        repeat=repeat,
        seconds=cost.seconds,
        cpu=cost.cpu,
        peak=None,  # pg_dump works in children, the server does the reading
        stored=tree_size(out),
    )
