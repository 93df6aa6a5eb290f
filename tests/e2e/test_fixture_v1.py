"""The frozen fixture of format version 1 comes back with today's code, and with the reader alone.

It was made once (`tools/make_fixture_v1.py`) and is never made again: when a test fails here, a
format was broken (tests/fixtures/README.md). No network: two vaults' folders and the cards do.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import tarfile
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from exclave.authority.annex import parse_annex, verify_annex
from exclave.authority.card import parse_card
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.envelope import parse_envelope
from exclave.authority.warrant import verify_warrant
from exclave.certificate.receipts import verify_seat_receipt
from exclave.clock import now
from exclave.deposit.catalogue import Catalogue
from exclave.dispersal.sealed_shard import parse_sealed_shard, unseal_shard
from exclave.ids import MissionId, Seat, ShardRoot
from exclave.journal.store import Journal
from exclave.ledger.entry import EntryType
from exclave.lines import LoopThread
from exclave.postgres_server.server import PostgresServer
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import unseal_annex
from exclave.shares import read_share, recombine
from exclave.signer.file import load_key_file
from exclave.vault.folder import FolderVault
from exclave.vault.survey import MissionView, survey
from exclave.wiring import reader as wiring_reader
from tests.scripts.conftest import call, free_ports, must
from tools.make_fixture_v1 import FIXTURE, main

FROZEN: Final = "b6647e6fe3d36878000f83e1b34f406ea8ca45e47ee6247b9c519d9467683932"
READER = Path(__file__).resolve().parents[2] / "reader" / "exclave_reader.py"
SEATS = (1, 2, 3)
CARDS = ((2, 1), (2, 2), (3, 1), (3, 2))
EXPECTED: Final[dict[str, Any]] = json.loads((FIXTURE / "expected.json").read_text("utf-8"))
MISSION: Final = MissionId(bytes.fromhex(EXPECTED["mission"]))


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """The fixture's folder as it was packed."""
    folder = tmp_path / "v1"
    with tarfile.open(FIXTURE / "embassy.tar.xz") as archive:
        # Our own archive, pinned by its hash, with modes kept; an attribute instead of an argument,
        # since Python before 3.11.4 knows no filters.
        archive.extraction_filter = lambda member, path: member
        archive.extractall(folder)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tries to reach a vault of the fixture fails."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX, f"expected no connection, got one to {address}"
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


def _charter(v1: Path) -> Charter:
    return verify_chain([parse_envelope((v1 / "charter.json").read_bytes())], MISSION).newest


def _survey(v1: Path, seats: tuple[int, ...] = SEATS) -> MissionView:
    folders = [v1 / "vaults" / f"vault-{seat}" / "missions" / MISSION.hex() for seat in seats]
    loop = LoopThread()
    try:
        return loop.run(survey([FolderVault(folder, MISSION) for folder in folders], MISSION))
    finally:
        loop.close()


def _recovery(v1: Path) -> XWingPrivateKey:
    texts = ((v1 / "cards" / f"card-{g}-{m}.txt").read_text() for g, m in CARDS)
    return XWingPrivateKey.from_seed(recombine([read_share(parse_card(t).words) for t in texts]))


