"""Drills of a PostgreSQL register: into fresh databases of a given server, or a server of its own.

Whatever it was, nothing of it is there afterwards; and what a drill leaves that is killed in the
middle, the next one removes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql

from exclave.authority.envelope import parse_envelope
from exclave.certificate.drill import Drill, parse_drill
from exclave.drill.real import CERTIFICATE
from exclave.postgres_server.server import PostgresServer
from exclave.signer.interface import sign_envelope
from exclave.source.postgresql.config import PostgresConfig
from tests.scripts.conftest import call, must
from tests.support.embassy import PROGRAM, found_embassy, postgres_register

pytestmark = pytest.mark.postgres
NAME = "drilled_acts"
ROLE = "drilled_clerk"
HANGS = """[[register.assertion]]
name = "hangs"
command = ["sh", "-c", "echo $$ > {}; exec sleep 3600"]
"""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A deposit of one database whose warrant is released and whose cards were given."""

    reading: Path
    answer: Path
    plan: Path
    targets: Path
    secret: Path  # where quarantines are
    given: PostgresServer

    def words(self, plan: Path, *, given: bool) -> list[str]:
        """Of a drill."""
        words: list[object] = ["drill", self.reading, "--answer", self.answer, "--plan", plan]
        words += ["--quarantine", self.secret]
        return [str(word) for word in (*words, *(("--targets", self.targets) if given else ()))]

    def drill(self) -> Drill:
        """Hold one on the given server; its certificate."""
        ran = call(*self.words(self.plan, given=True))
        assert ran.code == 0, ran
        assert list(self.secret.iterdir()) == []
        return parse_drill(parse_envelope((self.reading / CERTIFICATE).read_bytes()))

    def killed(self, folder: Path, *, given: bool) -> tuple[Path, int]:
        """What a drill leaves that is killed after it restored; and the assertion that it ran."""
        folder.mkdir()
        begun, plan = folder / "begun", folder / "registers.toml"
        os.mkfifo(begun)
        plan.write_text(self.plan.read_text() + HANGS.format(begun))
        drilling = subprocess.Popen(
            [*PROGRAM, *self.words(plan, given=given)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        asserting = int(begun.read_text())
        drilling.kill()
        drilling.wait()
        (left,) = self.secret.iterdir()
        return left, asserting

    def is_there(self) -> set[str]:
        """What the given server has of a drill."""
        query = (
            "SELECT datname FROM pg_database WHERE datname = %(name)s "
            "UNION SELECT rolname FROM pg_roles WHERE rolname = %(role)s"
        )
        with self.given.connect() as session:
            rows = session.execute(query, {"name": NAME, "role": ROLE}).fetchall()
        return {str(row[0]) for row in rows}


@pytest.fixture(scope="module")
def source(pg16: PostgresServer) -> Iterator[PostgresServer]:
    with pg16.connect() as session:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(ROLE)))
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
    with pg16.connect(NAME) as session:
        session.execute("CREATE TABLE act AS SELECT i AS id FROM generate_series(1, 500) i")
        session.execute(sql.SQL("ALTER TABLE act OWNER TO {}").format(sql.Identifier(ROLE)))
    yield pg16
    with pg16.connect() as session:
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(NAME)))
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


@pytest.fixture(scope="module")
def ready(
    source: PostgresServer, pg18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ready]:
    folder = tmp_path_factory.mktemp("drill")
    made = Ready(
        reading=folder / "reading",
        answer=folder / "answer.json",
        plan=folder / "registers.toml",
        targets=folder / "targets.toml",
        secret=folder / "secret",
        given=pg18,
    )
    made.plan.write_text(
        '[[register]]\nid = "acts"\ntitle = "Acts"\nowner = "nobody"\nclassification = "none"\n'
        'rpo = "1h"\nrto = "1h"\n[register.source]\nkind = "postgresql"\n'
        f'host = "{source.host}"\nuser = "{source.user}"\ndatabases = ["{NAME}"]\n'
        '[[register.assertion]]\nname = "all"\nsql = "SELECT count(*) = 500 FROM act"\n'
    )
    made.targets.write_text(
        f'[default.postgresql]\nkind = "postgresql"\nhost = "{pg18.host}"\nport = {pg18.port}\n'
        f'user = "{pg18.user}"\npassword_file = "{pg18.passfile}"\nbin_dir = "{pg18.bin_dir}"\n'
    )
    config = PostgresConfig(
        databases=(NAME,), host=source.host, port=source.port, user=source.user,
        password_file=source.passfile, bin_dir=source.bin_dir,
    )  # fmt: skip
    with found_embassy(folder / "embassy", n=2, k=1) as embassy:
        embassy.add_register(postgres_register("acts", config))
        embassy.deposit(plan_text=made.plan.read_bytes())
        charter = embassy.home / "keys" / "charter.json"
        must("warrant", "prepare", "--charter", charter, "--out", made.reading)
        warrant = parse_envelope((made.reading / "warrant.json").read_bytes())
        for label in ("ambassador-a", "consul-a", "ambassador-b", "consul-b"):
            warrant = sign_envelope(warrant, embassy.officials[label].signers)
        (made.reading / "warrant.json").write_bytes(warrant.to_bytes())
        must("warrant", "submit", made.reading)
        cards: list[object] = []
        for number in ("2-1", "2-2", "3-1", "3-2"):
            cards += ["--card", embassy.folder / "cards" / f"card-{number}.txt"]
        request = made.reading / "unseal-request.json"
        must("unseal", request, *cards, "--out", made.answer, "--yes")
        yield made


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_database_is_drilled_and_dropped(ready: Ready) -> None:
    drill = ready.drill()
    assert drill.passed
    (register,) = drill.registers
    assert register.result.rows == 500
    assert [(one.name, one.said) for one in register.result.assertions] == [("all", "t")]
    assert ready.is_there() == set()


def test_kill_9_leaves_nothing_after_the_next(ready: Ready, tmp_path: Path) -> None:
    """Of a drill on a given server, then of one with a server of its own."""
    first, asserting = ready.killed(tmp_path / "given", given=True)
    assert ready.is_there() == {NAME, ROLE}
    second, hanging = ready.killed(tmp_path / "own", given=False)
    assert ready.is_there() == set()
    assert not first.exists()
    assert not _runs(asserting)

    data = (second / "server").resolve()
    server = int((data / "postmaster.pid").read_text().split()[0])
    folders = json.loads((second / "note.json").read_bytes())["folders"]
    assert folders, "its socket and password are outside"
    assert _runs(server), "it ended by itself: nothing to end"
    assert ready.drill().passed
    assert not any(map(os.path.lexists, (second, data, *folders)))
    assert not _runs(server)
    assert not _runs(hanging)
