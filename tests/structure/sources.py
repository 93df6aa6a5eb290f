"""What the structural tests look at: the files of this repository and their parsed sources."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Looked through where there is no git (an unpacked archive): not what the tools leave behind.
LEFT_BEHIND = frozenset(
    {".git", ".venv", "__pycache__", "dist", "build", ".hypothesis", ".mypy_cache"}
    | {".ruff_cache", ".pytest_cache", ".import_linter_cache"}
)


@cache
def committed() -> tuple[Path, ...]:
    """Every file that is committed or would be; a tree without any fails."""
    # safe.directory: the tree may belong to another user than the one who tests it.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        names = done.stdout.split("\0") if done.returncode == 0 else []
    except FileNotFoundError:
        names = []
    if not names:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
    paths = (ROOT / name for name in sorted(set(names)) if name)
    kept = tuple(p for p in paths if p.is_file() and not LEFT_BEHIND & set(p.parts))
    assert kept, "no files found: the tests would look at nothing"
    return kept


def python_files(*folders: str) -> list[Path]:
    """The Python files under the given top folders."""
    return [p for p in committed() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in folders]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of one file, nested ones too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def named(path: Path, line: int = 0) -> str:
    """`path` as it is shown in a failure."""
    shown = str(path.relative_to(ROOT))
    return f"{shown}:{line}" if line else shown
