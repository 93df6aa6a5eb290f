"""What a plan may say, and every way of saying it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.config import ConfigurationInvalid
from exclave.plan import (
    CommandSource,
    FilesSource,
    Plan,
    PostgresqlSource,
    load_plan,
    parse_plan,
)

HEAD = 'title = "T"\nowner = "o"\nclassification = "none"\nrpo = "1h"\nrto = "2h"\n'
FILES = 'kind = "files"\npath = "deeds"\n'
SERVER = 'kind = "postgresql"\nhost = "h"\nuser = "u"\ndatabases = ["a", "b"]\n'


def register(id: str, source: str, *, more: str = "") -> str:
    """A register of the file."""
    return f'[[register]]\nid = "{id}"\n{HEAD}{more}{source}'


def one(source: str = FILES) -> str:
    """The only source."""
    return f"[register.source]\n{source}"


def several(*sources: str) -> str:
    """Sources in order."""
    return "".join(f"[[register.source]]\n{source}" for source in sources)


def load(tmp_path: Path, text: str) -> Plan:
    """The plan that a file holds."""
    file = tmp_path / "registers.toml"
    file.write_text(text)
    return load_plan(file)


def refused(tmp_path: Path, text: str) -> tuple[str, ...]:
    """What is wrong with it, without the file's name."""
    with pytest.raises(ConfigurationInvalid) as caught:
        load(tmp_path, text)
    name = f"{tmp_path}/registers.toml:"
    assert all(error.startswith(name) for error in caught.value.errors)
    return tuple(error.removeprefix(name) for error in caught.value.errors)


def test_one_source_is_named_by_its_kind(tmp_path: Path) -> None:
    (item,) = load(tmp_path, register("deeds", one())).registers
    assert item.sources == (FilesSource(kind="files", name="files", path=f"{tmp_path}/deeds"),)
    assert (item.kind, item.assertions) == ("files", ())


def test_sources_keep_the_order_of_the_file(tmp_path: Path) -> None:
    command = 'kind = "command"\nname = "tax"\ncommand = ["./dump", "all"]\nleast = "1KiB"\n'
    text = register("land", several(FILES, command, SERVER))
    (item,) = load(tmp_path, text).registers
    assert [source.name for source in item.sources] == ["files", "tax", "postgresql"]
    tax, server = item.sources[1:]
    assert isinstance(tax, CommandSource)
    assert isinstance(server, PostgresqlSource)
    assert (tax.command, tax.least, tax.file, tax.folder) == (
        ("./dump", "all"),
        1024,
        "dump",
        str(tmp_path),
    )
    assert item.kind == "files+command+postgresql"


def test_assertions(tmp_path: Path) -> None:
    text = register("land", several(FILES, SERVER)) + (
        '[[register.assertion]]\nname = "rows"\nsource = "postgresql"\ndatabase = "b"\n'
        'sql = "SELECT count(*) > 0 FROM deed"\n'
        '[[register.assertion]]\nname = "serves"\ncommand = ["true"]\nexpect = "up"\n'
        'timeout = "2min"\n'
    )
    (item,) = load(tmp_path, text).registers
    rows, serves = item.assertions
    assert (rows.source, rows.database, rows.expect, rows.timeout) == ("postgresql", "b", None, 300)
    assert (serves.command, serves.expect, serves.timeout) == (("true",), "up", 120)


def test_a_plan_of_a_deposit_keeps_its_paths_and_is_not_searched_for_secrets() -> None:
    text = register("deeds", one(), more='runbook = "books/deeds.md"\n') + "# token: abc\n"
    (item,) = parse_plan(text.encode()).registers
    assert item.runbook == Path("books/deeds.md")
    assert item.sources == (FilesSource(kind="files", path="deeds"),)


def test_what_makes_no_service(tmp_path: Path) -> None:
    plan = load(
        tmp_path,
        register("a", one(), more='runbook = "r"\nartefacts = "x"\n')
        + register("b", one(), more='runbook = "r"\n')
        + register("c", one()),
    )
    assert [item.service_gap for item in plan.registers] == [
        None,
        "not reconstructible as a service: no artefacts",
        "not reconstructible as a service: no runbook and no artefacts",
    ]


def test_registers_stand_after_what_they_depend_on(tmp_path: Path) -> None:
    chain = [("c", '["b", "a"]'), ("b", '["a"]'), ("a", "[]")]
    text = "".join(register(id, one(), more=f"depends_on = {on}\n") for id, on in chain)
    assert [item.id for item in load(tmp_path, text).registers] == ["a", "b", "c"]


