"""Roles come back beside those of a shared server, which stay exactly as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exclave.postgres_server.server import PostgresServer
from exclave.source.postgresql.connect import Connection, connect
from exclave.source.postgresql.errors import StatementRefused
from exclave.source.postgresql.roles import create_roles
from tests.unit.source.conftest import ConfigFor

pytestmark = pytest.mark.postgres

SCRIPT = [
    'CREATE ROLE "shared one"',
    'ALTER ROLE "shared one" WITH SUPERUSER LOGIN',
    "CREATE ROLE brought",
    "ALTER ROLE brought WITH NOSUPERUSER CREATEDB LOGIN",
    "ALTER ROLE \"shared one\" SET work_mem TO '1MB'",
    'GRANT brought TO "shared one" WITH INHERIT TRUE',
    'GRANT "shared one" TO brought WITH INHERIT TRUE',
    "GRANT pg_monitor TO brought",
]


@pytest.fixture
def session(pg18: PostgresServer, config_for: ConfigFor) -> Iterator[Connection]:
    with connect(config_for(pg18), "postgres") as made:
        made.execute(b'CREATE ROLE "shared one" NOLOGIN')
        yield made
        made.execute(b'DROP ROLE IF EXISTS brought, "shared one"')


def _facts(session: Connection, role: str) -> list[object]:
    row = session.execute(
        "SELECT rolsuper, rolcanlogin, rolcreatedb, rolconfig, array(SELECT r.rolname::text"
        " FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = u.oid)"
        " FROM pg_roles u WHERE rolname = %s",
        (role,),
    ).fetchone()
    assert row is not None
    return list(row)


def test_a_role_that_was_there_is_not_changed(session: Connection) -> None:
    before = _facts(session, "shared one")
    assert create_roles(session, SCRIPT, bare=False) == ("shared one",)
    assert _facts(session, "shared one") == before == [False, False, False, None, []]
    assert _facts(session, "brought") == [False, True, True, None, ["pg_monitor"]]


def test_for_single_tables_missing_roles_come_bare(session: Connection) -> None:
    create_roles(session, SCRIPT, bare=True)
    assert _facts(session, "brought") == [False, False, False, None, []]


def test_a_refused_statement_leaves_no_role_behind(session: Connection) -> None:
    with pytest.raises(StatementRefused, match="ALTER ROLE brought: "):
        create_roles(session, [*SCRIPT, "ALTER ROLE brought SET no_such TO '1'"], bare=False)
    assert session.execute(b"SELECT FROM pg_roles WHERE rolname = 'brought'").fetchone() is None
