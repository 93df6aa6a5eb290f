"""What `check` says of the quarantine: everything that would make a proof fail."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from exclave.plan import PostgresqlSource, RegisterPlan
from exclave.postgres_server.server import PostgresServer
from exclave.wiring.check_quarantine import check_quarantine
from exclave.wiring.check_results import CheckResult, Severity
from exclave.wiring.settings import QuarantineServerSettings, QuarantineSettings


def _settings(place: Path, server: QuarantineServerSettings | None = None) -> QuarantineSettings:
    return QuarantineSettings(path=place, limit=2**30, timeout=60, postgresql=server)


def _plan(*databases: str) -> RegisterPlan:
    source = PostgresqlSource(
        kind="postgresql", host="/run", user="u", databases=databases or ("acts",)
    )
    return RegisterPlan(
        id="acts",
        title="Acts",
        owner="o",
        classification="none",
        rpo=1,
        rto=1,
        depends_on=(),
        runbook=None,
        artefacts=None,
        sources=(source,),
    )


def _check(
    settings: QuarantineSettings | None, plans: Sequence[RegisterPlan] = ()
) -> list[CheckResult]:
    return list(check_quarantine(settings, plans, ()))


def test_nothing_is_said_where_nothing_is_proven() -> None:
    assert _check(None, [_plan()]) == []


def test_a_folder_that_is_not_there_yet_has_the_room_of_its_disk(tmp_path: Path) -> None:
    [found] = _check(_settings(tmp_path / "state" / "quarantine"))
    assert found.severity is Severity.GOOD
    assert [figure.label for figure in found.figures] == ["quarantine_free"]


def test_a_folder_that_others_may_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    [found] = _check(_settings(tmp_path))
    assert (found.severity, found.hint) == (Severity.BAD, f"chmod 700 {tmp_path}")


def test_no_server_for_registers_that_need_one(tmp_path: Path) -> None:
    _, found = _check(_settings(tmp_path / "q"), [_plan()])
    assert found.severity is Severity.WARNS
    assert "no proof passes" in found.said


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path / "q", QuarantineServerSettings(bin_dir=str(tmp_path)))
    _, found = _check(settings, [_plan()])
    assert found.said == f"{tmp_path} has no initdb and no postgres"
    for name in ("initdb", "postgres"):
        (tmp_path / name).touch(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    _, found = _check(settings, [_plan()])
    assert (found.severity, found.said) == (Severity.BAD, "PostgreSQL does not run as root")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    _, found = _check(settings, [_plan()])
    assert found.severity is Severity.GOOD


@pytest.mark.postgres
def test_a_server(tmp_path: Path, pg18: PostgresServer) -> None:
    server = QuarantineServerSettings(
        host=pg18.host, port=pg18.port, user=pg18.user, password_file=str(pg18.passfile)
    )
    settings = _settings(tmp_path / "q", server)
    _, found = _check(settings, [_plan("acts")])
    assert found.severity is Severity.GOOD, found.said
    _, found = _check(settings, [_plan("postgres")])
    assert found.severity is Severity.BAD
    assert "has a database postgres already" in found.said


def test_a_server_that_is_down(tmp_path: Path) -> None:
    server = QuarantineServerSettings(host="/nonexistent", user="u")
    _, found = _check(_settings(tmp_path / "q", server), [_plan()])
    assert found.severity is Severity.BAD
    assert "expected a connection" in found.said
