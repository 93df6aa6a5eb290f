"""Makes `tests/fixtures/v1/`: one small mission in the formats of version 1, frozen for ever.

`python -m tools.make_fixture_v1`. It refuses when the folder is there: whatever the code becomes,
it must go on reading what this wrote once (DESIGN 9), so nothing is ever made again over it. While
format version 1 is not released, a change of format needs a decision record and a fixture of its
own (`tests/fixtures/README.md`).

The mission: 2-of-3, two deposits at all seats, a third while seat 3 was away; registers of files,
of an SQLite file, of a PostgreSQL 16 database, and of a folder and a program's output together.
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
from datetime import timedelta
from pathlib import Path

import apsw

from exclave import clock
from exclave.demo.founding import READERS_ABROAD
from exclave.demo.postgres import PostgresServer, start_server
from exclave.durable import replace_file
from exclave.ids import Seat
from exclave.plan import CommandSource, FilesSource
from exclave.reconstruct.warranting import attach_warrant, load_reader, prepare_warrant
from exclave.signer.interface import sign_envelope
from exclave.source.postgresql import PostgresConfig
from exclave.wiring.officials import store_charters
from tests.support.embassy import Embassy, found_embassy, planned_register, postgres_register

ROOT = Path(__file__).resolve().parent.parent
FIXTURE = ROOT / "tests" / "fixtures" / "v1"
LARGEST = 600 * 1024
DATABASE = "register_v1"
SCHEMA = r"""
CREATE TABLE public.person (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, share numeric,
  area double precision, at timestamptz, born date, doc jsonb, tags text[], seal bytea,
  twice numeric GENERATED ALWAYS AS (share * 2) STORED);
INSERT INTO public.person (name, share, area, at, born, doc, tags, seal) VALUES
  (E'Õnne\tPõder\\N', 1.00, 'NaN', '2000-02-29 00:00:00.000001+00', '0044-03-15 BC',
   '{"b": [1e400, "\u00e9"]}', ARRAY['', NULL, 'a"b\c'], '\x00ff5c0a'),
  ('', 'NaN', '-0', 'infinity', '-infinity', 'null', '{}', ''),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.person (name, share)
  SELECT 'person ' || g, g / 7.0 FROM generate_series(1, 500) g;
CREATE TABLE public.office (code text, year int, name text, PRIMARY KEY (code, year));
INSERT INTO public.office SELECT chr(65 + g % 26) || g, 1990 + g % 30, 'o' || g
  FROM generate_series(1, 100) g;
CREATE TABLE public.entry (who text, what int);
INSERT INTO public.entry SELECT 'same', g % 3 FROM generate_series(1, 50) g;
INSERT INTO public.entry VALUES (NULL, 1), ('', 1);
CREATE TABLE public.parcel (k int NOT NULL, at date NOT NULL, PRIMARY KEY (k, at))
  PARTITION BY RANGE (at);
CREATE TABLE public.parcel_old PARTITION OF public.parcel
  FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE public.parcel_new PARTITION OF public.parcel
  FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
