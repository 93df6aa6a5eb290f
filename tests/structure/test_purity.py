"""The pure folders: no files, clocks, terminals or randomness by way of built-ins or methods.

import-linter keeps the modules out (`.importlinter`); this keeps out what needs no import, and
reads the same list, so that a folder that import-linter cannot see is not left unwatched.
"""

import ast
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.structure.sources import ROOT, named, parsed, python_files

PURE = ("sealing", "archive", "dispersal", "ledger", "authority", "standing", "certificate")
BUILTINS = frozenset({"open", "print", "input", "breakpoint", "exec", "eval", "__import__"})
# datetime.now() and the like: the time is passed in.
CLOCKS = frozenset({"now", "utcnow", "today"})


def forbidden_modules() -> frozenset[str]:
    """The modules that the import-linter contract keeps out of the pure folders."""
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    return frozenset(contracts["importlinter:contract:pure"]["forbidden_modules"].split())


def offences(tree: ast.Module, forbidden: frozenset[str]) -> list[tuple[int, str]]:
    """Line and name of everything impure in one module."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
                found.append((node.lineno, f"{name}()"))
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
                found.append((node.lineno, f".{name}()"))
            case ast.Import(names=names):
                tops = {alias.name.split(".")[0] for alias in names}
                found += [(node.lineno, f"import {top}") for top in sorted(tops & forbidden)]
            case ast.ImportFrom(module=str(module), level=0):
                if (top := module.split(".")[0]) in forbidden:
                    found.append((node.lineno, f"from {top}"))
            case _:
                pass
    return found


def pure_files() -> list[Path]:
    """The modules of the pure folders."""
    return [p for p in python_files("src") if p.relative_to(ROOT).parts[2] in PURE]


def test_pure_folders_stay_pure() -> None:
    forbidden = forbidden_modules()
    wrong = [
        f"{named(path, line)}: {what} in a pure folder"
        for path in pure_files()
        for line, what in offences(parsed(path), forbidden)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source", ["import os.path", "from secrets import token_bytes", "open('x')", "datetime.now()"]
)
def test_impurity_is_noticed(source: str) -> None:
    assert offences(ast.parse(source), forbidden_modules())
