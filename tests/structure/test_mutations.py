"""The mutation runner refuses a change that does not apply, and every mutation file applies."""

from pathlib import Path

import pytest

from tests.structure.sources import ROOT
from tools.mutations import FOLDER, Mutation, MutationFailed, apply, load


def mutation(old: str, new: str = "return False") -> Mutation:
    return Mutation(
        name="m", promise="P1", defence="d", file="a.py", old=old, new=new, tests=("t.py::test_t",)
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("def f():\n    return True\n\n\ndef g():\n    return 1 + 1\n")
    return tmp_path


def test_a_change_is_made(tree: Path) -> None:
    apply(mutation("return True"), tree)
    assert "return False" in (tree / "a.py").read_text()


@pytest.mark.parametrize("old", ["return None", "return", "return True\n"])
def test_a_change_that_does_not_fit_is_refused(tree: Path, old: str) -> None:
    before = (tree / "a.py").read_text()
    with pytest.raises(MutationFailed):
        apply(mutation(old, new="return (" if old.endswith("\n") else "pass"), tree)
    assert (tree / "a.py").read_text() == before


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MutationFailed, match="expected a file"):
        apply(mutation("return True"), tmp_path)


@pytest.mark.parametrize("text", ["promise = 'P1'\n", "tests = []\nextra = 1\n"])
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(MutationFailed):
        load(path)


def test_every_mutation_fits_the_sources() -> None:
    for path in sorted(FOLDER.glob("*.toml")):
        loaded = load(path)
        source = (ROOT / loaded.file).read_text(encoding="utf-8")
        assert source.count(loaded.old) == 1, f"{path.name}: old text in {loaded.file}"
        for test in loaded.tests:
            assert (ROOT / test.partition("::")[0]).is_file(), f"{path.name}: {test}"
