"""PostgreSQL tables captured with a proof for every row, rebuilt and every row compared.

Beside `pg_dump -Fd -j2 -Z gzip:1` and `pg_restore -j2` of the same tables. One server of the
demo's (16) for both directions; each table in a database of its own: integer, text and uuid keys,
and no key, in several sizes. Rows with uuid and text keys are loaded in another order than that of
the key. All of them together are one more step, beside pgBackRest (`clusters.py`). `fsync` is as
PostgreSQL ships it. What the proof of rows costs is measured apart: its time within the capturing
process, the rows being read as a capture reads them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.embassy import prepare_reading, rebuild, write_config
from bench.measuring import Cost, Run, cpu_below, run_program, tree_size
from exclave.postgres_server.server import PostgresServer, available_majors, start_server
from exclave.source.postgresql import PostgresConfig
from exclave.source.postgresql.catalog import list_tables
from exclave.source.postgresql.connect import connect, qualified
from exclave.source.postgresql.copying import plan_table
from exclave.source.postgresql.reading import RowReader
from exclave.source.postgresql.rowtree import RowTreeBuilder
from tests.support.embassy import PROGRAM, found_embassy

__all__ = ["ALL", "KINDS", "MAJOR", "PEER", "PROOF", "SIZES", "fill", "measure", "served", "step"]

MAJOR: Final = 16
PEER: Final = "pg_dump, pg_restore"
PROOF: Final = "exclave, row proof alone"
ALL: Final = "all"
SIZES: Final = {"small": 50_000, "middle": 400_000, "large": 2_500_000}
"""Rows of a table at scale 1, by the name of the size."""

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
        fill(server, scale)
        yield server
    finally:
        server.remove()


def fill(server: PostgresServer, scale: float) -> None:
    """Make all databases."""
    for size, rows in SIZES.items():
        for kind, statements in KINDS.items():
            database = _database(kind, size)
            with server.connect() as session:
                session.execute(f"CREATE DATABASE {database}".encode())
            with server.connect(database) as session:
                for statement in (*statements, "VACUUM ANALYZE"):
                    session.execute(statement.format(rows=max(8, int(rows * scale))).encode())


def step(act: str, kind: str, size: str) -> str:
    """The name of a step: `act` is "dump" or "load"."""
    return f"{act}, key {kind}, {size}"


def _database(kind: str, size: str) -> str:
    return f"bench_{kind}_{size}"


def measure(server: PostgresServer, place: Path, repeat: int) -> list[Run]:
    """For each table: one deposit to one vault and its reconstruction; one dump and its restore.

    Then the same for all databases together.
    """
    runs: list[Run] = []
    for size in SIZES:
        for kind in KINDS:
            label, databases = f"key {kind}, {size}", (_database(kind, size),)
            runs += _both(server, place, label, databases, repeat)
            runs.append(_proof(server, databases[0], step("dump", kind, size), repeat))
    everything = tuple(_database(kind, size) for size in SIZES for kind in KINDS)
    return runs + _both(server, place, ALL, everything, repeat)


def _both(
    server: PostgresServer, place: Path, label: str, databases: Sequence[str], repeat: int
) -> list[Run]:
    runs: list[Run] = []
    for act in (_exclave, _pg_dump):
        folder = place / act.__name__.strip("_")
        folder.mkdir()
        runs += act(server, folder, label, databases, repeat)
        shutil.rmtree(folder)
    return runs


def _exclave(
    server: PostgresServer, place: Path, label: str, databases: Sequence[str], repeat: int
) -> list[Run]:
    where = (
        f'host = "{server.host}"\nport = {server.port}\nuser = "{server.user}"\n'
        f'password_file = "{server.passfile}"\nbin_dir = "{server.bin_dir}"\n'
    )
    listed = ", ".join(f'"{database}"' for database in databases)
    with found_embassy(place / "embassy", n=1, k=1, processes=True) as embassy:
        source = f'kind = "postgresql"\n{where}databases = [{listed}]\n'
        config = write_config(embassy, source)
        words = [*PROGRAM, "deposit", "--config", str(config)]
        deposited, dumping = _beside(server, words)
        stored = tree_size(embassy.folder / "vaults")
        with _away(server, databases):
            target = f'[default.postgresql]\nkind = "postgresql"\n{where}'
            answer = prepare_reading(embassy, place)
            before = cpu_below(server.process.pid)
            rebuilt = rebuild(answer, place, target)
            loading = cpu_below(server.process.pid) - before
    return [
        deposited.as_run(
            "exclave 1-of-1", f"dump, {label}", repeat, stored=stored, other_cpu=dumping
        ),
        rebuilt.as_run(
            "exclave 1-of-1", f"load, {label}", repeat, stored=stored, other_cpu=loading
        ),
    ]


def _pg_dump(
    server: PostgresServer, place: Path, label: str, databases: Sequence[str], repeat: int
) -> list[Run]:
    """Each database in turn, as the programs take one at a time."""

    def act(name: str, words: Sequence[Sequence[str]]) -> tuple[Cost, float]:
        done = [_beside(server, [str(server.bin_dir / name), *each]) for each in words]
        costs = [cost for cost, _ in done]
        return (
            Cost(
                seconds=sum(cost.seconds for cost in costs),
                cpu=sum(cost.cpu for cost in costs),
                peak=0,
            ),
            sum(cpu for _, cpu in done),
        )

    outs = {database: str(place / database) for database in databases}
    dumped, dumping = act(
        "pg_dump", [("-Fd", "-j2", "-Z", "gzip:1", "-f", out, name) for name, out in outs.items()]
    )
    with _away(server, databases):
        restored, loading = act(
            "pg_restore", [("-j2", "-C", "-d", "postgres", out) for out in outs.values()]
        )
    stored = tree_size(place)
    # They work in children, and the server does the reading: no peak of theirs says anything.
    return [
        replace(
            cost.as_run(PEER, f"{name}, {label}", repeat, stored=stored, other_cpu=cpu), peak=None
        )
        for name, cost, cpu in (("dump", dumped, dumping), ("load", restored, loading))
    ]


def _beside(server: PostgresServer, words: Sequence[str]) -> tuple[Cost, float]:
    """What a program took, and what the server took meanwhile."""
    before = cpu_below(server.process.pid)
    cost = run_program(words, environment={**os.environ, **server.environment()})
    return cost, cpu_below(server.process.pid) - before


def _proof(server: PostgresServer, database: str, name: str, repeat: int) -> Run:
    """The time that the row tree of a table takes within its capture."""
    config = PostgresConfig(
        databases=(database,),
        host=server.host,
        port=server.port,
        user=server.user,
        password_file=server.passfile,
    )
    seconds = cpu = 0.0
    with connect(config, database) as session:
        [table] = list_tables(session, sized=True)
        plan = plan_table(config, table, database, "UTF8")
        builder = RowTreeBuilder(plan, lambda _: None)
        reader = RowReader(config, database, psql=server.bin_dir / "psql")
        of_table = qualified(table.shape.schema, table.shape.name)
        with closing(reader.read(session, of_table, plan.command, size=table.size)) as blocks:
            for block in blocks:
                begun, spent = time.perf_counter(), time.thread_time()
                builder.take(block)
                seconds += time.perf_counter() - begun
                cpu += time.thread_time() - spent
    return Run(contender=PROOF, step=name, repeat=repeat, seconds=seconds, cpu=cpu, peak=None)


@contextmanager
def _away(server: PostgresServer, databases: Sequence[str]) -> Iterator[None]:
    """The databases under other names meanwhile, so that they can be made anew."""
    with ExitStack() as back:
        for database in databases:
            _run(server, f"ALTER DATABASE {database} RENAME TO {database}_kept")
            back.callback(
                _run,
                server,
                f"DROP DATABASE IF EXISTS {database} WITH (FORCE)",
                f"ALTER DATABASE {database}_kept RENAME TO {database}",
            )
        yield


def _run(server: PostgresServer, *statements: str) -> None:
    with server.connect() as session:
        for statement in statements:
            session.execute(statement.encode())