def test_dependencies_that_cannot_be(tmp_path: Path) -> None:
    """Each named with the line of the key that says it."""
    unknown = register("a", one(), more='depends_on = ["b"]\n')
    assert refused(tmp_path, unknown) == (
        "8: register[0].depends_on: register a depends on 'b', which is not in the plan",
    )
    cycle = [("a", "c"), ("b", "a"), ("c", "b")]
    text = "".join(register(id, one(), more=f'depends_on = ["{on}"]\n') for id, on in cycle)
    assert refused(tmp_path, text) == (
        "8: register[0].depends_on: registers depend on each other: a -> c -> b -> a",
    )
    itself = register("a", one(), more='depends_on = ["a"]\n')
    assert refused(tmp_path, itself) == (
        "8: register[0].depends_on: registers depend on each other: a -> a",
    )


def test_a_register_declared_twice(tmp_path: Path) -> None:
    twice = register("a", one()) + register("a", one())
    assert refused(tmp_path, twice) == ("12: register[1].id: register a is declared twice",)


def test_an_unknown_key(tmp_path: Path) -> None:
    assert refused(tmp_path, register("a", one(), more='runbok = "r"\n')) == (
        "8: register[0].runbok: expected no such key, got one",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('rpo = "1h"', 'rpo = "0s"', "6: register[0].rpo: expected greater than or equal to 1"),
        (
            'rto = "2h"',
            'rto = "999999999999999999d"',
            "7: register[0].rto: expected a duration of at most 100 years",
        ),
        (
            'rto = "2h"',
            'rto = "5300w"',
            "7: register[0].rto: expected a duration of at most 100 years",
        ),
        (
            'title = "T"',
            'title = "T\\u001b[31m"',
            "3: register[0].title: expected one line of printable text",
        ),
        (
            'path = "deeds"',
            'path = "de\\u0000eds"',
            "10: register[0].source.path: expected text without a zero byte",
        ),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, old: str, new: str, said: str) -> None:
    (error,) = refused(tmp_path, register("a", one()).replace(old, new))
    assert error.startswith(said)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ("source = []\n", "8: register[0].source: expected at least one source, got a list of 0"),
        (
            several(FILES, FILES),
            "11: register[0].source[1].name: expected distinct names, got 'files' twice",
        ),
        (
            one(FILES + 'name = "artefacts"\n'),
            "11: register[0].source.name: expected a name of its own, got 'artefacts'",
        ),
        (
            one('kind = "command"\ncommand = []\n'),
            "10: register[0].source.command: expected 1 or more items, got a list of 0",
        ),
        (
            one('kind = "command"\ncommand = ["x"]\nfile = "../x"\n'),
            "11: register[0].source.file: expected the name of a file, got a string",
        ),
        (
            one('kind = "files"\npath = 1\n'),
            "10: register[0].source.path: expected a valid string, got 1",
        ),
    ],
)
def test_sources_that_cannot_be(tmp_path: Path, sources: str, said: str) -> None:
    assert refused(tmp_path, register("a", sources)) == (said,)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('name = "x"\n', "name: expected either sql or command, got neither"),
        (
            'name = "x"\nsql = "SELECT 1"\ncommand = ["true"]\n',
            "name: expected either sql or command, got both",
        ),
        (
            'name = "x"\nsql = "SELECT 1"\nsource = "mail"\n',
            "source: expected one of files, postgresql, got 'mail'",
        ),
        (
            'name = "x"\nsql = "SELECT 1"\n',
            "sql: expected a source that takes SQL, got files (files)",
        ),
        (
            'name = "x"\nsql = "SELECT 1"\nsource = "postgresql"\ndatabase = "c"\n',
            "database: expected a database of postgresql, got 'c'",
        ),
        (
            'name = "x"\ncommand = ["true"]\ndatabase = "a"\n',
            "database: expected none, since source files is no server, got one",
        ),
        (
            'name = "x"\ncommand = ["true"]\ntimeout = "0s"\n',
            "timeout: expected greater than or equal to 1, got a string",
        ),
    ],
)
def test_assertions_that_cannot_be(tmp_path: Path, lines: str, said: str) -> None:
    text = register("a", several(FILES, SERVER)) + f"[[register.assertion]]\n{lines}"
    (found,) = refused(tmp_path, text)
    assert found.endswith(f": register[0].assertion[0].{said}")


def test_an_assertion_declared_twice(tmp_path: Path) -> None:
    assertion = '[[register.assertion]]\nname = "x"\ncommand = ["true"]\n'
    assert refused(tmp_path, register("a", one()) + assertion * 2) == (
        "15: register[0].assertion[1].name: assertion x is declared twice",
    )
