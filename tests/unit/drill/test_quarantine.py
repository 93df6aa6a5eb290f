"""Quarantines: nothing that was there is touched, and nothing of a drill stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from psycopg import sql

from exclave.drill import quarantine as module
from exclave.drill.quarantine import (
    DatabaseThere,
    NoServer,
    Quarantine,
    QuarantineLeft,
    QuarantineTooSmall,
    open_quarantine,
)
from exclave.postgres_server.server import PostgresServer
from exclave.wiring.settings import ServerTarget
from tests.pgfixtures import FreshDatabase


def left(place: Path) -> list[Path]:
    return list(place.glob("quarantine-*"))


def test_it_is_gone_afterwards_whatever_is_in_it(tmp_path: Path) -> None:
    with open_quarantine(tmp_path) as made:
        folder = made.registers / "scans" / "closed"
        folder.mkdir(parents=True)
        (folder / "deed").write_text("private")
        (folder / "link").symlink_to("/etc/passwd")
        folder.chmod(0o500)
        folder.parent.chmod(0o000)
        assert made.folder.stat().st_mode & 0o777 == 0o700
    assert not left(tmp_path)
    assert Path("/etc/passwd").exists()


def test_it_is_gone_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with open_quarantine(tmp_path) as made:
            (made.folder / "deed").write_text("private")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not left(tmp_path)


def killed(place: Path, monkeypatch: pytest.MonkeyPatch, given: ServerTarget | None = None) -> Path:
    """A quarantine whose process died: nothing was removed, and its lock is free."""
    with monkeypatch.context() as patched, open_quarantine(place, given) as made:
        patched.setattr(Quarantine, "remove", lambda _: None)
        (made.folder / "deed").write_text("private")
    return made.folder


def test_the_next_one_removes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = killed(tmp_path, monkeypatch)
    assert old.exists()
    with open_quarantine(tmp_path) as made:
        assert left(tmp_path) == [made.folder]


def test_one_that_is_held_is_left_alone(tmp_path: Path) -> None:
    with open_quarantine(tmp_path) as first, open_quarantine(tmp_path) as second:
        assert set(left(tmp_path)) == {first.folder, second.folder}


def test_it_says_when_it_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_quarantine(tmp_path) as made:
        usage = module.shutil.disk_usage(tmp_path)._replace(free=100 * 2**20)
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
        made.need(30 * 2**20)
        with pytest.raises(QuarantineTooSmall, match=r"expected 104\.0 MiB free, got 100\.0 MiB"):
            made.need(10 * 2**20)


def test_no_server_and_no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exclave.postgres_server.server.available_majors", tuple)
    with open_quarantine(tmp_path) as made, pytest.raises(NoServer, match="got neither"):
        made.server(["land"])


def given(server: PostgresServer) -> ServerTarget:
    return ServerTarget(
        kind="postgresql",
        host=server.host,
        port=server.port,
        user=server.user,
        password_file=str(server.passfile),
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
    query = (
        "SELECT datname FROM pg_database WHERE datname LIKE %(n)s "
        "UNION SELECT rolname FROM pg_roles WHERE rolname LIKE %(n)s"
    )
    with server.connect() as session:
        return bool(session.execute(query, {"n": f"{name}%"}).fetchall())


@pytest.mark.postgres
def test_databases_and_roles_of_a_given_server_go_again(
    tmp_path: Path, pg16: PostgresServer
) -> None:
    with open_quarantine(tmp_path, given(pg16)) as made:
        made.server(["drilled"])
        make(pg16, "drilled")
        made.made_roles(["postgres"], ["postgres", "drilled_owner"])
        assert there(pg16, "drilled")
    assert not there(pg16, "drilled")


@pytest.mark.postgres
def test_a_database_that_was_there_is_not_touched(
    tmp_path: Path, pg16: PostgresServer, fresh_database: FreshDatabase
) -> None:
    name = fresh_database(pg16)
    with open_quarantine(tmp_path, given(pg16)) as made, pytest.raises(DatabaseThere, match=name):
        made.server([name])
    assert there(pg16, name)


@pytest.mark.postgres
def test_what_a_killed_one_left_on_a_given_server_is_dropped_by_the_next(
    tmp_path: Path, pg16: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, open_quarantine(tmp_path, given(pg16)) as made:
        patched.setattr(Quarantine, "remove", lambda _: None)
        made.server(["killed"])
        make(pg16, "killed")
        made.made_roles([], ["killed_owner"])
    assert there(pg16, "killed")
    with open_quarantine(tmp_path):
        assert not there(pg16, "killed")


@pytest.mark.postgres
def test_what_cannot_be_dropped_is_named_and_tried_again(
    tmp_path: Path, pg16: PostgresServer
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_bytes(pg16.passfile.read_bytes())
    passfile.chmod(0o600)
    target = ServerTarget(
        kind="postgresql", host=pg16.host, port=pg16.port, user=pg16.user,
        password_file=str(passfile),
    )  # fmt: skip

    def fail() -> None:
        with open_quarantine(tmp_path, target) as made:
            made.server(["stuck"])
            make(pg16, "stuck")
            made.made_roles([], ["stuck_owner"])
            (made.folder / "deed").write_text("private")
            passfile.unlink()

    with pytest.raises(QuarantineLeft, match="expected to drop stuck"):
        fail()
    (folder,) = left(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "note.json"]
    passfile.write_bytes(pg16.passfile.read_bytes())
    passfile.chmod(0o600)
    with open_quarantine(tmp_path):
        assert not there(pg16, "stuck")


@pytest.mark.postgres
def test_a_server_of_its_own_is_ended_by_the_next_when_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, open_quarantine(tmp_path) as made:
        patched.setattr(Quarantine, "remove", lambda _: None)
        config = made.server(["land"])
        assert made.server(["births"]) == config, "one for all registers"
    own = made._own
    assert own is not None
    assert own.running
    with open_quarantine(tmp_path):
        assert own.process.wait(60) is not None
        assert not os.path.lexists(made.folder)
        assert not own.data_dir.exists()
    own.stop()
