"""The whole way by commands alone, in the order in which people run them.

Steps build on each other, so they are one test: what a step shows is checked before the next.
"""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw

from exclave.authority.envelope import parse_envelope
from exclave.certificate.receipts import verify_seat_receipt
from exclave.clock import parse_time
from exclave.demo.reach import Reach
from exclave.evidence import EvidenceStore
from exclave.wiring.files import load_charter
from tests.scripts.conftest import Mission, call, must
from tests.support.certificates import make_proof, result, signed_proof
from tests.support.figures import figures
from tests.support.vault_world import START, new_world

TARGETS = '[default.folder]\nkind = "folder"\npath = "restored"\n'


def test_whole_way(embassy: Mission, tmp_path: Path) -> None:
    """Deposit with a vault down, catch up, lose home and a vault, restore from lines and disks."""
    _declared_but_never_deposited(embassy)
    embassy.stop(3)
    deposit = must("deposit", "-c", embassy.config, "--json").json
    assert set(deposit["late"]) == {"3"}
    assert deposit["lodged"] == [1, 2]
    assert call("status", "-c", embassy.config).code == 1
    embassy.start(3)
    assert must("deposit", "--catch-up", "-c", embassy.config, "--json").json == {"late": {}}
    status = must("status", "-c", embassy.config, "--json").json
    assert [item["held"] for item in status["registers"]] == [[1, 2, 3], [1, 2, 3]]
    _listed(embassy, deposit["deposit"])
    _refuted(embassy, tmp_path)
    _lost_journal(embassy)
    _lost_journal_and_catalogue(embassy)
    _host_looks(embassy)
    _receipt(embassy, tmp_path)

    shutil.rmtree(embassy.root / "home")
    embassy.stop(1)
    reading = _authorised(embassy, tmp_path)
    _over_lines(embassy, reading, tmp_path)
    _from_disks(embassy, reading, tmp_path)


def _declared_but_never_deposited(embassy: Mission) -> None:
    ran = call("status", "-c", embassy.config, "--offline")
    assert ran.code == 1
    assert ran.out.count("NEVER DEPOSITED") == 2
    assert "no catalogue either" in ran.out
    check = must("check", "-c", embassy.config)
    assert "FAIL" not in check.out
    assert "not reconstructible as a service: no runbook and no artefacts" in check.out
    assert "forecast of a deposit: " in check.out
    line = must("check", "-c", embassy.config, "--monitoring").out
    assert line.startswith("EXCLAVE OK - ")
    assert line.count("\n") == 1
    assert "'deposit'=" in line
    unknown = call("check", "-c", embassy.root / "none.toml", "--monitoring")
    assert (unknown.code, unknown.out[:18]) == (3, "EXCLAVE UNKNOWN - ")


def _listed(embassy: Mission, deposit: str) -> None:
    titles = must("show", "latest", "-c", embassy.config).out
    assert "Land register" in titles
    assert "999 rows" in titles
    opaque = must("deposits", "--card", embassy.card(2, 1)).out
    assert deposit in opaque
    assert "Land" not in opaque
    assert must("deposits", "-c", embassy.config, "--json").json["deposits"][0]["sequence"] == 1


def _refuted(embassy: Mission, folder: Path) -> None:
    """A proof that found a difference makes status red, and figures say it."""
    assert "never proven, never drilled" in must("status", "-c", embassy.config).out
    kept = EvidenceStore(embassy.root / "home" / "state" / "evidence")
    world, output = new_world(), folder / "exclave.prom"
    kept.keep(signed_proof(world, make_proof(world)))
    assert " ago, never drilled" in must("status", "-c", embassy.config, "--offline").out
    later = START + timedelta(seconds=90)
    bad = make_proof(world, result(differences=2), ended=later)
    kept.keep(signed_proof(world, bad))
    ran = call("status", "-c", embassy.config, "--offline")
    assert ran.code == 1
    assert "NOT PASSED (proof-" in ran.out
    assert call("metrics", "-c", embassy.config, "--offline", "--check").code == 2
    must("metrics", "-c", embassy.config, "--output", output, "--check")
    found = figures(output.read_text())
    assert found["exclave_register_last_proof_passed"] == {(("register", "land"),): 0}
    assert set(found["exclave_seat_up"].values()) == {1}
    assert found["exclave_check_results"][(("severity", "good"),)] > 0
    assert "exclave_register_rpo_seconds{" in must("metrics", "-c", embassy.config, "--offline").out
    shutil.rmtree(embassy.root / "home" / "state" / "evidence")


def _lost_journal(embassy: Mission) -> None:
    (embassy.root / "home" / "state" / "journal.db").unlink()
    ran = must("deposit", "land", "-c", embassy.config)
    assert "journal rebuilt from the catalogue" in ran.err
    assert "new 0 B" in ran.out


def _lost_journal_and_catalogue(embassy: Mission) -> None:
    """Everything is sent again, in the same chain: the next record goes on from the vaults'."""
    shutil.rmtree(embassy.root / "home" / "state")
    ran = call("status", "-c", embassy.config)
    assert ran.code == 1
    assert "the next deposit will send about" in ran.out
    assert "number 3" in must("deposit", "-c", embassy.config).out
    assert must("status", "-c", embassy.config, "--json").json["good"] is True
    assert "FORK" not in must("vault", "status", embassy.vault(1)).out


def _host_looks(embassy: Mission) -> None:
    assert "FORK" not in must("vault", "status", embassy.vault(1)).out
    fsck = must("vault", "fsck", embassy.vault(1), "--json").json["missions"][0]
    assert fsck["bad"] == []
    assert fsck["shards"] > 0
    rebuild = call("vault", "fsck", "--rebuild", embassy.vault(1))
    assert rebuild.code == 3
    assert "another process has this vault open" in rebuild.err


