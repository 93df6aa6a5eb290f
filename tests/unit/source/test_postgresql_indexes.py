"""Which statements of post-data build indexes of tables, and that a later call leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.postgres_server.server import PostgresServer
from exclave.source.postgresql import PostgresSource, PostgresTarget, restore
from exclave.source.postgresql.indexes import split_post_data
from tests.pgfixtures import FreshDatabase
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent
from tests.unit.source.conftest import ConfigFor

BUILD = (
    "ALTER TABLE ONLY public.person\n    ADD CONSTRAINT person_pkey PRIMARY KEY (id)",
    'CREATE INDEX "Na on me" ON public.person USING btree (name)',
    "CREATE UNIQUE INDEX n ON public.person USING btree (lower(name)) WHERE (name <> 'a;b'::text)",
    'ALTER TABLE ONLY "S ch"."t""x" ADD CONSTRAINT e EXCLUDE USING gist (period WITH &&)',
)
REST = (
    "SET search_path TO ''",
    'ALTER TABLE ONLY public.person ADD CONSTRAINT "x UNIQUE (y)" FOREIGN KEY (a) REFERENCES b(c)',
    "ALTER TABLE public.person ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID",
    "CREATE INDEX i ON ONLY public.parent USING btree (id)",
    "CREATE INDEX i ON public.person_view USING btree (id)",
    "ALTER INDEX public.i ATTACH PARTITION public.j",
    "CREATE TRIGGER t BEFORE INSERT ON public.person FOR EACH ROW EXECUTE FUNCTION public.f()",
    "ALTER TABLE ONLY public.person REPLICA IDENTITY USING INDEX n",
)


def test_what_builds_indexes_is_set_apart() -> None:
    script = [REST[0], BUILD[0], REST[1], BUILD[1], *REST[2:], *BUILD[2:]]
    found = split_post_data(script, ["public.person", '"S ch"."t""x"', "public.other"])
    assert found.by_table == {"public.person": BUILD[:3], '"S ch"."t""x"': BUILD[3:]}
    assert found.rest == REST


@pytest.mark.postgres
def test_indexes_that_stand_already_are_left(
    *,
    pg16: PostgresServer,
    pg18: PostgresServer,
    fresh_database: FreshDatabase,
    config_for: ConfigFor,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = fresh_database(pg16)
    with pg16.connect(name) as owner:
        owner.execute(
            "CREATE TABLE a (id int PRIMARY KEY, b int UNIQUE); CREATE INDEX ON a ((id + b));"
            "CREATE TABLE c (id int PRIMARY KEY REFERENCES a, d text); CREATE INDEX ON c (d);"
            "INSERT INTO a SELECT g, -g FROM generate_series(1, 50) g;"
            "INSERT INTO c SELECT g, 'x' FROM generate_series(1, 50) g"
        )
    archive = MemoryArchive(scratch)
    register = register_of(
        PostgresSource(config_for(pg16, name)).capture(archive, silent), "postgresql"
    )
    target = PostgresTarget(config_for(pg18))
    section = restore._DatabaseRestore._section

    def interrupted(self: object, session: object, which: str, *rest: object) -> None:
        if which == "post-data":
            raise KeyboardInterrupt
        section(self, session, which, *rest)  # type: ignore[arg-type]

    try:
        with monkeypatch.context() as patch:
            patch.setattr(restore._DatabaseRestore, "_section", interrupted)
            with pytest.raises(KeyboardInterrupt):
                target.restore(register, archive, silent)
        target.restore(register, archive, silent)
        assert target.compare(register, archive, silent).differences == ()
        with pg18.connect(name) as session:
            row = session.execute(
                "SELECT (SELECT count(*) FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid"
                " WHERE r.relname IN ('a', 'c')), (SELECT count(*) FROM pg_constraint"
                " WHERE contype = 'f'), (SELECT count(*) FROM pg_stats WHERE tablename = 'a')"
            ).fetchone()
            assert row is not None
            assert (row[0], row[1]) == (5, 1)
            assert int(str(row[2])) >= 2
    finally:
        with pg18.connect() as session:
            session.execute(f"DROP DATABASE IF EXISTS {name}".encode())