INSERT INTO public.parcel SELECT g, date '2019-06-01' + g FROM generate_series(1, 400) g;
CREATE SEQUENCE public.docket START 100;
SELECT count(nextval('public.docket')) FROM generate_series(1, 5);
CREATE VIEW public.recent AS SELECT id, name FROM public.person WHERE id > 400;
SELECT lo_from_bytea(90001, decode(repeat('ab', 3000), 'hex'));
"""


def main() -> int:
    """Make the fixture; 1 when it is there already or too large."""
    if FIXTURE.exists():
        print(f"{FIXTURE.relative_to(ROOT)}: expected no such folder, got one: never made again")
        return 1
    with tempfile.TemporaryDirectory(prefix="exclave-fixture-") as name:
        folder = Path(name)
        server = start_server(16, folder / "pg")
        try:
            expected = _make(folder, server)
        finally:
            server.remove()
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


def _make(folder: Path, server: PostgresServer) -> dict[str, object]:
    with server.connect() as session:
        session.execute(f"CREATE DATABASE {DATABASE}".encode())
    with server.connect(DATABASE) as session:
        session.execute(SCHEMA.encode())
    with found_embassy(folder / "embassy") as embassy:
        _write_registers(embassy, server)
        deposits = [embassy.deposit()]
        (embassy.home / "registers" / "scans" / "deed-3.txt").write_text("plot 3: sold\n")
        deposits.append(embassy.deposit())
        survey = embassy.survey()
        _authorise(embassy, folder / "reading")
        kept = _fingerprints(embassy.home / "registers")
        embassy.stop_vault(3)
        (embassy.home / "registers" / "scans" / "late.txt").write_text("while seat 3 was away\n")
        deposits.append(embassy.deposit([embassy.registers[0]]))
        receipts = _receipts(embassy)
        for seat in (1, 2):
            embassy.stop_vault(seat)
        _collect(embassy, folder, receipts)
        return {
            "mission": embassy.mission.hex(),
            "deposits": [item.entry.deposit.hex() for item in deposits],
            "records": [record.statement_hash.hex() for record in reversed(survey.records)],
            "reconstructed": deposits[1].entry.deposit.hex(),
            "files": kept,
            "rows": deposits[1].entry.to_json()["registers"],
            "recovery_key": embassy.charter.recovery[-1].key_hash.hex(),
        }


def _write_registers(embassy: Embassy, server: PostgresServer) -> None:
    embassy.write_registers(mib=0.02)
    scans = embassy.home / "registers" / "scans"
    for number in range(4):
        (scans / f"deed-{number}.txt").write_text(f"plot {number}: Õnne Põder\n" * 20)
    (scans / "latest").symlink_to("deed-3.txt")
    os.link(scans / "deed-0.txt", scans / "same-as-0")
    with (scans / "sparse").open("wb") as stream:
        stream.seek(2**20)
        stream.write(b"after a hole")
    config = PostgresConfig(
        databases=(DATABASE,),
        host=server.host,
        port=server.port,
        user=server.user,
        password_file=server.passfile,
    )
    embassy.add_register(postgres_register("persons", config))
    cadastre = embassy.home / "registers" / "cadastre"
    for name, text in (("plans/plan.txt", "plot 1: 7 ha\n"), ("extract/extract.txt", "7 ha\n")):
        (cadastre / name).parent.mkdir(parents=True)
        (cadastre / name).write_text(text)
    embassy.add_register(
        planned_register(
            "cadastre",
            FilesSource(kind="files", name="plans", path=str(cadastre / "plans")),
            CommandSource(
                kind="command",
                name="extract",
                command=("cat", "extract/extract.txt"),
                file="extract.txt",
                folder=str(cadastre),
            ),
        )
    )


def _fingerprints(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by path below the registers' folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }


def _authorise(embassy: Embassy, folder: Path) -> None:
    """A reading of the newest deposit, signed; its warrant outlives everybody who reads this."""
    survey = embassy.survey()
    record = survey.newest
    reader = prepare_warrant(
        folder,
        charter=embassy.charter,
        record=record,
        live=survey.live(record),
        records=survey.path(record),
        deposits=(record.deposit,),
        purpose="a fixture",
        life=timedelta(days=365 * 100),
        now=clock.now(),
        random=os.urandom,
    )
    warrant = reader.warrant
    for label in READERS_ABROAD:
        warrant = sign_envelope(warrant, embassy.officials[label].signers)
    replace_file(folder / "warrant.json", [warrant.to_bytes()], mode=0o600)
    attach_warrant(load_reader(folder))
    replace_file(folder / "charter.json", [embassy.envelope.to_bytes()], mode=0o600)
    store_charters(folder, [embassy.envelope])
    for seat in (1, 2, 3):
        embassy.await_release(seat, warrant)


def _receipts(embassy: Embassy) -> dict[str, str]:
    journal = apsw.Connection(str(embassy.home / "state" / "journal.db"))
    rows = journal.execute("SELECT sequence, seat, receipt FROM lodgings").fetchall()
    journal.close()
    return {f"record-{sequence}-seat-{seat}.txt": str(text) for sequence, seat, text in rows}


def _collect(embassy: Embassy, folder: Path, receipts: dict[str, str]) -> None:
    packed = folder / "packed"
    packed.mkdir()
    for seat in (Seat(1), Seat(2), Seat(3)):
        # The index is no format: every version makes its own from the objects.
        index = shutil.ignore_patterns("state.db*")
        vault = packed / "vaults" / f"vault-{seat}"
        shutil.copytree(embassy.vault_folder(seat), vault, ignore=index)
    shutil.copytree(folder / "reading", packed / "reading")
    shutil.copytree(embassy.home / "keys", packed / "home" / "keys")
    shutil.copytree(embassy.home / "state", packed / "home" / "state")
    mission = embassy.folder / "founding" / "mission"
    for name in ("charter.json", "annex.json", "annex.sealed"):
        shutil.copy(mission / name, packed / name)
    cards = packed / "cards"
    cards.mkdir()
    for group in (2, 3):
        for member in (1, 2):
            name = f"card-{group}-{member}.txt"
            shutil.copy(embassy.folder / "cards" / name, cards / name)
    (packed / "receipts").mkdir()
    for name, text in receipts.items():
        (packed / "receipts" / name).write_text(text)


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
