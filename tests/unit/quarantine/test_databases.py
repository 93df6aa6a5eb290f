"""Databases of quarantines: what was there is not touched, and nothing of a run stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from exclave.postgres_server.server import PostgresServer
from exclave.quarantine.databases import (
    QuarantineOccupied,
    claim_databases,
    databases_on,
    note_roles,
    open_session,
    roles_on,
)
from exclave.quarantine.folder import QuarantineLeft, open_quarantine
from exclave.quarantine.note import NOTE, QuarantineServer
from tests.pgfixtures import FreshDatabase

pytestmark = pytest.mark.postgres
LEFT = "quarantine-0123456789abcdef"


def given(server: PostgresServer, passfile: Path | None = None) -> QuarantineServer:
    return QuarantineServer(
        host=server.host,
        port=server.port,
        user=server.user,
        password_file=str(server.passfile if passfile is None else passfile),
    )


def make(server: PostgresServer, name: str) -> None:
    """A database and its owner, as a restore makes them."""
    with server.connect() as session:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(f"{name}_owner")))
        session.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(f"{name}_owner")
            )
        )


def there(server: PostgresServer, name: str) -> bool:
    with open_session(given(server)) as session:
        return bool({name, f"{name}_owner"} & (databases_on(session) | roles_on(session)))


def test_databases_and_roles_go_again(tmp_path: Path, pg16: PostgresServer) -> None:
    with open_quarantine(tmp_path) as folder:
        claim_databases(folder, given(pg16), ["drilled"])
        make(pg16, "drilled")
        note_roles(folder, ["drilled_owner"])
        assert there(pg16, "drilled")
        claim_databases(folder, given(pg16), ["drilled", "another"])  # the first is its own now
    assert not there(pg16, "drilled")


def test_a_database_that_was_there_is_not_touched(
    tmp_path: Path, pg16: PostgresServer, fresh_database: FreshDatabase
) -> None:
    name = fresh_database(pg16)
    with open_quarantine(tmp_path) as folder, pytest.raises(QuarantineOccupied, match=name):
        claim_databases(folder, given(pg16), [name])
    assert there(pg16, name)


def test_two_sources_cannot_have_one_database(tmp_path: Path, pg16: PostgresServer) -> None:
    with open_quarantine(tmp_path) as folder, pytest.raises(QuarantineOccupied, match="twin"):
        claim_databases(folder, given(pg16), ["twin", "twin"])


def test_what_a_killed_run_left_is_dropped_by_the_next(
    tmp_path: Path, pg16: PostgresServer
) -> None:
    """Whatever server the next one has: the note says where they are."""
    left = tmp_path / LEFT
    left.mkdir()
    (left / "lock").touch()
    claim_databases(left, given(pg16), ["killed"])
    make(pg16, "killed")
    note_roles(left, ["killed_owner"])
    with open_quarantine(tmp_path):
        assert not there(pg16, "killed")
        assert not left.exists()


def test_what_cannot_be_dropped_is_named_and_tried_again(
    tmp_path: Path, pg16: PostgresServer
) -> None:
    place, passfile = tmp_path / "place", tmp_path / "pgpass"
    passfile.write_bytes(pg16.passfile.read_bytes())
    passfile.chmod(0o600)

    def fail() -> None:
        with open_quarantine(place) as folder:
            claim_databases(folder, given(pg16, passfile), ["stuck"])
            make(pg16, "stuck")
            note_roles(folder, ["stuck_owner"])
            (folder / "deed").write_text("private")
            passfile.unlink()

    with pytest.raises(QuarantineLeft, match="expected to drop stuck"):
        fail()
    (folder,) = place.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["lock", NOTE]
    passfile.write_bytes(pg16.passfile.read_bytes())
    passfile.chmod(0o600)
    with open_quarantine(place):
        assert not there(pg16, "stuck")
