"""What was released stays as it was: vectors, fixture, and what the specification says of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.structure.sources import ROOT
from tools.release import LIST, NOT_YET, RELEASED, changed, freeze, main, pins

DAY = date(2026, 12, 31)
FILES = (
    "spec/README.md",
    "vectors/README.md",
    "vectors/a/one.json",
    "vectors/b/two.json",
    "tests/fixtures/v1/embassy.tar.xz",
    "tests/fixtures/v1/expected.json",
)


def test_nothing_that_was_released_has_changed() -> None:
    assert changed(ROOT) == []


def test_the_specification_says_whether_version_1_is_released() -> None:
    page, pinned = (ROOT / "spec" / "README.md").read_text("utf-8"), pins(ROOT)
    status = NOT_YET if pinned is None else RELEASED.format(day=pinned["released"])
    assert [line for line in page.splitlines() if line.startswith("Status: ")] == [status]


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A small tree in which version 1 was released."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n{NOT_YET}\n")
    assert changed(tmp_path) == []
    freeze(tmp_path, DAY)
    assert changed(tmp_path) == []
    return tmp_path


def test_a_release_says_so_and_lists_what_sha256sum_reads(released: Path) -> None:
    assert RELEASED.format(day=DAY) in (released / "spec" / "README.md").read_text()
    lines = (released / "vectors" / LIST).read_text().splitlines()
    assert [line[64:] for line in lines] == ["  a/one.json", "  b/two.json"]


def test_additions_are_allowed(released: Path) -> None:
    (released / "vectors" / "a" / "three.json").write_text("{}")
    (released / "vectors" / "README.md").write_text("a clearer page")
    assert changed(released) == []


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda root: (root / "vectors/a/one.json").write_text("{}"), "vectors/a/one.json"),
        (lambda root: (root / "vectors/b/two.json").unlink(), "vectors/b/two.json"),
        (lambda root: shutil.rmtree(root / "tests/fixtures/v1"), "tests/fixtures/v1/embassy"),
        (lambda root: (root / "vectors" / LIST).write_text(""), LIST),
        (lambda root: (root / "vectors" / LIST).unlink(), LIST),
        (lambda root: (root / "tests/fixtures/released.toml").unlink(), "before the release"),
    ],
)
def test_what_changes_or_goes_is_named(
    released: Path, spoil: Callable[[Path], object], named: str
) -> None:
    spoil(released)
    assert any(named in line for line in changed(released))


def test_what_is_released_is_not_made_again(
    released: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.release.ROOT", released)
    assert main([]) == 1
    assert main(["2027-01-01"]) == 1
    assert "nothing of it is made again" in capsys.readouterr().err
    assert changed(released) == []
