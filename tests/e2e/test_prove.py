"""`exclave deposit --prove` as a custodian runs it: results, certificates, exit codes."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exclave.authority.attestation import Attestation, parse_attestation
from exclave.authority.envelope import Kind, parse_envelope
from exclave.certificate.proof import verify_proof
from exclave.certificate.sealed import open_attested
from exclave.evidence import EvidenceStore
from exclave.ledger.entry import EntryType
from tests.support.embassy import PROGRAM, Embassy, found_embassy

QUARANTINE = '\n[quarantine]\npath = "state/quarantine"\n'


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    """One vault in a folder, which is not served."""
    with found_embassy(tmp_path_factory.mktemp("embassy"), n=1, k=1) as made:
        made.stop_vault(1)
        made.write_registers(mib=0.2)
        yield made


def _config(embassy: Embassy, more: str) -> str:
    config = embassy.write_config()
    seat = f'\n[[seat]]\nseat = 1\nfolder = "{embassy.vault_folder(1)}"\n'
    config.write_text(config.read_text() + more + seat)
    return str(config)


def _deposit(embassy: Embassy, more: str, *words: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [*PROGRAM, "--json", "deposit", *words, "--config", _config(embassy, more)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def _attested(embassy: Embassy) -> list[Attestation]:
    """What the log of the vault says of certificates."""
    embassy.start_vault(1)
    try:
        entries = [e for e in embassy.log_entries(1) if e.type is EntryType.ATTESTATION]
        client = embassy.client(1)
        bodies = [embassy.loop.run(client.body(entry.hash)) for entry in entries]
    finally:
        embassy.stop_vault(1)
    return [parse_attestation(parse_envelope(body, kinds=[Kind.ATTESTATION])) for body in bodies]


def _newest(embassy: Embassy, register: str) -> bool:
    found = EvidenceStore(embassy.home / "state" / "evidence").latest("proof", register)
    assert found is not None
    return found.passed


def test_a_proven_deposit_and_its_certificate(embassy: Embassy) -> None:
    code, first, said = _deposit(embassy, QUARANTINE, "--prove")
    assert code == 0, said
    assert first["proof"]["passed"] is True
    assert all(item["from_source"]["bytes"] == 0 for item in first["proof"]["registers"])

    code, second, said = _deposit(embassy, QUARANTINE, "--prove")
    assert code == 0, said
    scans = next(item for item in second["proof"]["registers"] if item["id"] == "scans")
    assert scans["from_source"]["bytes"] > 100_000

    envelope = parse_envelope(Path(second["proof"]["certificate"]).read_bytes(), kinds=[Kind.PROOF])
    proof = verify_proof(envelope, embassy.charter)
    assert proof.passed
    assert proof.results.deposit.hex() == second["deposit"]
    assert {item.result.id: item.from_source for item in proof.registers}["scans"] == (
        scans["from_source"]["bytes"]
    )
    assert _newest(embassy, "scans")
    assert second["proof"]["attested"] == [1]
    attested = _attested(embassy)
    assert len(attested) == 2, "of both proofs, a salted hash stands in the log"
    assert attested[-1].certificate == envelope.statement_hash
    opened = open_attested(attested[-1], embassy.recovery_private())
    assert verify_proof(opened, embassy.charter) == proof


def test_a_proof_that_fails_is_loud_and_kept_and_the_deposit_stands(embassy: Embassy) -> None:
    open_to_all = embassy.home / "state" / "open"
    open_to_all.mkdir(parents=True)
    open_to_all.chmod(0o755)
    code, answer, said = _deposit(embassy, '\n[quarantine]\npath = "state/open"\n', "--prove")
    assert code == 1
    assert answer["lodged"] == [1]
    assert answer["proof"]["passed"] is False
    assert "NOT PROVEN: the deposit is lodged, but" in said
    assert "only its owner can enter" in said
    assert not _newest(embassy, "scans")
    assert not _newest(embassy, "gazette")


def test_a_proof_without_a_quarantine_is_refused_before_anything_is_read(embassy: Embassy) -> None:
    code, _, said = _deposit(embassy, "", "--prove")
    assert code == 3
    assert "expected [quarantine] to prove a deposit, got none" in said


def test_catching_up_proves_nothing(embassy: Embassy) -> None:
    code, _, said = _deposit(embassy, QUARANTINE, "--prove", "--catch-up")
    assert code == 2
    assert "expected --prove or --catch-up, got both" in said


def test_a_quarantine_is_checked_like_everything_else(embassy: Embassy) -> None:
    more = '\n[quarantine]\npath = ""\nlimt = "1GiB"\n[quarantine.postgresql]\nport = 0\n'
    code, _, said = _deposit(embassy, more, "--prove")
    assert code == 3
    for words in ("quarantine.path", "quarantine.limt", "quarantine.postgresql.port"):
        assert words in said


def test_kill_9_in_the_middle_of_a_proof(embassy: Embassy, tmp_path: Path) -> None:
    """The proving process ends with it, and so does what it started; the next run clears up."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    config = _config(embassy, QUARANTINE)
    plan = embassy.home / "registers.toml"
    command = f'["sh", "-c", "echo $$ > {begun}; exec sleep 3600"]'
    hanging = f'\n[[register.assertion]]\nname = "hangs"\ncommand = {command}\n'
    plan.write_text(plan.read_text() + hanging)
    depositing = subprocess.Popen(
        [*PROGRAM, "--quiet", "deposit", "--prove", "--config", config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    asserting = os.pidfd_open(int(begun.read_text()))
    quarantine = embassy.home / "state" / "quarantine"
    [left] = quarantine.glob("quarantine-*")
    assert list(left.rglob("gazette.sqlite")), "it was killed before there was anything to leave"
    depositing.kill()
    depositing.wait()
    assert select.select([asserting], [], [], 60)[0], "the assertion outlives who asked for it"
    os.close(asserting)

    code, answer, said = _deposit(embassy, QUARANTINE, "--prove")
    assert code == 0, said
    assert answer["proof"]["passed"] is True
    assert [item.name for item in quarantine.iterdir()] == ["quarantine.lock"]
