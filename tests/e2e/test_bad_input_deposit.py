"""Bad input to a deposit, as the custodian meets it: named, with a code, and nothing half-lodged.

Every refused deposit leaves vaults and catalogue as they were: the same deposits are listed,
from the depositor's catalogue and from the vaults, and the next good deposit succeeds.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from exclave.deposit.run import DepositOutcome
from exclave.encoding import canonical_json
from exclave.errors import VaultError
from exclave.postgres_server.server import PostgresServer, write_passfile
from exclave.vault.installation.config import VaultConfig
from tests.pgfixtures import FreshDatabase
from tests.scripts.conftest import Mission, Ran, call, founded_mission, free_ports, must
from tests.support.embassy import found_embassy, founding

PASSWORD = "very-secret-password-7731"


@pytest.fixture(scope="module")
def mission(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    """A mission with one good deposit."""
    with founded_mission(tmp_path_factory.mktemp("bad-deposit")) as made:
        must("deposit", "-c", made.config)
        yield made


def _listed(mission: Mission) -> tuple[object, object]:
    """What the catalogue and the vaults list."""
    catalogue = must("deposits", "-c", mission.config, "--json").json["deposits"]
    vaults = must("deposits", "--card", mission.card(2, 1), "--json").json["deposits"]
    return [item["deposit"] for item in catalogue], [item["deposit"] for item in vaults]


def refused(mission: Mission, code: int, *arguments: object, says: str, hint: str) -> Ran:
    """A deposit that must fail with this code, leaving everything as it was."""
    before = _listed(mission)
    ran = call("deposit", *arguments)
    assert (ran.code, ran.out) == (code, ""), ran
    assert says in ran.err, ran.err
    assert any(hint in line for line in ran.err.splitlines() if "hint: " in line), ran.err
    assert "Traceback" not in ran.err
    assert _listed(mission) == before
    return ran


def config_with(mission: Mission, name: str, extra: str, **changes: str) -> Path:
    """A copy of deposit.toml beside it, with other values and more lines."""
    text = mission.config.read_text()
    for key, value in changes.items():
        lines = [
            f"{key} = {value}" if line.startswith(f"{key} =") else line
            for line in text.splitlines()
        ]
        text = "\n".join(lines) + "\n"
    path = mission.config.with_name(name)
    path.write_text(text + extra)
    return path


def _seat(mission: Mission, seat: int, *, data: str, public: str) -> str:
    del mission
    return f'[[seat]]\nseat = {seat}\ndata = "{data}"\npublic = "{public}"\n'


def _addresses(mission: Mission, seat: int) -> dict[str, str]:
    lines = (mission.vault(seat) / "vault.toml").read_text().splitlines()
    pairs = (line.split(" = ") for line in lines if line.startswith(("data", "public")))
    return {key: value.strip('"') for key, value in pairs}


def nobody(mission: Mission, seat: int) -> str:
    """Addresses at which nobody listens."""
    one, two = free_ports(2)
    return _seat(mission, seat, data=f"127.0.0.1:{one}", public=f"127.0.0.1:{two}")


# Vaults


def test_an_unreachable_vault_is_late(mission: Mission) -> None:
    """One of three does not stop a deposit; it is named, with the way to catch up."""
    config = config_with(mission, "one-away.toml", nobody(mission, 3))
    ran = call("deposit", "-c", config, "--json")
    assert ran.code == 0
    assert set(ran.json["late"]) == {"3"}
    assert "seat 3 is late" in ran.err
    assert "hint: exclave deposit --catch-up" in ran.err
    must("deposit", "-c", mission.config, "--catch-up")


def test_too_few_vaults(mission: Mission) -> None:
    config = config_with(mission, "two-away.toml", nobody(mission, 2) + nobody(mission, 3))
    says = "expected states that can be reached: 2, got 1"
    ran = refused(mission, 5, "-c", config, says=says, hint="nothing was lodged")
    assert "seat 2: " in ran.err
    assert "seat 3: " in ran.err


def test_a_vault_with_another_key(mission: Mission) -> None:
    """Seat 2's host answers where seat 3 should: its identity is not the one in the charter."""
    config = config_with(
        mission, "wrong.toml", _seat(mission, 3, **_addresses(mission, 2)) + nobody(mission, 2)
    )
    ran = refused(
        mission, 5, "-c", config, says="can be reached: 2, got 1", hint="nothing was lodged"
    )
    assert "identity" in ran.err.partition("seat 3: ")[2].partition("seat 2: ")[0], ran.err
    check = call("check", "-c", config)
    assert check.code == 2
    assert "FAIL seat 3" in check.out