def _receipt(embassy: Mission, tmp_path: Path) -> None:
    database = apsw.Connection(str(embassy.root / "home" / "state" / "journal.db"))
    receipt = database.execute("SELECT receipt FROM lodgings WHERE seat = 1").fetchone()[0]
    database.close()
    file = tmp_path / "receipt"
    file.write_text(receipt)
    ran = must("verify-receipt", file, "--charter", embassy.charter)
    assert ran.out.startswith("valid: seat 1 logged a lodged entry")
    cosigned = tmp_path / "cosigned"
    _await_cosigned(embassy, receipt.encode(), cosigned)
    shown = must("verify-receipt", cosigned, "--charter", embassy.charter, "--json").json
    assert shown["cosigned"]
    assert len(shown["witnesses"]) >= shown["quorum"] == 2
    assert all(parse_time(item["time"]) for item in shown["witnesses"])
    file.write_text(receipt.replace("index ", "index 1", 1))
    assert call("verify-receipt", file, "--charter", embassy.charter).code == 7


def _await_cosigned(embassy: Mission, receipt: bytes, file: Path) -> None:
    """Ask for a receipt again until the other vaults have cosigned it."""
    charter = load_charter(embassy.charter)
    entry = verify_seat_receipt(receipt, [charter]).entry

    def cosigned() -> bool:
        file.write_bytes(reach.receipt(1, entry.hash))
        return verify_seat_receipt(file.read_bytes(), [charter]).cosigned

    with Reach(charter) as reach:
        assert reach.until(cosigned)


def _authorised(embassy: Mission, tmp_path: Path) -> Path:
    folder = tmp_path / "reading"
    made = must("warrant", "prepare", "--card", embassy.card(2, 1), "--out", folder, "--json").json
    assert made["mission"] == embassy.mission
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    without = call("unseal", folder / "unseal-request.json", "--yes")
    assert (without.code, without.out) == (6, "")
    assert "expected a warrant, got none" in without.err
    unsigned = call("warrant", "submit", folder)
    assert unsigned.code == 5
    assert "expected a signature of somebody who may give it now" in unsigned.out
    for label in ("ambassador-a", "ambassador-b"):
        ran = must(
            "sign", folder / "warrant.json", "--key", embassy.key(label),
            "--passphrase-file", embassy.passphrase, "--yes",
        )  # fmt: skip
        assert "it can" in ran.err
    assert "2 of 5 officials signed, 2 required" in ran.out
    must("warrant", "submit", folder)
    assert "seat 2: released" in must("warrant", "status", folder).out
    few = call("unseal", folder / "unseal-request.json", "--card", embassy.card(2, 1), "--yes")
    assert few.code == 6
    assert "quorum not reached: 0 of 2 groups are complete" in few.err
    assert not (folder / "answer.json").exists()
    cards = [
        part
        for group, member in ((2, 1), (2, 2), (3, 1), (3, 3))
        for part in ("--card", embassy.card(group, member))
    ]
    must("unseal", folder / "unseal-request.json", *cards, "--yes")
    return folder


def _over_lines(embassy: Mission, reading: Path, tmp_path: Path) -> None:
    targets = tmp_path / "targets.toml"
    targets.write_text(TARGETS)
    answer = reading / "answer.json"
    ran = must("reconstruct", reading, "--answer", answer, "--targets", targets)
    assert ": PROVEN" in ran.out
    _report_checked(embassy, reading, tmp_path)
    restored = tmp_path / "restored"
    assert (restored / "land" / "deeds.txt").read_text() == "plot 1: Õnne Põder\n" * 5000
    (restored / "land" / "deeds.txt").write_text("plot 1: somebody else\n")
    altered = call("reconstruct", reading, "--answer", answer, "--targets", targets, "--json")
    assert altered.code == 1
    assert altered.json["proven"] is False


def _report_checked(embassy: Mission, reading: Path, tmp_path: Path) -> None:
    report = reading / "report.json"
    checked = must("verify-report", report, "--charter", embassy.charter, "--json").json
    assert checked["proven"] is True
    envelope = parse_envelope(report.read_bytes())
    other = tmp_path / "report.json"
    payload = envelope.payload.replace(b'"packs":', b'"packs":1', 1)
    other.write_bytes(replace(envelope, payload=payload).to_bytes())
    arguments = ("--charter", embassy.charter, "--warrant", reading / "warrant.json")
    altered = call("verify-report", other, *arguments)
    assert altered.code == 6
    assert "signature" in altered.err
    other.write_bytes(replace(envelope, signatures=()).to_bytes())
    assert "the warrant's reader" in call("verify-report", other, *arguments).err
    payload = envelope.payload.replace(checked["deposit"].encode(), b"00" * 16)
    other.write_bytes(replace(envelope, payload=payload).to_bytes())
    assert call("verify-report", other, *arguments).code == 6


def _from_disks(embassy: Mission, reading: Path, tmp_path: Path) -> None:
    for seat in list(embassy.servers):
        embassy.stop(seat)
    other = tmp_path / "other"
    other.mkdir()
    (other / "targets.toml").write_text(TARGETS)
    shutil.rmtree(reading / "state")
    folders = [part for seat in (2, 3) for part in ("--vault-folder", embassy.vault(seat))]
    must(
        "reconstruct", reading, "--answer", reading / "answer.json",
        "--targets", other / "targets.toml", "--register", "births", "--no-network", *folders,
    )  # fmt: skip
    assert (other / "restored" / "births" / "births.db").is_file()
    assert not (other / "restored" / "land").exists()
