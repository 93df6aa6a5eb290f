"""A custodian's first hour: every command of its guide, in order, in one shell.

What the guide leaves to its reader is done between its blocks: where his database lies, and where
an empty server is. Packages are fetched only by the long run (`soak`); the other takes those of the
environment that runs the tests, through a path file, and installs the program as the guide says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest
from psycopg import sql

from exclave.postgres_server.server import PostgresServer
from tests.scripts.conftest import free_ports

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide-first-hour.md"
FETCHES = "pip install --require-hashes"
PARCELS = 3000


def blocks() -> list[str]:
    """The guide's shell blocks."""
    return [part.partition("```")[0] for part in GUIDE.read_text("utf-8").split("```sh\n")[1:]]


def role() -> str:
    """The guide's statements for the role that reads."""
    return GUIDE.read_text("utf-8").partition("```sql\n")[2].partition("```")[0]


def without_fetching(block: str) -> str:
    """The packages of this environment in place of those that would be fetched."""
    packages = sysconfig.get_paths()["purelib"]
    found = "program/lib/python3*/site-packages"
    lines = [
        f'for place in {found}; do echo "{packages}" > "$place/packages.pth"; done'
        if FETCHES in line
        else line
        for line in block.splitlines()
    ]
    return "\n".join(lines) + "\n"


def password_of(server: PostgresServer) -> str:
    """Its superuser's."""
    return server.passfile.read_text("utf-8").splitlines()[0].rpartition(":")[2]


def script(*, land: PostgresServer, empty: PostgresServer, fetch: bool) -> str:
    """The whole guide as one script; the servers it started end with it."""
    parts = blocks()
    ports = iter(free_ports(6))
    parts[1] += "".join(
        f'sed -i \'s|^host = .*|host = "{server.host}"|; s|^port = .*||; '
        f"/^host = /a port = {server.port}' {file}\n"
        f"echo '{server.host}:{server.port}:*:{user}:{password}' >> pgpass\n"
        for file, server, user, password in (
            ("registers.toml", land, "exclave", "change it"),
            ("targets.toml", empty, empty.user, password_of(empty)),
        )
    )
    parts[0] = parts[0] if fetch else without_fetching(parts[0])
    for number in ("8441", "8541", "8442", "8542", "8443", "8543"):
        parts[2] = parts[2].replace(f":{number}", f":{next(ports)}")
    return "set -euo pipefail\ntrap 'kill $(jobs -p) 2>&-' EXIT\n" + "".join(parts)


def make_land(server: PostgresServer) -> None:
    """A register that is there already."""
    with server.connect() as connection:
        connection.execute("CREATE DATABASE land")
        connection.execute(role())
    with server.connect("land") as connection:
        connection.execute("CREATE TABLE parcel (id integer PRIMARY KEY, owner text NOT NULL)")
        connection.execute("CREATE TABLE deed (id integer PRIMARY KEY, parcel integer)")
        made = sql.SQL("INSERT INTO parcel SELECT i, 'owner ' || i FROM generate_series(1, {}) i")
        connection.execute(made.format(PARCELS))
        connection.execute("INSERT INTO deed SELECT i, i FROM generate_series(1, 10) i")


def drop_land(*servers: PostgresServer) -> None:
    """Leave the servers as they were."""
    for server in servers:
        with server.connect() as connection:
            connection.execute("DROP DATABASE IF EXISTS land WITH (FORCE)")
            connection.execute("DROP ROLE IF EXISTS exclave")


@pytest.mark.postgres
@pytest.mark.parametrize("fetch", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_every_command_of_the_guide(
    pg16: PostgresServer, pg18: PostgresServer, tmp_path: Path, fetch: bool
) -> None:
    make_land(pg16)
    try:
        typed = script(land=pg16, empty=pg18, fetch=fetch)
        shell = subprocess.Popen(
            ["bash", "-c", typed], cwd=tmp_path, env={**os.environ, "SOURCE": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = shell.communicate(timeout=280)
        finally:
            if shell.poll() is None:  # this test was interrupted: so are the vaults
                os.killpg(shell.pid, signal.SIGTERM)
                shell.communicate(timeout=60)
        assert shell.returncode == 0, said[-4000:]
        with pg18.connect("land") as connection:
            found = connection.execute("SELECT count(*), max(owner) FROM parcel").fetchone()
            others = connection.execute("SELECT count(*) FROM deed").fetchone()
    finally:
        drop_land(pg16, pg18)
    assert found == (PARCELS, "owner 999")
    assert others == (0,)
    report = (tmp_path / "rescue" / "report.txt").read_text("utf-8")
    assert "PROVEN" in report
    assert "everything but the named tables" in report
