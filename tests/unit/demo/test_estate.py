"""The estate holds together, is the same for the same seed, and changes when a day passes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from exclave.demo.estate import (
    CAPTURE_ROLE,
    Estate,
    FilesSource,
    PostgresSource,
    SqliteSource,
    advance_estate,
)
from exclave.demo.estate.build import GENERATORS
from exclave.demo.estate.law import case_ids, filings, state_gazette
from exclave.demo.estate.scans import deed_body, deed_digests, write_scans
from exclave.demo.estate.world import make_world

pytestmark = pytest.mark.postgres


def _databases(estate: Estate) -> list[PostgresSource]:
    return [r.source for r in estate.registers if isinstance(r.source, PostgresSource)]


def _ask(estate: Estate, dbname: str, query: str) -> Sequence[tuple[object, ...]]:
    with estate.server.connect(dbname) as connection:
        return connection.execute(query).fetchall()


def _folder(estate: Estate) -> Path:
    source = estate.register("land-register-deeds").source
    assert isinstance(source, FilesSource)
    return source.path


def _as_capture(estate: Estate, source: PostgresSource) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        estate.server.conninfo(source.dbname, user=source.user, passfile=source.passfile)
    )


def _digest(seed: int) -> str:
    world = make_world(seed, 0.02)
    digest = hashlib.sha256()
    for generate in GENERATORS.values():
        for rows in generate(world):
            digest.update(rows.table.encode() + rows.data)
    digest.update(repr((filings(world), state_gazette(world))).encode())
    for number in range(3):
        digest.update(deed_body(seed, number))
    return digest.hexdigest()


def test_same_seed_same_bytes() -> None:
    assert _digest(5) == _digest(5)
    assert _digest(5) != _digest(6)


def test_full_size_has_a_million_rows() -> None:
    world = make_world(1, 1.0)
    assert len(world.persons) == len(set(world.persons)) == 90_000
    total = sum(rows.count for generate in GENERATORS.values() for rows in generate(world))
    assert total + state_gazette(world).count >= 1_000_000


def test_plan_entries_are_complete(estate: Estate) -> None:
    ids = [register.id for register in estate.registers]
    assert len(ids) == len(set(ids)) == 11
    assert len(_databases(estate)) == 9
    for place, register in enumerate(estate.registers):
        assert set(register.depends_on) <= set(ids[:place])
        assert register.runbook.read_text(encoding="utf-8").startswith(register.title)
        assert (register.application / "bin" / "serve").is_file()
        assert register.rpo <= register.rto


def test_row_counts_are_those_reported(estate: Estate, tmp_path: Path) -> None:
    assert estate.total_rows > 15_000
    counts = dict(estate.rows)
    assert counts["land-register-deeds"] == 0
    assert min(count for name, count in counts.items() if name != "land-register-deeds") > 400


def test_all_constraints_hold(estate: Estate) -> None:
    for source in _databases(estate):
        rows = _ask(
            estate, source.dbname, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated"
        )
        assert rows == [(0,)]
    found = {
        kind
        for source in _databases(estate)
        for (kind,) in _ask(estate, source.dbname, "SELECT contype::text FROM pg_constraint")
    }
    assert {"c", "f", "p", "u", "x"} <= found


@pytest.mark.parametrize(
    ("register", "query", "home", "keys"),
    [
        ("identity-documents", "SELECT personal_code FROM identity.document", 0, 1),
        ("pension-insurance", "SELECT personal_code FROM pension.insured", 0, 1),
        ("business-register", "SELECT personal_code FROM register.officer", 0, 1),
        ("e-file", "SELECT personal_code FROM e_file.participant", 0, 1),
        (
            "land-register",
            "SELECT owner_code FROM land.ownership WHERE length(owner_code)=11",
            0,
            1,
        ),
        ("land-register", "SELECT cadastral_code FROM land.register_part", 2, 3),
        ("pension-insurance", "SELECT payer_code FROM pension.contribution", 4, 5),
    ],
)
def test_registers_refer_to_each_other(
    estate: Estate, register: str, query: str, home: int, keys: int
) -> None:
    targets = (
        "population_register",
        "SELECT personal_code FROM population.person",
        "land_cadastre",
        "SELECT cadastral_code FROM cadastre.parcel",
        "business_register",
        "SELECT registry_code FROM register.company",
    )
    referring = set(_ask(estate, register.replace("-", "_"), query))
    assert referring
    assert referring <= set(_ask(estate, targets[home], targets[keys]))


def test_features_that_capture_must_know(estate: Estate) -> None:
    """Each named feature occurs; a generator that drops one would make other tests hollow."""
    queries = {
        "table without key": "SELECT 1 FROM pg_class c WHERE relkind = 'r' AND"
        " relnamespace > 16000 AND NOT relispartition AND NOT EXISTS"
        " (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)",
        "materialized view": "SELECT 1 FROM pg_matviews",
        "default partition": "SELECT 1 FROM pg_partitioned_table WHERE partdefid <> 0",
        "hash partition": "SELECT 1 FROM pg_partitioned_table WHERE partstrat = 'h'",
        "row security": "SELECT 1 FROM pg_class WHERE relrowsecurity AND relforcerowsecurity",
        "generated": "SELECT 1 FROM pg_attribute WHERE attgenerated = 's'",
        "identity always": "SELECT 1 FROM pg_attribute WHERE attidentity = 'a'",
        "identity by default": "SELECT 1 FROM pg_attribute WHERE attidentity = 'd'",
        "trigger": "SELECT 1 FROM pg_trigger WHERE NOT tgisinternal",
        "domain": "SELECT 1 FROM pg_type WHERE typtype = 'd' AND typnamespace > 16000",
        "composite": "SELECT 1 FROM pg_class WHERE relkind = 'c' AND relnamespace > 16000",
        "enum": "SELECT 1 FROM pg_enum",
        "large object": "SELECT 1 FROM pg_largeobject_metadata",
        "procedure": "SELECT 1 FROM pg_proc WHERE prokind = 'p' AND pronamespace > 16000",
        "column grant": "SELECT 1 FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid > 16000",
    }
    for feature, query in queries.items():
        assert any(_ask(estate, s.dbname, query) for s in _databases(estate)), feature


def test_awkward_values_arrive(estate: Estate) -> None:
    expected = {
        "population_register": "SELECT 1 FROM population.settlement WHERE founded < '0001-01-01'",
        "identity_documents": "SELECT 1 FROM identity.event_other WHERE happened = 'infinity'",
        "land_cadastre": "SELECT 1 FROM cadastre.parcel WHERE height_m = 'NaN'",
        "land_register": "SELECT 1 FROM land.encumbrance WHERE amount = 'NaN'",
        "pension_insurance": "SELECT 1 FROM pension.insured WHERE units = 'NaN'",
        "e_file": "SELECT 1 FROM e_file.participant WHERE length(statement) > 8000",
        "treasury": "SELECT 1 FROM treasury.payment p GROUP BY p HAVING count(*) > 1",
    }
    for dbname, query in expected.items():
        assert _ask(estate, dbname, query), dbname


def test_capture_role_reads_everything_and_writes_nothing(estate: Estate) -> None:
    for source in _databases(estate):
        assert source.user == CAPTURE_ROLE
        with _as_capture(estate, source) as connection:
            tables = connection.execute(
                "SELECT oid::regclass::text FROM pg_class"
                " WHERE relkind IN ('r', 'p', 'm', 'S', 'v')"
                " AND relnamespace NOT IN ('pg_catalog'::regnamespace,"
                " 'information_schema'::regnamespace, 'pg_toast'::regnamespace)"
            ).fetchall()
            assert len(tables) >= 2
            for (name,) in tables:
                connection.execute(f"SELECT count(*) FROM {name}")
            connection.execute("SELECT length(lo_get(oid)) FROM pg_largeobject_metadata")
        with (
            _as_capture(estate, source) as connection,
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        ):
            connection.execute("CREATE TABLE public.intruder ()")
    identity = estate.register("identity-documents").source
    assert isinstance(identity, PostgresSource)
    with _as_capture(estate, identity) as connection:
        connection.execute("SET row_security = off")
        seen = connection.execute("SELECT count(*) FROM identity.document").fetchone()
    assert [seen] == _ask(estate, identity.dbname, "SELECT count(*) FROM identity.document")


def test_capture_password_is_private_and_hashed(estate: Estate) -> None:
    passfile = estate.folder / "capture.pgpass"
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    password = passfile.read_text().strip().rsplit(":", 1)[1]
    assert password not in estate.server.log_file.read_text()


def test_deeds_are_those_the_register_names(estate: Estate) -> None:
    for path, digest in _ask(
        estate, "land_register", "SELECT scan_path, scan_digest FROM land.deed"
    ):
        assert isinstance(path, str)
        assert hashlib.sha256((_folder(estate) / path).read_bytes()).digest() == digest


def test_folder_holds_every_awkward_kind(tmp_path: Path) -> None:
    world = make_world(3, 0.02)
    write_scans(tmp_path, world)
    assert (tmp_path / "kadunud.scan").readlink() == Path("../olematu/asi")
    assert (tmp_path / "koopia.scan").stat().st_nlink == 2
    sparse = (tmp_path / "kaart.sparse").stat()
    assert sparse.st_blocks * 512 < sparse.st_size // 2
    assert any(b"\xff\xfe" in os.fsencode(path) for path in tmp_path.iterdir())
    assert list((tmp_path / "tühi kaust").iterdir()) == []
    assert min(p.lstat().st_mtime_ns for p in tmp_path.iterdir()) < 0
    assert len(set(deed_digests(world))) == world.deeds


def test_cases_have_filings(estate: Estate) -> None:
    world = make_world(3, 0.02)
    stored = _ask(estate, "e_file", "SELECT case_id::text, lo_get(content) FROM e_file.filing")
    assert sorted(stored) == sorted((f.case_id, f.body) for f in filings(world))
    assert {f.case_id for f in filings(world)} <= set(case_ids(world))


def _fingerprints(estate: Estate) -> dict[str, object]:
    """A digest of the text of all rows, by database and table."""
    result: dict[str, object] = {}
    for source in _databases(estate):
        for (name,) in _ask(
            estate,
            source.dbname,
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND NOT relispartition AND oid > 16000",
        ):
            query = f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t"
            result[f"{source.dbname}.{name}"] = _ask(estate, source.dbname, query)
    return result


def test_a_day_changes_every_register(estate: Estate) -> None:
    """Last in this file: it changes the estate that the others look at."""
    before = _fingerprints(estate)
    gazette = estate.register("state-gazette").source
    assert isinstance(gazette, SqliteSource)
    scans = {p: p.stat().st_size for p in _folder(estate).rglob("deed-*.scan")}
    advance_estate(estate, 1)
    advance_estate(estate, 2)
    changed = {
        name.split(".")[0] for name, seen in _fingerprints(estate).items() if seen != before[name]
    }
    assert changed == {source.dbname for source in _databases(estate)}
    with closing(sqlite3.connect(gazette.path)) as connection:
        new = connection.execute("SELECT count(*) FROM act WHERE published = '2025-11-03'")
        assert new.fetchone() == (24,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    after = {p: p.stat().st_size for p in _folder(estate).rglob("deed-*.scan")}
    assert len(after.keys() - scans.keys()) == 10
    assert len(scans.keys() - after.keys()) == 2
    assert any(after[p] != scans[p] for p in after.keys() & scans.keys())
