"""A folder of cases that is there must not be empty: a loader that finds nothing proves nothing."""

import pytest

from tests.structure.sources import ROOT, committed

LOADED = (
    "vectors",
    "spec",
    "reader",
    "tests/attacks",
    "tests/contract",
    "tests/faults",
    "tests/fixtures",
    "tests/mutations",
    "tests/property",
    "tests/scripts",
    "tests/vectors",
)


@pytest.mark.parametrize("name", LOADED)
def test_folder_holds_something(name: str) -> None:
    folder = ROOT / name
    held = [path for path in committed() if path.is_relative_to(folder)]
    if any(path.is_file() for path in folder.rglob("*")):
        assert held, f"{name}/: expected committed files, got none"
        assert any(path.stat().st_size for path in held), f"{name}/: every file is empty"


def test_every_test_module_holds_a_test() -> None:
    modules = [p for p in committed() if p.name.startswith("test_") and p.suffix == ".py"]
    assert modules
    empty = [p for p in modules if "def test_" not in p.read_text(encoding="utf-8")]
    assert not empty, [str(p.relative_to(ROOT)) for p in empty]
