"""The frozen fixture of format version 1 comes back with today's code, and with the reader alone.

It was made once (`tools/make_fixture_v1.py`) and is never made again: when a test fails here, a
format was broken (tests/fixtures/README.md). No network: two vaults' folders and the cards do.
"""

from __future__ import annotations

import hashlib
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from exclave.clock import now
from exclave.postgres_server.server import PostgresServer
from exclave.wiring import reader as wiring_reader
from tests.scripts.conftest import must
from tests.support.fixture_v1 import EXPECTED, cards, no_network, read, unpack, vaults
from tools.make_fixture_v1 import FIXTURE, main

FILES = ("scans", "gazette", "cadastre")
FOLDER = '[default.folder]\nkind = "folder"\npath = "restored"\n'


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """The fixture's folder as it was packed."""
    return unpack(tmp_path / "v1")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reached."""
    no_network(monkeypatch)


def test_it_was_not_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    data = (FIXTURE / "embassy.tar.xz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == EXPECTED["sha256"]
    assert main() == 1
    assert "never made again" in capsys.readouterr().out


# Reconstruction


def _reconstruct(v1: Path, seats: tuple[int, ...], *extra: object, targets: str) -> Path:
    """Unseal with the cards and reconstruct from the folders; the folder of targets."""
    reading = v1 / "reading"
    given = [part for card in cards(v1) for part in ("--card", card)]
    must("unseal", reading / "unseal-request.json", *given, "--out", v1 / "answer.json", "--yes")
    (v1 / "targets.toml").write_text(targets)
    folders = [part for folder in vaults(v1, *seats) for part in ("--vault-folder", folder)]
    ran = must(
        "reconstruct", reading, "--answer", v1 / "answer.json",
        "--targets", v1 / "targets.toml", "--no-network", *folders, *extra, "--json",
    )  # fmt: skip
    assert ran.json["proven"] is True
    assert ran.json["mission"] == EXPECTED["mission"]
    assert ran.json["deposit"] == EXPECTED["reconstructed"]
    counted = {item["id"]: item["rows"] for item in ran.json["registers"]}
    planned = {item["id"]: item["rows"] for item in EXPECTED["rows"]}
    assert counted == {name: planned[name] for name in counted}
    return v1 / "restored"


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
    folders = vaults(v1, 1, 3)
    assert EXPECTED["mission"] in read("list", *folders)
    deposit = ["--mission", EXPECTED["mission"], "--deposit", EXPECTED["reconstructed"]]
    read("extract", "--cards", *cards(v1), "--out", v1 / "out", *deposit, *folders)
    [found] = {path.parent for path in (v1 / "out").rglob("VERDICT.txt")}
    got = {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in found.rglob("*")
        if file.is_file() and not file.is_symlink()
    }
    assert set(EXPECTED["files"].values()) <= got
    assert len(list(found.rglob("*.copy"))) == 5
