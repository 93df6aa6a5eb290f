"""Makes `tests/fixtures/v1/`: a small mission with one of everything in the formats of version 1.

`python -m tools.make_fixture_v1`. It refuses when the folder is there: whatever the code becomes,
it must go on reading what this wrote once (DESIGN 9), so nothing is ever made again over it. While
format version 1 is not released `tools.release` takes the folder away first, after that nobody
(`tests/fixtures/README.md`).

The mission: 2-of-3 with two safes; registers of files, of an SQLite file, of a PostgreSQL 16
database, and of a folder and a program's output together. Two deposits at all vaults, the second
proven and rehearsed; a charter that seats a sixth, a lockdown, an era of exile and its end; a third
deposit while vault 3 was away. Besides a second guest's seat in vault 1's installation.
`embassy.tar.xz` holds everything with modes and empty folders, as git would not keep them;
`expected.json` says what must come back.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from exclave import clock
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.demo.founding import READERS_ABROAD
from exclave.durable import replace_file
from exclave.ids import Seat
from exclave.postgres_server.server import PostgresServer, start_server
from exclave.reconstruct.warranting import attach_warrant, load_reader, prepare_warrant
from exclave.signer.interface import sign_envelope
from exclave.wiring.officials import store_charters
from tests.e2e.test_succession import amended, run_program
from tests.scripts.conftest import must
from tests.support.embassy import Embassy, TestVault, found_at, free_ports, seat_beside
from tools.fixture_v1 import home, keeping, law

ROOT = Path(__file__).resolve().parent.parent
FIXTURE = ROOT / "tests" / "fixtures" / "v1"
LARGEST = 3 * 2**20
SAFES = (4, 5)
JOINS = 6


def main() -> int:
    """Make the fixture; 1 when it is there already or too large."""
    if FIXTURE.exists():
        print(f"{FIXTURE.relative_to(ROOT)}: expected no such folder, got one: never made again")
        return 1
    with tempfile.TemporaryDirectory(prefix="exclave-fixture-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = []
        for place in ("source", "quarantine"):
            servers.append(start_server(16, folder / place))
            stack.callback(servers[-1].remove)
        expected = _make(folder, *servers)
        data = _pack(folder / "packed")
    if len(data) > LARGEST:
        print(f"fixture: expected at most {LARGEST} bytes, got {len(data)}")
        return 1
    FIXTURE.mkdir(parents=True)
    (FIXTURE / "embassy.tar.xz").write_bytes(data)
    expected["sha256"] = hashlib.sha256(data).hexdigest()
    text = json.dumps(expected, indent=1, sort_keys=True, ensure_ascii=False)
    (FIXTURE / "expected.json").write_text(text + "\n", encoding="utf-8")
    print(f"{FIXTURE.relative_to(ROOT)}: {len(data)} bytes")
    return 0


def _make(folder: Path, source: PostgresServer, quarantine: PostgresServer) -> dict[str, object]:
    with source.connect() as session:
        session.execute(f"CREATE DATABASE {home.DATABASE}".encode())
    with source.connect(home.DATABASE) as session:
        session.execute(home.SCHEMA.encode())
    place = folder / "embassy"
    ports = free_ports(10)
    vaults: dict[Seat, TestVault] = {
        Seat(n): law.host_vault(place, n, (ports[2 * n - 2], ports[2 * n - 1]), safe=n in SAFES)
        for n in (1, 2, 3, *SAFES)
    }
    with found_at(place, vaults, k=2, h=2, whole_bags=True) as embassy:
        for seat in (1, 2, 3):
            embassy.start_vault(seat)
        home.write_registers(embassy)
        config = home.write_files(embassy.home, source, quarantine)
        deposits = [_deposit(config), _change(embassy, config)]
        fingerprints = _fingerprints(embassy.home / "registers")
        first = embassy.survey().records[-1].packs_added
        unused = next(pack.root for pack in first if pack.kind.name == "MANIFEST")
        law.agree(embassy)
        law.order(embassy, unused)
        _grow(embassy)
        law.supplement(embassy, Seat(JOINS), unused)
        _open_era(embassy)
        warrant = _authorise(embassy, folder / "reading", deposits[-1])
        keeping.drill(embassy, folder / "reading", config, quarantine)
        embassy.stop_vault(3)
        (embassy.home / "registers" / "scans" / "late.txt").write_text("while seat 3 was away\n")
        deposits.append(_deposit(config, "scans"))
        must("certificate", "make", "--log", "-c", config, "--out", folder / "standing.json")
        keeping.carry(embassy, folder / "bags", config)
        keeping.receipts(embassy, folder / "receipts")
        keeping.remember(embassy)
        keeping.keep_keys(embassy, folder / "keys", warrant)
        records = embassy.survey([1]).records
        for seat in embassy.running():
            embassy.stop_vault(seat)
        guest = _guest(embassy, folder / "guest")
        home.write_files(embassy.home)
        _collect(embassy, folder)
        return {
            "mission": embassy.mission.hex(),
            "guest": guest,
            "deposits": deposits,
            "records": [record.statement_hash.hex() for record in reversed(records)],
            "reconstructed": deposits[1],
            "files": fingerprints,
            "rows": _rows(config, deposits[1]),
            "recovery_key": embassy.charter.recovery[-1].key_hash.hex(),
        }


def _deposit(config: Path, *words: str) -> str:
    return str(must("deposit", *words, "-c", config, "--json").json["deposit"])


def _change(embassy: Embassy, config: Path) -> str:
    """The second deposit: one file is another, and all of it is proven."""
    (embassy.home / "registers" / "scans" / "deed-3.txt").write_text("plot 3: sold\n")
    return _deposit(config, "--prove")


def _rows(config: Path, deposit: str) -> list[dict[str, object]]:
    catalogue = config.parent / "state" / "catalogue"
    found = [json.loads(file.read_bytes()) for file in catalogue.glob("*/deposit.json")]
    (entry,) = [item for item in found if item["deposit"] == deposit]
    rows: list[dict[str, object]] = entry["registers"]
    return rows


def _fingerprints(folder: Path) -> dict[str, str]:
    """SHA-256 of every captured file, by path below the registers' folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for name in ("scans", "cadastre", "gazette.sqlite")
        for file in sorted([folder / name, *(folder / name).rglob("*")])
        if file.is_file() and not file.is_symlink()
    }