def test_vaults_without_room(mission: Mission) -> None:
    """Two disks are full: the deposit says so, the vaults go on, and later it succeeds."""
    (mission.config.parent / "land" / "more").write_bytes(os.urandom(100_000))
    said = {seat: (mission.vault(seat) / "vault.toml").read_text() for seat in (2, 3)}
    assert "min_free_bytes" in VaultConfig.__annotations__
    try:
        for seat, text in said.items():
            mission.stop(seat)
            (mission.vault(seat) / "vault.toml").write_text(f"min_free_bytes = {2**60}\n{text}")
            mission.start(seat)
        ran = refused(
            mission, 5, "-c", mission.config, says="can be reached: 2", hint="nothing was lodged"
        )
        assert "expected room for " in ran.err
    finally:
        for seat, text in said.items():
            mission.stop(seat)
            (mission.vault(seat) / "vault.toml").write_text(text)
            mission.start(seat)
    must("deposit", "-c", mission.config)


def test_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daily quota is the charter's; older deposits stay, and the reason is the vaults'."""
    monkeypatch.setattr(founding, "DAILY", 3 * 2**20)
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        first = embassy.deposit()
        embassy.write_registers(mib=8, seed=2)
        with pytest.raises(VaultError, match="it is lodged: 2, got 0") as caught:
            _deposit(embassy.deposit)
        assert caught.value.exit_code == 5
        assert "quota" in caught.value.message
        assert caught.value.hint is not None
        assert [record.deposit for record in embassy.survey().records] == [first.entry.deposit]
        assert embassy.reconstruct(tmp_path / "out").proven


def _deposit(run: Callable[[], DepositOutcome]) -> None:
    run()


# The depositor's own disk


def test_a_full_spool(mission: Mission) -> None:
    config = config_with(mission, "small.toml", nobody(mission, 3), spool_limit='"1KiB"')
    (mission.config.parent / "land" / "new").write_bytes(os.urandom(200_000))
    says, hint = "bytes needed, limit 1024", "seat 3 has been late for long"
    refused(mission, 8, "-c", config, says=says, hint=hint)
    assert not list((mission.config.parent / "state" / "spool").glob("[0-9]*/*"))
    must("deposit", "-c", mission.config)


def test_a_full_disk_under_the_spool(mission: Mission, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_with(mission, "full.toml", nobody(mission, 3))
    (mission.config.parent / "land" / "new").write_bytes(os.urandom(200_000))
    spool = str(mission.config.parent / "state" / "spool")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", _full_below(spool, os.write))
        refused(mission, 8, "-c", config, says="disk full", hint="free some space")
    assert not list((mission.config.parent / "state" / "spool").glob("[0-9]*/*"))
    assert not list((mission.config.parent / "state" / "spool" / "tmp").iterdir())
    must("deposit", "-c", mission.config)


def test_a_full_disk_under_the_catalogue(mission: Mission, monkeypatch: pytest.MonkeyPatch) -> None:
    (mission.config.parent / "land" / "new").write_bytes(os.urandom(200_000))
    catalogue = str(mission.config.parent / "state" / "catalogue")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", _full_below(catalogue, os.write))
        refused(mission, 8, "-c", mission.config, says="no space left", hint="free or add space")
    must("deposit", "-c", mission.config)


def _full_below(folder: str, real: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    """`os.write` as on a disk that is full where `folder` lies."""

    def write(descriptor: int, data: bytes) -> int:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    return write


def test_a_full_disk_under_the_journal(mission: Mission) -> None:
    (mission.config.parent / "land" / "new").write_bytes(os.urandom(200_000))

    def limit(connection: apsw.Connection) -> None:
        # SQLite's own limit stands in for the disk's: the same error from the same place.
        connection.execute("PRAGMA max_page_count = 1").fetchall()

    apsw.connection_hooks.append(limit)
    try:
        refused(
            mission,
            8,
            "-c",
            mission.config,
            says="journal: expected room, got a full disk",
            hint="free some space",
        )
    finally:
        apsw.connection_hooks.remove(limit)
    must("deposit", "-c", mission.config)


# The source

REGISTER = """
[[register]]
id = "{id}"
title = "A database"
owner = "nobody"
classification = "restricted"
rpo = "24h"
rto = "48h"
[register.source]
kind = "postgresql"
host = "{host}"
port = {port}
user = "{user}"
databases = ["{database}"]
password_file = "{passfile}"
lock_timeout = "2s"
jobs = 1
"""


def plan_with(
    mission: Mission, server: PostgresServer, database: str, *, user: str, passfile: Path
) -> Path:
    """A deposit.toml whose plan has a database after the other registers."""
    plan = mission.config.with_name("registers-and-database.toml")
    text = REGISTER.format(
        id="database",
        host=server.host,
        port=server.port,
        user=user,
        database=database,
        passfile=passfile,
    )
    plan.write_text((mission.config.with_name("registers.toml")).read_text() + text)
    return config_with(mission, "database.toml", "", plan=f'"{plan.name}"')


@pytest.fixture
def database(pg18: PostgresServer, fresh_database: FreshDatabase) -> Iterator[str]:
    """A database and a role that may log in and nothing else."""
    name = fresh_database(pg18)
    with pg18.connect(name) as session:
        session.execute(
            "CREATE TABLE public.person (id int PRIMARY KEY, name text);"
            "INSERT INTO public.person SELECT g, md5(g::text) FROM generate_series(1, 50000) g"
        )
        session.execute(f"CREATE ROLE weak LOGIN PASSWORD '{PASSWORD}'".encode())
    yield name
    with pg18.connect(name) as session:
        session.execute("DROP OWNED BY weak; DROP ROLE weak")


@pytest.mark.postgres
def test_a_wrong_password(
    mission: Mission, pg18: PostgresServer, database: str, tmp_path: Path
) -> None:
    wrong = write_passfile(tmp_path / "pgpass", pg18.port, "weak", "not-" + PASSWORD)
    config = plan_with(mission, pg18, database, user="weak", passfile=wrong)
    says = f"database {database}: expected a connection, got: "
    ran = refused(mission, 4, "-c", config, says=says, hint="the password file")
    assert PASSWORD not in ran.err
    assert "register database" in ran.err or "database" in ran.err


@pytest.mark.postgres
def test_missing_privileges(
    mission: Mission, pg18: PostgresServer, database: str, tmp_path: Path
) -> None:
    weak = write_passfile(tmp_path / "pgpass", pg18.port, "weak", PASSWORD)
    config = plan_with(mission, pg18, database, user="weak", passfile=weak)
    refused(mission, 4, "-c", config, says="missing for public.person", hint="pg_read_all_data")
    with pg18.connect(database) as session:
        session.execute(
            "GRANT SELECT ON public.person TO weak;"
            "ALTER TABLE public.person ENABLE ROW LEVEL SECURITY"
        )
    refused(mission, 4, "-c", config, says="hide rows of public.person", hint="BYPASSRLS")
    check = call("check", "-c", config)
    assert check.code == 2
    assert "hide rows of public.person" in check.out


@pytest.mark.postgres
def test_a_table_that_stays_locked(mission: Mission, pg18: PostgresServer, database: str) -> None:
    config = plan_with(mission, pg18, database, user=pg18.user, passfile=pg18.passfile)
    with pg18.connect(database) as session, session.transaction():
        session.execute("LOCK TABLE public.person IN ACCESS EXCLUSIVE MODE")
        refused(mission, 4, "-c", config, says="lock within lock_timeout", hint="capture later")


@pytest.mark.postgres
def test_a_table_that_fails_half_way(mission: Mission, pg18: PostgresServer, database: str) -> None:
    """Whatever copies is ended while it does: nothing of any register is lodged."""
    config = plan_with(mission, pg18, database, user=pg18.user, passfile=pg18.passfile)
    with pg18.connect(database) as session:
        session.execute(
            "INSERT INTO public.person SELECT g, repeat('x', 2000)"
            " FROM generate_series(50001, 100000) g"
        )
    ended = threading.Event()
    stop = threading.Event()

    def attack() -> None:
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            " AND application_name = 'exclave' AND query LIKE 'COPY %%' AND state = 'active'"
        )
        with pg18.connect() as session:
            while not stop.wait(0.001):  # psql's, and that of the session which then takes over
                if session.execute(query, (database,)).fetchall():
                    ended.set()

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        refused(
            mission,
            4,
            "-c",
            config,
            says="public.person: expected to read all rows",
            hint="run again",
        )
    finally:
        stop.set()
        attacker.join()
    assert ended.is_set()
    must("deposit", "-c", config)


def test_a_register_that_is_not_there(mission: Mission) -> None:
    plan = mission.config.with_name("gone.toml")
    text = mission.config.with_name("registers.toml").read_text()
    plan.write_text(text.replace('path = "births.db"', 'path = "deaths.db"'))
    config = config_with(mission, "gone-deposit.toml", "", plan='"gone.toml"')
    before = _listed(mission)
    ran = call("deposit", "-c", config)
    assert (ran.code, ran.out) == (4, "")
    assert "deaths.db: expected a readable SQLite database, got: " in ran.err
    assert _listed(mission) == before


# Statements carried to a vault


def test_records_carried_to_a_vault(mission: Mission, tmp_path: Path) -> None:
    """Byte-identical again is success; altered or foreign is refused by name, nothing is kept."""
    folder = mission.vault(1) / "missions" / mission.mission
    record = next(body for body in _bodies(folder) if b'"kind":"record"' in _payload(body))
    carried = tmp_path / "record.json"
    submit = ["vault", "submit", mission.vault(1), carried]
    carried.write_bytes(record)
    first = must(*submit, "--json").json
    assert first["state"] == "lodged"
    assert must(*submit, "--json").json == first
    before = sorted(_bodies(folder))
    for old, new, code, says in (
        (rb'"claimed_time":"[0-9]+', '"claimed_time":"1999', 5, "signature"),
        (mission.mission.encode(), "00" * 32, 3, "not enrolled at this vault"),
    ):
        envelope = json.loads(record)
        payload = re.sub(old, new.encode(), _payload(record))
        assert payload != _payload(record)
        envelope["payload"] = base64.b64encode(payload).decode()
        carried.write_bytes(canonical_json(envelope))
        ran = call(*submit)
        assert (ran.code, ran.out) == (code, ""), ran
        assert says in ran.err
    for junk in (record[:-1], record + b"\n", b""):
        carried.write_bytes(junk)
        ran = call(*submit)
        assert (ran.code, ran.out) == (7, ""), ran
        assert "envelope: " in ran.err
    assert sorted(_bodies(folder)) == before
    fsck = must("vault", "fsck", mission.vault(1), "--json").json["missions"][0]
    assert fsck["bad"] == []


def _bodies(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.glob("bodies/**/*") if file.is_file()]


def _payload(body: bytes) -> bytes:
    if not body.startswith(b"{"):
        return b""  # a cosigned note, which is no statement
    return base64.b64decode(json.loads(body)["payload"])