def test_it_was_not_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    data = (FIXTURE / "embassy.tar.xz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == EXPECTED["sha256"] == FROZEN
    assert main() == 1
    assert "never made again" in capsys.readouterr().out


# Reconstruction


def _reconstruct(v1: Path, seats: tuple[int, ...], *extra: object, targets: str) -> Path:
    """Unseal with the cards and reconstruct from the folders; the folder of targets."""
    reading = v1 / "reading"
    cards = [part for g, m in CARDS for part in ("--card", v1 / "cards" / f"card-{g}-{m}.txt")]
    must("unseal", reading / "unseal-request.json", *cards, "--yes")
    (v1 / "targets.toml").write_text(targets)
    folders = [p for seat in seats for p in ("--vault-folder", v1 / "vaults" / f"vault-{seat}")]
    ran = must(
        "reconstruct", reading, "--answer", reading / "answer.json",
        "--targets", v1 / "targets.toml", "--no-network", *folders, *extra, "--json",
    )  # fmt: skip
    assert ran.json["proven"] is True
    assert ran.json["mission"] == EXPECTED["mission"]
    assert ran.json["deposit"] == EXPECTED["reconstructed"]
    counted = {item["id"]: item["rows"] for item in ran.json["registers"]}
    planned = {item["id"]: item["rows"] for item in EXPECTED["rows"]}
    assert counted == {name: planned[name] for name in counted}
    return v1 / "restored"


FILES = ("scans", "gazette", "cadastre")
FOLDER = '[default.folder]\nkind = "folder"\npath = "restored"\n'


@pytest.mark.parametrize("seats", [(1, 2), (1, 3), (2, 3)])
def test_files_and_sqlite(v1: Path, seats: tuple[int, int]) -> None:
    shutil.rmtree(v1 / "home")
    restored = _reconstruct(
        v1, seats, *(word for name in FILES for word in ("--register", name)), targets=FOLDER
    )
    got = _fingerprints(restored / "scans", "scans/") | _fingerprints(restored / "gazette", "")
    got |= _fingerprints(restored / "cadastre", "cadastre/")
    assert got == EXPECTED["files"]


def test_in_fifty_years(v1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that disks and cards need ever expires."""
    later = now() + timedelta(days=50 * 365)
    monkeypatch.setattr(wiring_reader, "now", lambda: later)
    restored = _reconstruct(v1, (2, 3), "--register", "gazette", targets=FOLDER)
    assert (restored / "gazette" / "gazette.sqlite").is_file()


def _fingerprints(folder: Path, prefix: str) -> dict[str, str]:
    return {
        prefix + str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }


@pytest.mark.postgres
def test_the_whole_with_its_database(v1: Path, pg18: PostgresServer) -> None:
    server = (
        f'[default.postgresql]\nkind = "postgresql"\nhost = "{pg18.host}"\nport = {pg18.port}\n'
        f'user = "{pg18.user}"\npassword_file = "{pg18.passfile}"\n'
    )
    try:
        _reconstruct(v1, (2, 3), targets=FOLDER + server)
        with pg18.connect("register_v1") as session:
            row = session.execute(
                "SELECT name, share::text, area::text, at::text, born::text, encode(seal, 'hex')"
                " FROM public.person WHERE id = 1"
            ).fetchone()
            docket = session.execute("SELECT last_value FROM public.docket").fetchone()
    finally:
        with pg18.connect() as session:
            session.execute("DROP DATABASE IF EXISTS register_v1 WITH (FORCE)")
    assert row is not None
    assert row[:3] == ("Õnne\tPõder\\N", "1.00", "NaN")
    assert row[4:] == ("0044-03-15 BC", "00ff5c0a")
    assert docket == (104,)


def test_the_standalone_reader(v1: Path) -> None:
    """It needs two folders and the cards, and says the same."""
    shutil.rmtree(v1 / "home")
    shutil.rmtree(v1 / "reading")
    folders = [v1 / "vaults" / f"vault-{seat}" for seat in (1, 3)]
    assert EXPECTED["mission"] in _read("list", *folders)
    cards = [v1 / "cards" / f"card-{g}-{m}.txt" for g, m in CARDS]
    deposit = ["--deposit", EXPECTED["reconstructed"]]
    _read("extract", "--cards", *cards, "--out", v1 / "out", *deposit, *folders)
    [found] = {path.parent for path in (v1 / "out").rglob("VERDICT.txt")}
    got = {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in found.rglob("*")
        if file.is_file() and not file.is_symlink()
    }
    assert set(EXPECTED["files"].values()) <= got
    assert len(list(found.rglob("*.copy"))) == 5
    _read("verify-receipt", v1 / "receipts" / "record-2-seat-1.txt", folders[0])


def _read(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-I", str(READER), *map(str, arguments)],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# What else is in it


def test_charter_annex_and_cards(v1: Path) -> None:
    charter = _charter(v1)
    recovery = _recovery(v1)
    assert recovery.public.key_hash.hex() == EXPECTED["recovery_key"]
    names = (v1 / "annex.json").read_bytes()
    verify_annex(parse_annex(names), charter)
    assert unseal_annex(recovery, (v1 / "annex.sealed").read_bytes()) == names
    for group, member in CARDS:
        card = parse_card((v1 / "cards" / f"card-{group}-{member}.txt").read_text())
        assert (card.mission, card.group, card.member) == (MISSION, group, member)
    warrant = parse_envelope((v1 / "reading" / "warrant.json").read_bytes())
    assert verify_warrant(warrant, charter).mission == MISSION


def test_logs_records_and_receipts(v1: Path) -> None:
    view = _survey(v1)
    assert [seat.verified for seat in view.seats] == [True, True, True]
    deposits = {item.deposit.hex(): item for item in view.deposits}
    assert set(deposits) == set(EXPECTED["deposits"])
    lodged = [len(deposits[name].lodged) for name in EXPECTED["deposits"]]
    assert lodged == [3, 3, 2]
    records = [deposits[name].statement.hex() for name in EXPECTED["deposits"]]
    assert records[:2] == EXPECTED["records"]
    assert len(view.warrants) == 1
    charter = _charter(v1)
    receipts = sorted((v1 / "receipts").iterdir())
    assert len(receipts) == 8
    for file in receipts:
        _, number, _, seat = file.stem.split("-")
        found = verify_seat_receipt(file.read_bytes(), [charter])
        got, entry = found.seat, found.entry
        assert got == Seat(int(seat))
        assert entry.type is EntryType.LODGED
        envelope = deposits[EXPECTED["deposits"][int(number) - 1]].envelope
        assert entry.hash == hashlib.sha256(envelope.to_bytes()).digest()


def test_the_depositors_journal_and_catalogue(v1: Path) -> None:
    state = v1 / "home" / "state"
    charter = _charter(v1)
    keys = load_key_file(v1 / "home" / "keys" / "keys.json")
    journal = Journal.open(
        state / "journal.db", mission=MISSION, depositor=keys.id, epoch=charter.current_epoch.epoch
    )
    try:
        assert journal.chunk_count() == 1  # of the packs that are still shared
        assert [row.sequence for row in journal.records()] == [3, 2, 1]
        late = {root.hex() for _, root in journal.late_shards(Seat(3))}
        live = journal.live_roots()
    finally:
        journal.close()
    catalogue = Catalogue(state / "catalogue")
    assert [entry.deposit.hex() for entry in catalogue.entries()] == EXPECTED["deposits"]
    packs = {pack.root: pack for pack in catalogue.packs()}
    assert live <= set(packs)
    assert sum(len(pack.chunks) for pack in packs.values()) > 10
    spooled = {file.name: file for file in (state / "spool" / "3").iterdir()}
    assert set(spooled) == late
    seat = load_key_file(v1 / "vaults" / "vault-3" / "keys" / "vault.key").keys[1].xwing
    for name, file in spooled.items():
        root = ShardRoot(bytes.fromhex(name))
        assert unseal_shard(parse_sealed_shard(file.read_bytes()), seat, root).root == root


@pytest.mark.parametrize("seat", SEATS)
def test_a_host_opens_its_vault(v1: Path, seat: int) -> None:
    """The folder is checked, its index made from the objects, its state shown."""
    vault = v1 / "vaults" / f"vault-{seat}"
    report = must("vault", "fsck", vault, "--rebuild", "--json").json["missions"][0]
    assert report["bad"] == []
    assert report["shards"] == (4 if seat == 3 else 6)
    [shown] = must("vault", "status", vault, "--json").json["missions"]
    assert shown["records"]["lodged"] == (2 if seat == 3 else 3)
    assert shown["mission"] == EXPECTED["mission"]
    assert shown["forks"] == []
    # A seat for another guest makes it a folder of the second format, with the first one's mission.
    must("vault", "seat", vault, "guest", "--data", "127.9.9.9:1", "--public", "127.9.9.9:2")
    assert (vault / "VAULT").read_bytes() == b"exclave vault v2\n"
    [again] = must("vault", "status", vault, "--json").json["missions"]
    assert again["records"] == shown["records"]


def test_todays_server_takes_the_folder(v1: Path) -> None:
    vault = v1 / "vaults" / "vault-1"
    data, public = free_ports(2)
    (vault / "vault.toml").write_text(f'data = "127.0.0.1:{data}"\npublic = "127.0.0.1:{public}"\n')
    server = subprocess.Popen(
        [sys.executable, "-m", "exclave", "vault", "serve", str(vault)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert "ready" in json.loads(server.stdout.readline())
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert server.returncode == 0


def test_the_host_verifies_a_receipt(v1: Path) -> None:
    receipt = v1 / "receipts" / "record-1-seat-2.txt"
    ran = call("verify-receipt", receipt, "--charter", v1 / "charter.json")
    assert ran.out.startswith("valid: seat 2 logged a lodged entry"), ran
