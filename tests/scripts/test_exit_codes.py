"""docs/exit-codes.md says what the program does."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import exclave
from exclave.cli.main import INTERRUPTED, PIPE_CLOSED, TERMINATED, UNEXPECTED
from exclave.errors import ExclaveError

DOC = Path(__file__).parents[2] / "docs" / "exit-codes.md"
ROW = re.compile(r"\| (\d+) \| (?:`(\w+)`|-) \|")


def _documented() -> dict[int, str]:
    rows = [match for line in DOC.read_text().splitlines() if (match := ROW.match(line))]
    assert rows, "no table found"
    return {int(row[1]): row[2] or "" for row in rows}


def _subclasses(base: type[ExclaveError]) -> set[type[ExclaveError]]:
    return {base}.union(*(_subclasses(item) for item in base.__subclasses__()))


def test_table_is_the_class_tree() -> None:
    """Every code has the class that sets it, and no class anywhere sets another."""
    for module in pkgutil.walk_packages(exclave.__path__, "exclave."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    setting = [item for item in _subclasses(ExclaveError) if "exit_code" in vars(item)]
    by_class = {item.exit_code: item.__name__ for item in setting}
    assert len(by_class) == len(setting)
    documented = _documented()
    assert {code: name for code, name in documented.items() if name} == by_class


def test_other_codes_are_documented() -> None:
    """Success, signals and the unexpected."""
    others = {code for code, name in _documented().items() if not name}
    assert others == {0, INTERRUPTED, PIPE_CLOSED, TERMINATED}
    assert ExclaveError.exit_code == UNEXPECTED
