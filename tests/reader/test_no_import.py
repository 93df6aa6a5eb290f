"""The reader stands alone: no import of Exclave, and only the libraries that it names."""

import ast
import re
import sys

from tests.reader.loaded import PATH, ROOT

NETWORK = {"socket", "ssl", "http", "urllib", "asyncio", "ftplib", "smtplib", "subprocess"}


def imported() -> set[str]:
    """Top names of all imports of the reader."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(PATH.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(str(node.module).split(".")[0])
    return names


def test_only_listed_libraries() -> None:
    text = (ROOT / "reader" / "requirements.txt").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z0-9_]+)[>=]", text, flags=re.MULTILINE))
    assert listed == {"cryptography", "zstandard", "blake3"}
    assert imported() - sys.stdlib_module_names == listed


def test_nothing_of_exclave_and_no_network() -> None:
    assert not imported() & (NETWORK | {"exclave", "importlib"})


def test_nothing_is_run_from_text() -> None:
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(PATH.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"eval", "exec", "__import__", "compile"}


def test_no_name_of_the_reader_is_given_twice() -> None:
    """In one file of thousands of lines the later one would hide the earlier."""
    given: list[str] = []
    for node in ast.parse(PATH.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            given.append(node.name)
        elif isinstance(node, ast.Assign):
            names = [part for target in node.targets for part in ast.walk(target)]
            given += [name.id for name in names if isinstance(name, ast.Name)]
    assert len(given) > 200
    assert sorted(given) == sorted(set(given))
