"""A drill of a PostgreSQL register: into fresh databases of a given server, which are gone then."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from exclave.authority.envelope import parse_envelope
from exclave.certificate.drill import Drill, parse_drill
from exclave.drill.real import CERTIFICATE
from exclave.postgres_server.server import PostgresServer
from exclave.signer.interface import sign_envelope
from exclave.source.postgresql.config import PostgresConfig
from tests.pgfixtures import FreshDatabase
from tests.scripts.conftest import call, must
from tests.support.embassy import found_embassy, postgres_register

ROLE = "drilled_clerk"


@pytest.mark.postgres
def test_a_database_is_drilled_and_dropped(
    tmp_path: Path, pg16: PostgresServer, pg18: PostgresServer, fresh_database: FreshDatabase
) -> None:
    name = fresh_database(pg16)
    with pg16.connect() as session:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(ROLE)))
    try:
        with pg16.connect(name) as session:
            session.execute("CREATE TABLE act AS SELECT i AS id FROM generate_series(1, 500) i")
            session.execute(sql.SQL("ALTER TABLE act OWNER TO {}").format(sql.Identifier(ROLE)))
        drill = _drilled(tmp_path, pg16, pg18, name)
    finally:
        with pg16.connect(name) as session:
            session.execute("DROP TABLE act")
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))
    assert drill.passed
    (register,) = drill.registers
    assert register.result.rows == 500
    assert [(one.name, one.said) for one in register.result.assertions] == [("all", "t")]
    with pg18.connect() as session:
        query = (
            "SELECT datname FROM pg_database WHERE datname = %(name)s "
            "UNION SELECT rolname FROM pg_roles WHERE rolname = %(role)s"
        )
        assert session.execute(query, {"name": name, "role": ROLE}).fetchall() == []


def _drilled(folder: Path, source: PostgresServer, given: PostgresServer, name: str) -> Drill:
    config = PostgresConfig(
        databases=(name,), host=source.host, port=source.port, user=source.user,
        password_file=source.passfile, bin_dir=source.bin_dir,
    )  # fmt: skip
    plan, targets, reading = (folder / n for n in ("registers.toml", "targets.toml", "reading"))
    plan.write_text(
        '[[register]]\nid = "acts"\ntitle = "Acts"\nowner = "nobody"\nclassification = "none"\n'
        'rpo = "1h"\nrto = "1h"\n[register.source]\nkind = "postgresql"\n'
        f'host = "{source.host}"\nuser = "{source.user}"\ndatabases = ["{name}"]\n'
        '[[register.assertion]]\nname = "all"\nsql = "SELECT count(*) = 500 FROM act"\n'
    )
    targets.write_text(
        f'[default.postgresql]\nkind = "postgresql"\nhost = "{given.host}"\nport = {given.port}\n'
        f'user = "{given.user}"\npassword_file = "{given.passfile}"\nbin_dir = "{given.bin_dir}"\n'
    )
    with found_embassy(folder / "embassy", n=2, k=1) as embassy:
        embassy.add_register(postgres_register("acts", config))
        embassy.deposit(plan_text=plan.read_bytes())
        charter = embassy.home / "keys" / "charter.json"
        must("warrant", "prepare", "--charter", charter, "--out", reading)
        warrant = parse_envelope((reading / "warrant.json").read_bytes())
        for label in ("ambassador-a", "consul-a", "ambassador-b", "consul-b"):
            warrant = sign_envelope(warrant, embassy.officials[label].signers)
        (reading / "warrant.json").write_bytes(warrant.to_bytes())
        must("warrant", "submit", reading)
        cards: list[object] = []
        for number in ("2-1", "2-2", "3-1", "3-2"):
            cards += ["--card", embassy.folder / "cards" / f"card-{number}.txt"]
        answer = folder / "answer.json"
        must("unseal", reading / "unseal-request.json", *cards, "--out", answer, "--yes")
        ran = call(
            "drill", reading, "--answer", answer, "--plan", plan, "--targets", targets,
            "--quarantine", folder / "secret",
        )  # fmt: skip
    assert ran.code == 0, ran
    assert not list((folder / "secret").iterdir())
    return parse_drill(parse_envelope((reading / CERTIFICATE).read_bytes()))
