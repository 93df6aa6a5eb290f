"""The external sort: right in bounded memory, unreadable on disk, gone afterwards."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exclave.source.postgresql.script import plain_sql, statements
from exclave.source.postgresql.sort import ExternalSorter
from exclave.source.scratch import ScratchChanged, ScratchUnusable


def test_records_come_back_in_order(tmp_path: Path) -> None:
    chance = random.Random(1)
    records = [chance.randbytes(chance.randrange(1, 60)) for _ in range(20_000)] + [b"same"] * 3
    with ExternalSorter(tmp_path, 50_000) as sorter:
        for start in range(0, len(records), 100):
            sorter.add_many(records[start : start + 100])
        assert sorter.runs > 10
        assert list(sorter.sorted_records()) == sorted(records)


def temporary_file(folder: Path) -> Path:
    """The one file without a name that this process has open in a folder."""
    [found] = [
        each
        for each in Path("/proc/self/fd").iterdir()
        if os.path.realpath(each).startswith(str(folder))
    ]
    return found


def test_nothing_readable_touches_the_scratch_folder(tmp_path: Path) -> None:
    with ExternalSorter(tmp_path, 10_000) as sorter:
        sorter.add_many([b"planted name %d" % n for n in range(5000)])
        assert sorter.runs
        assert list(tmp_path.iterdir()) == []
        content = temporary_file(tmp_path).read_bytes()
        assert len(content) > 50_000
        assert b"planted" not in content


def test_a_changed_run_is_noticed(tmp_path: Path) -> None:
    with ExternalSorter(tmp_path, 10_000) as sorter:
        sorter.add_many([b"name %d" % n for n in range(5000)])
        with temporary_file(tmp_path).open("r+b") as other:
            other.seek(100)
            other.write(b"\x00\x01\x02")
        with pytest.raises(ScratchChanged):
            list(sorter.sorted_records())


def test_a_missing_scratch_folder_is_named(tmp_path: Path) -> None:
    with (
        ExternalSorter(tmp_path / "none", 4096) as sorter,
        pytest.raises(ScratchUnusable, match="none: expected room"),
    ):
        sorter.add_many([bytes(100)] * 1000)


SCRIPT = r"""--
-- Name: x; Type: FUNCTION
--
CREATE FUNCTION f() AS $_$ BEGIN; 'a'; END $_$ LANGUAGE plpgsql;
CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN 1 THEN 2 END; END;
CREATE RULE r AS ON DELETE TO t DO ALSO (DELETE FROM a; DELETE FROM b;);
COMMENT ON TABLE "a;b" IS 'c; -- it''s';
SELECT E'\';', 1; -- the end;
"""


def test_scripts_are_cut_at_their_statements() -> None:
    found = list(statements(SCRIPT))
    assert [each.split("(")[0].split(" ")[0] for each in found] == [
        "CREATE",
        "CREATE",
        "CREATE",
        "COMMENT",
        "SELECT",
    ]
    assert found[3] == "COMMENT ON TABLE \"a;b\" IS 'c; -- it''s'"


def test_only_the_outer_restrict_lines_go() -> None:
    script = b"--\n\\restrict exclave\nSELECT '\n\\restrict exclave\n';\n\\unrestrict exclave\n"
    assert plain_sql(script) == "--\n\nSELECT '\n\\restrict exclave\n';\n\n"


@given(st.text(alphabet="a;'\"$-/*() \n\\E", max_size=40))
def test_no_script_hangs_or_loses_text(script: str) -> None:
    assert len("".join(statements(script))) <= len(script)
