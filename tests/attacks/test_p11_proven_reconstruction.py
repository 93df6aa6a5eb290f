"""P11: whatever is changed between loading and comparing is named, down to the row.

The attacker has
- every right in the restored database, also those of its superuser: any statement, on rows,
  sequences, large objects, definitions and the database's own settings;
- the moment: after the last row was loaded and before the first is compared.

He has won when a register in which anything differs that the comparison claims to compare is
called proven, or when the report does not say where. What it does not claim to compare
(`Compared.not_compared`) is pinned here too. One test goes the whole way, through vaults, cards
and a warrant; the many use the same `PostgresTarget` on a restored database. Files and SQLite:
`test_p11_files.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
import pytest

from exclave.archive.manifest import Register
from exclave.archive.objects import PgLargeObjects, PgTable
from exclave.postgres_server.server import PostgresServer
from exclave.reconstruct.report import report_payload, report_text
from exclave.source.interface import Compared, Difference
from exclave.source.postgresql import PostgresSource, PostgresTarget
from tests.pgfixtures import pg16, pg18
from tests.support.embassy import default_target, found_embassy, postgres_register
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent
from tests.support.tampering import ACTS, CENSUS, ROLES, TamperedTarget, config_of

__all__ = ["pg16", "pg18"]

pytestmark = pytest.mark.postgres

MANY = 200_000
PRISTINE = "_pristine"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A register in PostgreSQL 18, as a template of which every attack gets a copy."""

    server: PostgresServer
    database: str
    register: Register
    archive: MemoryArchive

    @contextmanager
    def copy(self) -> Iterator[None]:
        """The restored database under its own name, dropped afterwards."""
        name, template = self.database, self.database + PRISTINE
        with self.server.connect() as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        try:
            yield
        finally:
            with self.server.connect() as session:
                session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def run(self, statements: str) -> None:
        """What the attacker does."""
        with self.server.connect(self.database) as session:
            session.execute(statements.encode())

    def compare(self) -> Compared:
        """The comparison under attack."""
        target = PostgresTarget(config_of(self.server))
        return target.compare(self.register, self.archive, silent)

    def after(self, statements: str) -> Compared:
        """Compare a copy in which these statements ran."""
        with self.copy():
            self.run(statements)
            return self.compare()


def _make(server: PostgresServer, database: str, schema: str) -> None:
    with server.connect() as session:
        for role in ROLES:
            with suppress(psycopg.errors.DuplicateObject):
                session.execute(f"CREATE ROLE {role}".encode())
        session.execute(f"CREATE DATABASE {database}".encode())
    with server.connect(database) as session:
        session.execute(schema.encode())


def _unmake(server: PostgresServer, *databases: str) -> None:
    with server.connect() as session:
        for name in databases:
            session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        for role in ROLES:
            with suppress(psycopg.errors.DependentObjectsStillExist):  # another test's database
                session.execute(f"DROP ROLE IF EXISTS {role}".encode())


@contextmanager
def _restored(
    pg16: PostgresServer, pg18: PostgresServer, database: str, schema: str, scratch: Path
) -> Iterator[Restored]:
    _make(pg16, database, schema)
    try:
        archive = MemoryArchive(scratch)
        captured = PostgresSource(config_of(pg16, database)).capture(archive, silent)
        register = register_of(captured, "postgresql")
        PostgresTarget(config_of(pg18)).restore(register, archive, silent)
        with pg18.connect() as session:
            rename = f"ALTER DATABASE {database} RENAME TO {database}{PRISTINE}"
            session.execute(rename.encode())
        yield Restored(server=pg18, database=database, register=register, archive=archive)
    finally:
        _unmake(pg16, database)
        _unmake(pg18, database, database + PRISTINE)


@pytest.fixture(scope="module")
def acts(
    pg16: PostgresServer, pg18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restored]:
    """A register with every kind of thing in it."""
    with _restored(pg16, pg18, "acts", ACTS, tmp_path_factory.mktemp("acts")) as made:
        yield made


@pytest.fixture(scope="module")
def census(
    pg16: PostgresServer, pg18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restored]:
    """A register with many rows."""
    schema = CENSUS.format(rows=MANY)
    with _restored(pg16, pg18, "census", schema, tmp_path_factory.mktemp("census")) as made:
        yield made


