"""Proofs of PostgreSQL registers: databases on the quarantine server come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exclave.plan import Assertion
from exclave.postgres_server.server import PostgresServer
from exclave.proof.serving import Prover
from exclave.proof.values import Verdict
from exclave.quarantine.note import QuarantineServer
from exclave.source.postgresql import PostgresConfig
from exclave.values import replace
from tests.support.embassy import Embassy, found_embassy, postgres_register
from tests.support.proving import KeptDeposit, broken, kept_deposit

pytestmark = pytest.mark.postgres
NAME = "proven_acts"


def _config(server: PostgresServer) -> PostgresConfig:
    return PostgresConfig(
        databases=(NAME,),
        host=server.host,
        port=server.port,
        user=server.user,
        password_file=server.passfile,
    )


def _quarantine(server: PostgresServer) -> QuarantineServer:
    return QuarantineServer(
        host=server.host, port=server.port, user=server.user, password_file=str(server.passfile)
    )


def _databases(server: PostgresServer) -> set[str]:
    with server.connect() as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database")}


@pytest.fixture(scope="module")
def source(pg16: PostgresServer) -> Iterator[PostgresServer]:
    with pg16.connect() as connection:
        connection.execute(f"CREATE DATABASE {NAME}".encode())
    with pg16.connect(NAME) as connection:
        connection.execute("CREATE TABLE act (id int PRIMARY KEY, text text)")
        connection.execute("INSERT INTO act SELECT n, 'act ' || n FROM generate_series(1, 500) n")
    yield pg16
    with pg16.connect() as connection:
        connection.execute(f"DROP DATABASE {NAME} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def embassy(source: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    with found_embassy(tmp_path_factory.mktemp("embassy"), n=1, k=1) as made:
        made.add_register(postgres_register("acts", _config(source)))
        yield made


@pytest.fixture(scope="module")
def kept(embassy: Embassy) -> Iterator[KeptDeposit]:
    with kept_deposit(embassy) as held:
        yield held


@pytest.fixture
def prover(embassy: Embassy, pg18: PostgresServer) -> Prover:
    return embassy.prover(server=_quarantine(pg18))


def test_a_database_is_restored_compared_asserted_and_dropped(
    kept: KeptDeposit, prover: Prover, pg18: PostgresServer
) -> None:
    stated = (
        Assertion(name="all-acts", sql="SELECT count(*) FROM act", expect="500"),
        Assertion(name="first", command=("sh", "-c", 'test "$PGDATABASE" = proven_acts')),
    )
    asserting = replace(kept, what=replace(kept.what, assertions={"acts": stated}))
    found = asserting.prove(prover)
    assert found.passed, found.reasons
    [acts] = found.registers
    assert acts.rows == 500
    assert [(item.name, item.held) for item in acts.assertions] == [
        ("all-acts", True),
        ("first", True),
    ]
    assert NAME not in _databases(pg18)


def test_an_assertion_that_does_not_hold(kept: KeptDeposit, prover: Prover) -> None:
    stated = (Assertion(name="more", sql="SELECT count(*) > 500 FROM act"),)
    found = replace(kept, what=replace(kept.what, assertions={"acts": stated})).prove(prover)
    assert not found.passed
    assert found.reasons == ("register acts: assertions that do not hold: more",)
    assert found.registers[0].differing == 0


def test_without_a_server_it_is_decoded_and_does_not_pass(
    embassy: Embassy, kept: KeptDeposit
) -> None:
    found = kept.prove(embassy.prover())
    assert not found.passed
    assert [item.verdict for item in found.registers] == [Verdict.DECODED]
    assert found.registers[0].from_packs.bytes > 5_000


def test_a_database_that_is_not_ours_is_left_alone(
    embassy: Embassy, kept: KeptDeposit, source: PostgresServer
) -> None:
    """The worst that an administrator can name: the server of the register itself."""
    found = kept.prove(embassy.prover(server=_quarantine(source)))
    assert not found.passed
    assert f"expected no database {NAME}" in found.reasons[0]
    with source.connect(NAME) as connection:
        assert connection.execute("SELECT count(*) FROM act").fetchone() == (500,)


def test_a_process_that_dies_leaves_no_database(
    kept: KeptDeposit, prover: Prover, pg18: PostgresServer
) -> None:
    change = (
        "restore = prover._source\n"
        "def dying(*given):\n"
        "    restore(*given)\n"
        "    os.kill(os.getpid(), 9)\n"
        "prover._source = dying"
    )
    found = kept.prove(replace(prover, program=broken(change)))
    assert "before it had a result" in found.reasons[0]
    assert NAME not in _databases(pg18)


def test_a_server_that_is_down_is_a_failed_register(embassy: Embassy, kept: KeptDeposit) -> None:
    nowhere = QuarantineServer(host="/nonexistent", port=5432, user="nobody")
    found = kept.prove(embassy.prover(server=nowhere))
    assert not found.passed
    assert "expected a connection" in found.reasons[0]
