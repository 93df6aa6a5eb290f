"""Every direct dependency has a line in docs/dependencies.md, with the licence that it declares."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata

import pytest

from tests.structure.sources import ROOT


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def direct() -> list[str]:
    """The packages that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"]]
    for group in project["project"]["optional-dependencies"].values():
        wanted += group
    for group in project["dependency-groups"].values():
        wanted += group
    return sorted({normal(re.match(r"[\w.-]+", text)[0]) for text in wanted})  # type: ignore[index]


def documented() -> dict[str, str]:
    """Package and licence of every row of the tables."""
    rows: dict[str, str] = {}
    for line in (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] != "Package":
            names = re.sub(r"\(.*\)", "", cells[0])
            rows |= {normal(name.strip()): cells[3] for name in names.split(",")}
    return rows


def declared_licence(name: str) -> str | None:
    """What the installed package says: expression, short text, or classifier; None if absent."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return None
    expression = found.get("License-Expression") or found.get("License") or ""
    classifiers = [c for c in found.get_all("Classifier") or [] if c.startswith("License ::")]
    last = classifiers[0].rpartition(":: ")[2] if classifiers else ""
    return expression.splitlines()[0] if expression else last


def test_there_are_dependencies() -> None:
    assert len(direct()) > 10


@pytest.mark.parametrize("name", direct())
def test_dependency_is_explained(name: str) -> None:
    rows = documented()
    assert name in rows, f"{name}: expected a line in docs/dependencies.md"
    licence = declared_licence(name)
    # atheris is installed by `make fuzz` only; some wheels declare no licence at all.
    assert not licence or rows[name] == licence, f"{name}: declared {licence!r}"


def test_no_line_without_a_dependency() -> None:
    assert set(documented()) <= set(direct())