def _found(compared: Compared) -> list[tuple[str, str, tuple[str, ...]]]:
    return sorted((each.subject, each.what, each.keys) for each in compared.differences)


# Positive control: nobody came


def test_untouched_is_proven(acts: Restored, census: Restored) -> None:
    for restored in (acts, census):
        compared = restored.after("SELECT 1")
        tables = [each for each in restored.register.objects if isinstance(each, PgTable)]
        assert compared.differences == ()
        assert compared.rows == sum(table.rows for table in tables)
        assert compared.rows >= (MANY if restored is census else 4400)


# One row of many


def test_one_character_of_many_rows(census: Restored) -> None:
    name = "overlay(name placing 'P' from 1)"
    compared = census.after(f"UPDATE person SET name = {name} WHERE id = 123457")
    assert _found(compared) == [("census.public.person", "row changed", ("123457",))]


def test_few_of_many_rows(census: Restored) -> None:
    """A day later, gone, new, two swapped, under another key: each by its key."""
    compared = census.after(
        "UPDATE person SET born = born + 1 WHERE id = 199999; DELETE FROM person WHERE id = 1;"
        "INSERT INTO person SELECT 200001, name, born FROM person WHERE id = 5;"
        "UPDATE person p SET name = q.name FROM person q"
        " WHERE (p.id, q.id) IN ((77, 78), (78, 77));"
        "UPDATE person SET id = -4 WHERE id = 4"
    )
    assert _found(compared) == [
        ("census.public.person", "row added", ("-4", "200001")),
        ("census.public.person", "row changed", ("77", "78", "199999")),
        ("census.public.person", "row missing", ("1", "4")),
    ]


def test_many_of_many_rows(census: Restored) -> None:
    """Twenty keys and how many there are."""
    [difference] = census.after("DELETE FROM person WHERE id % 3 = 0").differences
    assert difference.what == "row missing"
    assert difference.keys == tuple(str(n) for n in range(3, 63, 3))
    assert difference.got == f"{MANY // 3} rows"


# Values that look alike