def _grow(embassy: Embassy) -> None:
    """The second charter seats a vault more, which learns what took effect before."""
    folder = embassy.folder
    port = free_ports(2)
    joins = law.host_vault(folder, JOINS, (port[0], port[1]))
    joins.create()
    embassy.vaults[joins.seat] = joins
    shutil.copy(joins.folder / "seat-request.json", folder / f"request-{JOINS}.json")
    amended(embassy, law.GROWN)
    charter, out = folder / "in-force.json", folder / "enrolments"
    charter.write_bytes(embassy.envelope.to_bytes())
    run_program("charter", "enrolments", "--charter", str(charter), "--out", str(out))
    embassy.enrol_vault(JOINS, out / f"vault-{JOINS}.json")
    embassy.start_vault(JOINS)


def _open_era(embassy: Embassy) -> None:
    """A consul locks down, exile opens an era with what stood, and ends the lockdown."""
    lockdown = law.lock_down(embassy)
    amended(embassy, "", signers=(*law.GOVERN, *law.EXILE), era=True)
    law.unlock(embassy, lockdown)


def _authorise(embassy: Embassy, folder: Path, deposit: str) -> Envelope:
    """A reading of a deposit, signed; its warrant outlives everybody who reads this."""
    survey = embassy.survey([1])
    (record,) = [item for item in survey.records if item.deposit.hex() == deposit]
    reader = prepare_warrant(
        folder,
        charter=embassy.charter,
        record=record,
        live=survey.live(record),
        records=survey.path(record),
        deposits=(record.deposit,),
        purpose="a fixture",
        life=law.CENTURY,
        now=clock.now(),
        random=os.urandom,
    )
    warrant = reader.warrant
    for label in READERS_ABROAD:
        warrant = sign_envelope(warrant, embassy.officials[label].signers)
    replace_file(folder / "warrant.json", [warrant.to_bytes()], mode=0o600)
    attach_warrant(load_reader(folder))
    replace_file(folder / "charter.json", [embassy.envelope.to_bytes()], mode=0o600)
    store_charters(folder, _charters(embassy))
    for seat in embassy.running():
        embassy.await_release(seat, warrant)
    return warrant


def _charters(embassy: Embassy) -> Sequence[Envelope]:
    """All of the chain, in its order."""
    files = ("founding/mission/charter.json", "charter-2/charter.json", "era/charter.json")
    return [parse_envelope((embassy.folder / file).read_bytes()) for file in files]


def _guest(embassy: Embassy, folder: Path) -> str:
    """A second guest's mission at vault 1: the installation's folder has two seats."""
    port = free_ports(2)
    host = embassy.vaults[Seat(1)]
    address = type(host.address)(data=f"127.0.0.1:{port[0]}", public=f"127.0.0.1:{port[1]}")
    seats = {Seat(1): seat_beside(host, "guest", address)}
    with found_at(folder, seats, k=1) as guest:
        guest.processes = True  # the installation, with the seats of both guests
        guest.start_vault(1)
        guest.write_registers(mib=0.01)
        guest.deposit([guest.registers[1]])
        guest.stop_vault(1)
        # As `exclave vault seat` says; a test's seat does not.
        (host.folder / "VAULT").write_bytes(b"exclave vault v2\n")
        shutil.copytree(guest.folder / "cards", folder / "kept" / "cards")
        shutil.copy(guest.folder / "founding" / "mission" / "charter.json", folder / "kept")
        return guest.mission.hex()


def _collect(embassy: Embassy, folder: Path) -> None:
    packed = folder / "packed"
    packed.mkdir()
    keeping.copy_vaults(embassy, packed / "vaults")
    for name in ("keys", "state"):
        shutil.copytree(embassy.home / name, packed / "home" / name)
    for name in ("deposit.toml", "registers.toml", "agent.toml"):
        shutil.copy(embassy.home / name, packed / "home" / name)
    for name in ("reading", "bags", "receipts", "keys"):
        shutil.copytree(folder / name, packed / name)
    shutil.copytree(folder / "guest" / "kept", packed / "guest")
    shutil.copy(folder / "standing.json", packed / "standing.json")
    shutil.copy(embassy.folder / "founding" / "mission" / "annex.json", packed)
    shutil.copy(embassy.folder / "founding" / "mission" / "annex.sealed", packed)
    store_charters(packed, _charters(embassy))
    cards = packed / "cards"
    cards.mkdir()
    for group, member in keeping.CARDS:
        name = f"card-{group}-{member}.txt"
        shutil.copy(embassy.folder / "cards" / name, cards / name)


def _pack(folder: Path) -> bytes:
    """A compressed tar, sorted, without owners or times."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            entry = archive.gettarinfo(path, str(path.relative_to(folder)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            if entry.isfile():
                with path.open("rb") as stream:
                    archive.addfile(entry, stream)
            else:
                archive.addfile(entry)
    return made.getvalue()


if __name__ == "__main__":
    sys.exit(main())
