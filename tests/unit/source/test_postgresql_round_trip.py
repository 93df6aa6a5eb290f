"""From PostgreSQL 16 to 18 and back into comparison: everything returns, every change is named."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.archive.objects import PgSchema, PgTable
from exclave.archive.rows import LineTree, line_ends
from exclave.postgres_server.server import PostgresServer
from exclave.source.postgresql import PostgresSource, PostgresTarget, TableOrder
from exclave.source.postgresql.connect import tool_environment
from exclave.source.postgresql.errors import LoadFailed, TargetNotEmpty, TargetTooOld
from exclave.source.postgresql.parts import ObjectUnknown
from tests.support.memory_archive import MemoryArchive
from tests.support.nasty import DROP_ROLES
from tests.support.registers import register_of, silent
from tests.unit.source.conftest import ConfigFor, Deposited

pytestmark = pytest.mark.postgres


def drop(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS nasty WITH (FORCE)")
        for statement in DROP_ROLES:
            connection.execute(statement.encode())


@pytest.fixture
def empty18(pg18: PostgresServer) -> Iterator[PostgresServer]:
    """PostgreSQL 18 without the nasty database and its roles."""
    drop(pg18)
    yield pg18
    drop(pg18)


@pytest.fixture(scope="module")
def restored(
    pg18: PostgresServer, nasty: Deposited, config_for: ConfigFor
) -> Iterator[PostgresServer]:
    """PostgreSQL 18 with the nasty database restored once; tests undo what they change."""
    target = PostgresTarget(config_for(pg18))
    target.check_empty(nasty.register)
    target.restore(nasty.register, nasty.archive, silent)
    yield pg18
    drop(pg18)


def test_everything_returns(
    restored: PostgresServer, nasty: Deposited, config_for: ConfigFor
) -> None:
    compared = PostgresTarget(config_for(restored)).compare(nasty.register, nasty.archive, silent)
    assert compared.differences == ()
    tables = [each for each in nasty.register.objects if isinstance(each, PgTable)]
    assert compared.rows == sum(table.rows for table in tables) > 17_000
    assert compared.objects == len(tables) + 3 + 3
    with restored.connect("nasty") as connection:
        one = connection.execute(
            "SELECT (SELECT n FROM public.matted), (SELECT count(*) FROM public.parted),"
            " (SELECT twice FROM public.corner WHERE id = 4),"
            " shobj_description((SELECT oid FROM pg_database WHERE datname = 'nasty'),"
            " 'pg_database'), current_setting('search_path'),"
            " has_database_privilege('clerk', 'nasty', 'TEMPORARY'),"
            " (SELECT count(*) FROM pg_trigger WHERE tgname = 'touched')"
        ).fetchone()
        assert one is not None
        assert one[0] == 3000
        assert one[1] == 700
        assert str(one[2]) == "246913578024691357802469135780.24691357802469135780"
        assert one[3] == "it's nasty"
        assert one[4] == 'public, "Sch""ema"'
        assert one[5] is False
        assert one[6] == 1


def test_definitions_are_what_pg_dump_writes(pg16: PostgresServer, nasty: Deposited) -> None:
    kept = [item for item in nasty.register.objects if isinstance(item, PgSchema)]
    assert [item.section for item in kept] == ["pre-data", "post-data"]
    for item in kept:
        words = ["--schema-only", f"--section={item.section}", "--no-tablespaces"]
        words += ["--restrict-key=exclave", "nasty"]
        written = subprocess.run(
            [pg16.bin_dir / "pg_dump", *words],
            env={**tool_environment(), **pg16.environment()},
            capture_output=True,
            check=True,
        ).stdout
        assert b"CREATE" in written
        assert nasty.archive.bytes_of(item.sql) == written


TAMPERING = {
    "negative zero": (
        "UPDATE public.corner SET f8 = 0 WHERE id = 2",
        "UPDATE public.corner SET f8 = '-0' WHERE id = 2",
        ("nasty.public.corner", "row changed", ("2",)),
    ),
    "nan": (
        "UPDATE public.corner SET n = NULL WHERE id = 1",
        "UPDATE public.corner SET n = 'NaN' WHERE id = 1",
        ("nasty.public.corner", "row changed", ("1",)),
    ),
    "null for empty": (
        "UPDATE public.no_key SET v = NULL WHERE v = ''",
        "UPDATE public.no_key SET v = '' WHERE ctid = (SELECT max(ctid) FROM public.no_key)",
        ("nasty.public.no_key", "row missing", None),
    ),
    "one row missing": (
        "DELETE FROM public.negative_keys WHERE k = -7",
        "INSERT INTO public.negative_keys VALUES (-7, md5('-7'))",
        ("nasty.public.negative_keys", "row missing", ("-7",)),
    ),
    "one row added": (
        "INSERT INTO public.uuid_key VALUES ('00000000-0000-0000-0000-000000000001', 'x')",
        (
            "DELETE FROM ONLY public.uuid_key WHERE k = '00000000-0000-0000-0000-000000000001';"
            "DELETE FROM public.no_key WHERE v IN ('a;b', 'c')"
        ),
        ("nasty.public.uuid_key", "row added", ("00000000-0000-0000-0000-000000000001",)),
    ),
    "duplicate without key": (
        "INSERT INTO public.no_columns DEFAULT VALUES",
        "DELETE FROM public.no_columns WHERE ctid = (SELECT max(ctid) FROM public.no_columns)",
        ("nasty.public.no_columns", "row added", None),
    ),
    "key twice": (
        (
            "ALTER TABLE public.pair_key DROP CONSTRAINT pair_key_pkey;"
            "INSERT INTO public.pair_key VALUES ('again', '', 1)"
        ),
        (
            "DELETE FROM public.pair_key WHERE v = 'again';"
            "ALTER TABLE public.pair_key ADD PRIMARY KEY (b, a)"
        ),
        ("nasty.public.pair_key", "row", None),
    ),
    "sequence": (
        "SELECT nextval('public.counting')",
        "SELECT setval('public.counting', 2)",
        ("nasty.public.counting", "sequence differs", ()),
    ),
    "large object": (
        "SELECT lo_put(70003, 699999, '\\x00')",
        "SELECT lo_put(70003, 699999, '\\xab')",
        ("nasty.large object 70003", "content differs", ()),
    ),
    "large object's rights": (
        "REVOKE SELECT ON LARGE OBJECT 70001 FROM clerk",
        "GRANT SELECT ON LARGE OBJECT 70001 TO clerk",
        ("nasty.large object 70001", "owner or rights differs", ()),
    ),
    "column type": (
        "ALTER TABLE public.base ALTER v TYPE varchar",
        "ALTER TABLE public.base ALTER v TYPE text",
        ("nasty.public.base", "columns differ", ()),
    ),
    "table gone": (
        "ALTER TABLE public.empty_one RENAME TO empty_two",
        "ALTER TABLE public.empty_two RENAME TO empty_one",
        ("nasty.public.empty_one", "table missing", ()),
    ),
}


@pytest.mark.parametrize("case", TAMPERING)
def test_every_change_is_named(
    case: str, restored: PostgresServer, nasty: Deposited, config_for: ConfigFor
) -> None:
    change, undo, (subject, what, keys) = TAMPERING[case]
    config = config_for(restored, sort_memory=50_000)
    with restored.connect("nasty") as connection:
        connection.execute("ALTER TABLE public.no_key DISABLE TRIGGER ALL")
        connection.execute(change.encode())
        try:
            found = PostgresTarget(config).compare(nasty.register, nasty.archive, silent)
        finally:
            connection.execute(undo.encode())
            connection.execute("ALTER TABLE public.no_key ENABLE TRIGGER ALL")
    matching = [each for each in found.differences if each.subject == subject]
    assert any(each.what.startswith(what) for each in matching), found.differences
    if keys is not None:
        assert keys in [each.keys for each in matching]


def test_a_filled_database_is_refused(
    restored: PostgresServer, nasty: Deposited, config_for: ConfigFor
) -> None:
    target = PostgresTarget(config_for(restored))
    with pytest.raises(TargetNotEmpty, match="database nasty: expected none or an empty one"):
        target.check_empty(nasty.register)
    with pytest.raises(TargetNotEmpty):
        target.restore(nasty.register, nasty.archive, silent)


class Interrupted(Exception):
    """The restore was killed here."""


@pytest.mark.parametrize("after", [1, 5, 12, 32])
def test_an_interrupted_restore_goes_on(
    after: int, empty18: PostgresServer, nasty: Deposited, config_for: ConfigFor
) -> None:
    target = PostgresTarget(config_for(empty18))
    left = iter(range(after))

    def progress(what: str, units: int, size: int) -> None:
        if next(left, None) is None:
            raise Interrupted

    with pytest.raises(Interrupted):
        target.restore(nasty.register, nasty.archive, progress)
    target.check_empty(nasty.register)
    target.restore(nasty.register, nasty.archive, silent)
    assert target.compare(nasty.register, nasty.archive, silent).differences == ()


def test_one_table_alone(empty18: PostgresServer, nasty: Deposited, config_for: ConfigFor) -> None:
    target = PostgresTarget(config_for(empty18))
    only = ['nasty.Sch"ema.Ta"ble']
    target.restore(nasty.register, nasty.archive, silent, only=only)
    compared = target.compare(nasty.register, nasty.archive, silent, only=only)
    assert (compared.rows, compared.differences) == (10, ())
    with empty18.connect("nasty") as connection:
        names = connection.execute(
            "SELECT indexrelid::regclass::text FROM pg_index"
            ' WHERE indrelid = \'"Sch""ema"."Ta""ble"\'::regclass ORDER BY 1'
        ).fetchall()
        assert len(names) == 2
    with pytest.raises(ObjectUnknown, match=r"got 'nasty\.public\.none'"):
        target.restore(nasty.register, nasty.archive, silent, only=["nasty.public.none"])


def test_a_stream_cut_at_a_row_is_refused(
    empty18: PostgresServer, nasty: Deposited, config_for: ConfigFor
) -> None:
    table = next(each for each in nasty.register.objects if isinstance(each, PgTable) and each.rows)
    whole = nasty.archive.bytes_of(table.data)
    nasty.archive.replace(table.data, whole[: whole.rindex(b"\n", 0, -1) + 1])
    try:
        with pytest.raises(LoadFailed, match=f"expected {table.rows} rows, loaded"):
            PostgresTarget(config_for(empty18)).restore(nasty.register, nasty.archive, silent)
    finally:
        nasty.archive.replace(table.data, whole)


def test_an_older_target_is_refused(
    pg16: PostgresServer, pg18: PostgresServer, config_for: ConfigFor, scratch: Path
) -> None:
    captured = PostgresSource(config_for(pg18, "postgres")).capture(MemoryArchive(scratch), silent)
    target = PostgresTarget(config_for(pg16))
    with pytest.raises(TargetTooOld, match="expected PostgreSQL 18 or newer, got 16"):
        target.check_empty(register_of(captured, "postgresql"))


def test_a_table_in_stored_order_still_names_its_key(
    pg16: PostgresServer, nasty: Deposited, config_for: ConfigFor, scratch: Path
) -> None:
    listed = {"public.negative_keys": TableOrder.HEAP, "nasty.public.uuid_key": TableOrder.HEAP}
    config = config_for(pg16, "nasty", sort_memory=50_000, orders=listed)
    archive = MemoryArchive(scratch)
    again = register_of(PostgresSource(config).capture(archive, silent), "postgresql")
    stored = 0
    for one, two in zip(nasty.register.objects, again.objects, strict=True):
        if isinstance(one, PgTable) and isinstance(two, PgTable):
            assert one.key == two.key
            texts = [archive.bytes_of(two.data), nasty.archive.bytes_of(one.data)]
            assert sorted(texts[0].splitlines()) == sorted(texts[1].splitlines())
            assert (one.row_root == two.row_root) == (texts[0] == texts[1])
            stored += (one.order, two.order) == ("key", "stored")
    assert stored == 2
    assert not list(scratch.iterdir())


def test_trees_follow_from_the_stored_text(nasty: Deposited) -> None:
    """As a reader computes them from spec/archive.md 6, without any of the adapter's code."""
    seen = {"key": 0, "stored": 0}
    for table in nasty.register.objects:
        if not isinstance(table, PgTable):
            continue
        block = nasty.archive.bytes_of(table.data)
        tree = LineTree()
        tree.add(block, line_ends(block))
        finished = tree.finish()
        assert (finished.root, finished.rows) == (table.row_root, table.rows)
        assert finished.groups == nasty.archive.bytes_of(table.groups)
        assert (table.order == "key") == bool(table.key)
        seen[table.order] += 1
    assert sum(seen.values()) == 16
    assert all(seen.values())


def test_two_captures_of_one_state_are_equal(
    pg16: PostgresServer, nasty: Deposited, config_for: ConfigFor, scratch: Path
) -> None:
    archive = MemoryArchive(scratch)
    PostgresSource(config_for(pg16, "nasty", jobs=1)).capture(archive, silent)
    assert sorted(archive.streams) == sorted(nasty.archive.streams)
