"""Make the sending state: databases, the SQLite register, the folder of deeds, and a day's change.

Everything follows from `seed` and `size`, save the capturing role's password, the numbers of
large objects and system catalogue details, which PostgreSQL chooses.

Rules: each database is loaded in one transaction, owned by a role without login; indexes and
constraints follow the rows; the capturing role reads everything and writes nothing.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import resources
from pathlib import Path

import psycopg
from psycopg import sql

from exclave.demo.estate import economy, land, law, people
from exclave.demo.estate.catalogue import PROFILES, make_register
from exclave.demo.estate.model import (
    CAPTURE_ROLE,
    STATE_NAME,
    Estate,
    FilesSource,
    PostgresSource,
    Register,
    SqliteSource,
)
from exclave.demo.estate.rows import TableRows
from exclave.demo.estate.scans import change_scans, write_scans
from exclave.demo.estate.world import World, make_world
from exclave.postgres_server.server import PostgresServer, write_passfile

_WORKERS = 2
_AFTER_LOAD = "-- after load\n"
_OWNER = "registry_owner"

# Largest first: the last one to finish should be short.
GENERATORS: dict[str, Callable[[World], Iterator[TableRows]]] = {
    "population-register": people.population,
    "identity-documents": people.identity_documents,
    "taxable-persons": economy.taxable_persons,
    "pension-insurance": people.pension_insurance,
    "land-register": land.land_register,
    "business-register": economy.business_register,
    "treasury": economy.treasury,
    "land-cadastre": land.land_cadastre,
    "e-file": law.e_file,
}


def build_estate(
    server: PostgresServer,
    folder: Path,
    *,
    size: float = 1.0,
    seed: int = 1,
    capture_password: str | None = None,
) -> Estate:
    """Create roles, databases and files of the state on an empty server and in `folder`.

    `size` 1 gives about 1.1 million rows and 60 MB of scans. The capturing role's password is
    drawn if not given and stands only in `folder`/capture.pgpass.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world = make_world(seed, size)
    password = capture_password or secrets.token_urlsafe(24)
    _create_roles(server, password)
    write_passfile(folder / "capture.pgpass", server.port, CAPTURE_ROLE, password)
    registers = tuple(make_register(profile, folder, server) for profile in PROFILES)
    by_id = {register.id: register for register in registers}
    order = [*GENERATORS, *(register.id for register in registers if register.id not in GENERATORS)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        pending = {name: pool.submit(_fill, by_id[name], server, world) for name in order}
        try:
            rows = tuple((register.id, pending[register.id].result()) for register in registers)
        except BaseException:
            # Ctrl-C too: what has not begun must not be waited for.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Estate(
        state=STATE_NAME,
        folder=folder,
        server=server,
        registers=registers,
        rows=rows,
        size=size,
        seed=seed,
    )


def advance_estate(estate: Estate, seed: int) -> None:
    """Let a day pass: about one row in two hundred changes, scans come, change and go.

    `seed` is the day: a positive number, a different one each time.
    """
    for register in estate.registers:
        match register.source:
            case PostgresSource(dbname=dbname):
                script = _read_sql(f"day/{dbname}.sql")
                with psycopg.connect(
                    estate.server.conninfo(dbname), cursor_factory=psycopg.ClientCursor
                ) as connection:
                    connection.execute(f"SET ROLE {_OWNER}")
                    connection.execute(script, {"day": seed})
            case SqliteSource(path=path):
                _advance_gazette(path, seed)
            case FilesSource(path=path):
                change_scans(path, estate.seed, seed)


def _fill(register: Register, server: PostgresServer, world: World) -> int:
    """Load one register; the number of its rows."""
    match register.source:
        case PostgresSource(dbname=dbname):
            return _load_database(server, dbname, register.id, world)
        case SqliteSource(path=path):
            return _load_gazette(path, law.state_gazette(world))
        case FilesSource(path=path):
            write_scans(path, world)
            return 0


def _create_roles(server: PostgresServer, password: str) -> None:
    with server.connect() as connection:
        connection.execute(_read_sql("roles.sql"))
        # Hashed here, so that the password is in no statement that a server might log.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), CAPTURE_ROLE.encode(), b"scram-sha-256"
        ).decode()
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(CAPTURE_ROLE), sql.Literal(verifier)
            )
        )


def _load_database(server: PostgresServer, dbname: str, register: str, world: World) -> int:
    """Create and fill a database in one transaction, which also spares the log most rows."""
    with server.connect() as connection:
        create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0")
        connection.execute(create.format(sql.Identifier(dbname), sql.Identifier(_OWNER)))
    before, _, after = _read_sql(f"{dbname}.sql").partition(_AFTER_LOAD)
    total = 0
    with psycopg.connect(server.conninfo(dbname)) as connection:
        connection.execute("SET maintenance_work_mem = '128MB'")
        connection.execute("SET max_parallel_maintenance_workers = 0")
        connection.execute(f"SET ROLE {_OWNER}")
        connection.execute(before)
        for rows in GENERATORS[register](world):
            _copy(connection, rows)
            total += rows.count
        connection.execute(after)
        if register == "e-file":
            total += _store_filings(connection, law.filings(world))
    return total


def _copy(connection: psycopg.Connection[tuple[object, ...]], rows: TableRows) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*rows.table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, rows.columns)),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(rows.data)


def _store_filings(
    connection: psycopg.Connection[tuple[object, ...]], filings: list[law.Filing]
) -> int:
    """Large objects go through the register's own function, which also grants reading them."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "SELECT e_file.store_filing(%s, %s, %s)",
            [(filing.case_id, filing.media_type, filing.body) for filing in filings],
        )
    return len(filings)


def _load_gazette(path: Path, gazette: law.Gazette) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_read_sql("state_gazette.sql"))
        with connection:
            connection.executemany("INSERT INTO act VALUES (?, ?, ?, ?, ?, ?, ?)", gazette.acts)
            connection.executemany("INSERT INTO paragraph VALUES (?, ?, ?, ?)", gazette.paragraphs)
            connection.executemany("INSERT INTO amendment VALUES (?, ?, ?)", gazette.amendments)
    return gazette.count


def _advance_gazette(path: Path, day: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in _read_sql("day/state_gazette.sql").split(";\n"):
            if statement.strip():
                connection.execute(statement, {"day": day})


def _read_sql(name: str) -> str:
    return (resources.files("exclave.demo.estate") / "sql" / name).read_text(encoding="utf-8")
