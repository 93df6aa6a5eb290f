"""A catalogue says its format once there is another one than the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.deposit.catalogue import Catalogue, CatalogueTooNew


@pytest.mark.parametrize(
    ("mark", "got"),
    [
        (b"exclave catalogue v2\n", "got format 2"),
        (b"exclave catalogue v02\n", "got something else"),
        (b"", "got something else"),
    ],
)
def test_a_later_format_is_not_touched(tmp_path: Path, mark: bytes, got: str) -> None:
    (tmp_path / "FORMAT").write_bytes(mark)
    with pytest.raises(CatalogueTooNew, match=f"expected a catalogue of format 1, {got}"):
        Catalogue(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["FORMAT"]


def test_the_first_format_has_no_mark(tmp_path: Path) -> None:
    assert Catalogue(tmp_path / "catalogue").entries() == []
    assert not (tmp_path / "catalogue" / "FORMAT").exists()