VALUES = {
    "a number for NaN": ("area = 0", 10),
    "NaN for a number": ("area = 'NaN'", 14),
    "null for NaN": ("share = NULL", 11),
    "-0 for 0": ("area = '-0'", 15),
    "the smallest float for 0": ("area = '5e-324'", 15),
    "'' for null": ("note = ''", 15),
    "null for ''": ("note = NULL", 16),
    "'\\N' for null": ("note = E'\\\\N'", 15),
    "a space at the end": ("title = title || ' '", 17),
    "another case": ("title = upper(title)", 17),
    "another normal form": ("title = title || U&'\\0308'", 17),
    "1.00 for 1.0": ("share = 1.00", 18),
    "a microsecond": ("at = at + interval '1 microsecond'", 19),
    "AD for BC": ("born = '0044-03-15'", 12),
    "a year for infinity": ("born = '9999-12-31'", 13),
    "-infinity for infinity": ("born = '-infinity'", 13),
    "a jsonb key": ('doc = \'{"plot": {"nr": 1}}\'', 20),
    "a jsonb number's digits": ('doc = \'{"plot": {"no": 1.0}}\'', 20),
    "order in an array": ("tags = ARRAY['b', 'a']", 21),
    "an array's lower bound": ("tags = '[0:1]={a,b}'", 21),
    "an array in an array": ("tags = ARRAY[['a', 'b']]", 21),
    "a byte": ("seal = '\\x0103'", 22),
    "a byte less": ("seal = '\\x01'", 22),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_that_look_alike(case: str, acts: Restored) -> None:
    change, key = VALUES[case]
    compared = acts.after(f"UPDATE public.act SET {change} WHERE id = {key}")
    assert _found(compared) == [("acts.public.act", "row changed", (str(key),))]


def test_every_other_database_setting_changes_nothing(acts: Restored) -> None:
    """Text is compared; how a database prefers to print it must neither accuse nor excuse."""
    settings = (
        "ALTER DATABASE acts SET extra_float_digits = -15;"
        "ALTER DATABASE acts SET bytea_output = 'escape';"
        "ALTER DATABASE acts SET DateStyle = 'German';"
        "ALTER DATABASE acts SET TimeZone = 'Pacific/Kiritimati';"
        "ALTER DATABASE acts SET default_transaction_read_only = on;"
        "ALTER DATABASE acts SET statement_timeout = '1s';"
    )
    assert acts.after(settings).differences == ()
    tampered = "UPDATE public.act SET area = 5e-324 WHERE id = 30;" + settings
    assert _found(acts.after(tampered)) == [("acts.public.act", "row changed", ("30",))]


# Rows without key, composite keys, partitions

ROWS: dict[str, tuple[str, list[tuple[str, str, tuple[str, ...] | None]] | None]] = {
    "duplicated without key": (
        "INSERT INTO entry VALUES ('same', 2)",
        [("acts.public.entry", "row added", None)],
    ),
    "one of many equals gone": (
        "DELETE FROM entry WHERE ctid = (SELECT min(ctid) FROM entry WHERE what = 2)",
        [("acts.public.entry", "row missing", None)],
    ),
    "null for '' without key": (
        "UPDATE entry SET who = NULL WHERE who = ''",
        [("acts.public.entry", "row added", None), ("acts.public.entry", "row missing", None)],
    ),
    "a composite key": (
        r"UPDATE office SET name = 'x' WHERE code = E'B\t1'",
        [("acts.public.office", "row changed", ("B\t1, 1991",))],
    ),
    "a second row with one key": (
        (
            "ALTER TABLE act DROP CONSTRAINT act_pkey;"
            "INSERT INTO act (id, title) VALUES (7, 'again')"
        ),
        None,  # which of the two is the changed one, the hashes decide
    ),
    "a row without key": (
        (
            "ALTER TABLE office DROP CONSTRAINT office_pkey;"
            "ALTER TABLE office ALTER code DROP NOT NULL;"
            "UPDATE office SET code = NULL WHERE name = 'o7'"
        ),
        [("acts.public.office", "key: expected a value, got null", ())],
    ),
    "another partition": (
        (
            "ALTER TABLE parcel DETACH PARTITION parcel_new;"
            "WITH moved AS (DELETE FROM parcel_old WHERE k = 3 RETURNING *)"
            " INSERT INTO parcel_new SELECT * FROM moved"
        ),
        [
            ("acts.public.parcel_new", "row added", ("3, 2019-01-04",)),
            ("acts.public.parcel_old", "row missing", ("3, 2019-01-04",)),
        ],
    ),
    "a child that inherits": (
        (
            "CREATE TABLE shadow () INHERITS (office);"
            "WITH moved AS (DELETE FROM ONLY office WHERE name = 'o9' RETURNING *)"
            " INSERT INTO shadow SELECT * FROM moved"
        ),
        [
            ("acts.public.office", "row missing", ("J\t9, 1999",)),
            ("acts.public.shadow", "table added", ()),
        ],
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_of_every_kind_of_table(case: str, acts: Restored) -> None:
    statement, expected = ROWS[case]
    found = _found(acts.after(statement))
    if expected is None:
        assert {(subject, keys) for subject, _, keys in found} == {("acts.public.act", ("7",))}
        return
    assert [(subject, what) for subject, what, _ in found] == [
        (subject, what) for subject, what, _ in expected
    ]
    for (_, _, got), (_, _, keys) in zip(found, expected, strict=True):
        assert got == keys if keys is not None else len(got) == 1


def test_rows_without_key_that_only_moved_are_proven(acts: Restored) -> None:
    """The positive control of comparing without order: the same rows, all in other places."""
    assert acts.after("UPDATE entry SET who = who WHERE what <> 1").differences == ()


# Sequences and large objects

COUNTERS = {
    "set back": ("SELECT setval('docket', 103)", "docket", "sequence differs"),
    "set ahead": ("SELECT nextval('docket')", "docket", "sequence differs"),
    "is_called": ("SELECT setval('docket', 104, false)", "docket", "sequence differs"),
    "called for the first time": ("SELECT nextval('untouched')", "untouched", "sequence differs"),
    "identity": ("ALTER TABLE act ALTER id RESTART WITH 5", "act_id_seq", "sequence differs"),
    "gone": ("DROP SEQUENCE untouched", "untouched", "sequence missing"),
    "a table instead": (
        "DROP SEQUENCE untouched; CREATE VIEW untouched AS SELECT 2 last_value, true is_called",
        "untouched",
        "sequence differs",
    ),
    "a new one": ("CREATE SEQUENCE fresh", "fresh", "sequence added"),
}


@pytest.mark.parametrize("case", COUNTERS)
def test_counters(case: str, acts: Restored) -> None:
    statement, name, what = COUNTERS[case]
    assert _found(acts.after(statement)) == [(f"acts.public.{name}", what, ())]


def test_a_counter_is_shown(acts: Restored) -> None:
    [difference] = acts.after("SELECT setval('docket', 104, false)").differences
    assert (difference.expected, difference.got) == ("104, is_called True", "104, is_called False")


LARGE_OBJECTS = {
    "a byte": ("SELECT lo_put(80001, 299999, '\\x00')", 80001, "content differs"),
    "a byte more": ("SELECT lo_put(80002, 0, '\\x00')", 80002, "content differs"),
    "an owner": ("ALTER LARGE OBJECT 80001 OWNER TO scribe", 80001, "owner or rights differs"),
    "a right": (
        "GRANT SELECT ON LARGE OBJECT 80002 TO PUBLIC",
        80002,
        "owner or rights differs",
    ),
    "gone": ("SELECT lo_unlink(80002)", 80002, "large object missing"),
    "one more": ("SELECT lo_create(80003)", 80003, "large object added"),
}


@pytest.mark.parametrize("case", LARGE_OBJECTS)
def test_large_objects(case: str, acts: Restored) -> None:
    statement, oid, what = LARGE_OBJECTS[case]
    assert _found(acts.after(statement)) == [(f"acts.large object {oid}", what, ())]


# Definitions that carry rows

DEFINITIONS = {
    "a wider type": ("ALTER TABLE entry ALTER what TYPE bigint", ["entry: columns differ"]),
    "a name": ("ALTER TABLE entry RENAME what TO that", ["entry: columns differ"]),
    "a column more": ("ALTER TABLE entry ADD more int", ["entry: columns differ"]),
    "a column less": ("ALTER TABLE office DROP name", ["office: columns differ"]),
    "a column computed": (
        (
            "ALTER TABLE office DROP name;"
            "ALTER TABLE office ADD name text GENERATED ALWAYS AS (code) STORED"
        ),
        ["office: columns differ"],
    ),
    "no table": ("DROP TABLE office", ["office: table missing"]),
    "another name": (
        "ALTER TABLE office RENAME TO bureau",
        ["bureau: table added", "office: table missing"],
    ),
    "one more table": ("CREATE TABLE fresh (a int)", ["fresh: table added"]),
    "a decoy": (
        (
            "CREATE SCHEMA aside; CREATE TABLE aside.office AS SELECT * FROM office;"
            "DELETE FROM office; ALTER DATABASE acts SET search_path TO aside, public"
        ),
        ["aside.office: table added", "office: row missing"],
    ),
    "a view with the right rows": (
        "ALTER TABLE office RENAME TO bureau; CREATE VIEW office AS SELECT * FROM bureau",
        ["bureau: table added", "office: table missing"],
    ),
    "rows that a policy hides": (
        (
            "ALTER TABLE office ENABLE ROW LEVEL SECURITY; DELETE FROM office WHERE name = 'o9';"
            "ALTER TABLE office FORCE ROW LEVEL SECURITY"
        ),
        ["office: row missing"],
    ),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_definitions_that_carry_rows(case: str, acts: Restored) -> None:
    statement, expected = DEFINITIONS[case]
    found = _found(acts.after(statement))
    shown = [
        f"{subject.removeprefix('acts.').removeprefix('public.')}: {what}"
        for subject, what, _ in found
    ]
    assert shown == sorted(expected)


def test_what_is_not_compared_is_said(acts: Restored) -> None:
    """Computed values follow from definitions, and those the report does not claim."""
    compared = acts.after(
        "ALTER TABLE act ADD thrice numeric GENERATED ALWAYS AS (share * 3) STORED;"
        "CREATE OR REPLACE VIEW recent AS SELECT id, title FROM act WHERE id > 1"
    )
    assert compared.differences == ()
    said = "; ".join(compared.not_compared)
    assert "definitions of views" in said
    assert "values of generated columns" in said


# Where expected values come from


@pytest.mark.parametrize(
    ("name", "before", "after", "tampered"),
    [
        ("office", b"\to9\n", b"\tx9\n", "UPDATE office SET name = 'x9' WHERE name = 'o9'"),
        ("entry", b"same\t2\n", b"some\t2\n", "UPDATE entry SET who = 'some' WHERE what = 2"),
    ],
)
def test_a_stream_changed_to_fit_does_not_help(
    name: str, before: bytes, after: bytes, tampered: str, acts: Restored
) -> None:
    """He also changes the stored rows, consistently: the manifest's root still disagrees."""
    table = next(
        each for each in acts.register.objects if isinstance(each, PgTable) and each.name == name
    )
    whole = acts.archive.bytes_of(table.data)
    assert before in whole
    acts.archive.replace(table.data, whole.replace(before, after))
    try:
        found = acts.after(tampered).differences
    finally:
        acts.archive.replace(table.data, whole)
    assert [each.what for each in found] == ["stored rows are not those that were fingerprinted"]


def test_large_objects_changed_to_fit_do_not_help(acts: Restored) -> None:
    item = next(each for each in acts.register.objects if isinstance(each, PgLargeObjects))
    whole = acts.archive.bytes_of(item.entries)
    # The owner's name is the same length in the entry and in the database.
    acts.archive.replace(item.entries, whole.replace(b"scribe", b"scribb"))
    tampered = (
        "DO $$ BEGIN CREATE ROLE scribb; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "ALTER LARGE OBJECT 80002 OWNER TO scribb"
    )
    try:
        found = _found(acts.after(tampered))
    finally:
        acts.archive.replace(item.entries, whole)
        with acts.server.connect() as session:
            session.execute("DROP ROLE scribb")
    what = "stored entries are not those of the manifest"
    assert found == [("acts.large objects", what, ())]


def test_the_comparison_uses_new_sessions(acts: Restored) -> None:
    """A session that loaded might still see what only it was given."""
    with acts.copy(), acts.server.connect() as session:
        row = session.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
        assert row is not None
        seen: list[bool] = []
        lock = threading.Lock()

        def look(what: str, units: int, size: int) -> None:
            del what, units, size
            with lock:
                answer = session.execute(
                    "SELECT backend_start > %s FROM pg_stat_activity"
                    " WHERE application_name = 'exclave'",
                    (row[0],),
                ).fetchall()
            seen.extend(bool(each[0]) for each in answer)

        PostgresTarget(config_of(acts.server)).compare(acts.register, acts.archive, look)
    assert seen
    assert all(seen)


# The whole way


WHOLE = "travelled"


def test_the_whole_way(pg16: PostgresServer, pg18: PostgresServer, tmp_path: Path) -> None:
    """16 into 18 through vaults: untouched it is proven; one character, and the report says so."""
    _make(pg16, WHOLE, ACTS)

    def targets(register: Register, *, tampered: bool) -> TamperedTarget:
        if register.kind != "postgresql":
            return TamperedTarget(default_target(tmp_path / "out", register), lambda: None)
        return TamperedTarget(PostgresTarget(config_of(pg18)), tamper if tampered else lambda: None)

    def tamper() -> None:
        with pg18.connect(WHOLE) as session:
            session.execute("UPDATE public.act SET title = 'act 2O07' WHERE id = 2007")
            session.execute("SELECT setval('public.docket', 103)")

    try:
        with found_embassy(tmp_path) as embassy:
            embassy.add_register(postgres_register("acts", config_of(pg16, WHOLE)))
            embassy.deposit()
            embassy.lose_vault(1)
            embassy.lose_home()
            _unmake(pg16, WHOLE)
            reports = []
            for tampered in (False, True):
                out = tmp_path / f"out-{tampered}"
                made = embassy.reconstruct(out, targets=partial(targets, tampered=tampered))
                reports.append(made)
                _unmake(pg18, WHOLE)
    finally:
        _unmake(pg16, WHOLE)
        _unmake(pg18, WHOLE)
    untouched, altered = reports
    assert untouched.proven
    assert "PROVEN" in report_text(untouched)
    assert not altered.proven
    [outcome] = altered.registers
    assert set(outcome.differences) == {
        Difference(
            register="acts",
            subject=f"{WHOLE}.public.act",
            what="row changed",
            keys=("2007",),
            got="1 rows",
        ),
        Difference(
            register="acts",
            subject=f"{WHOLE}.public.docket",
            what="sequence differs",
            expected="104, is_called True",
            got="103, is_called True",
        ),
    }
    assert report_payload(altered)["proven"] is False
    text = report_text(altered)
    assert "DIFFERENCES FOUND" in text
    assert f"{WHOLE}.public.act: row changed [2007]" in text
