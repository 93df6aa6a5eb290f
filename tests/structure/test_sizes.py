"""House style in figures: no function over 60 lines, no module over 500 without a stated reason."""

import ast
from pathlib import Path

from tests.structure.sources import functions, named, python_files

LONGEST_FUNCTION = 60
LONGEST_MODULE = 500
REASON = "# long: "
# The reader is one file by design, but its functions are as short as everybody's.
CODE = ("src", "tools", "bench", "reader")


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its decorators and docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def states_a_reason(path: Path) -> bool:
    """Whether one of the first lines says why this module is long."""
    top = path.read_text(encoding="utf-8").splitlines()[:5]
    return any(line.startswith(REASON) and len(line) > len(REASON) + 10 for line in top)


def test_no_function_is_over_sixty_lines() -> None:
    long = [
        f"{named(path, f.lineno)}: {f.name} has {body_lines(f)} lines"
        for path in python_files(*CODE)
        for f in functions(path)
        if body_lines(f) > LONGEST_FUNCTION
    ]
    assert not long, "\n".join(long)


def test_no_module_is_over_five_hundred_lines_without_a_reason() -> None:
    long = [
        f"{named(path)}: {count} lines and no '{REASON}<reason>' at its top"
        for path in python_files(*CODE)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
        and not states_a_reason(path)
    ]
    assert not long, "\n".join(long)


def test_a_long_function_is_noticed() -> None:
    source = "def f():\n    '''Says\n    much.'''\n" + "    x = 1\n" * LONGEST_FUNCTION
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == LONGEST_FUNCTION + 1
