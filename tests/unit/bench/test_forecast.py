"""`bench forecast`: its table, its raw figures, and that pages keep what others wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import forecast
from bench.__main__ import main
from bench.forecast import Compared
from bench.sections import FORECASTS, kept_section, put_section


def test_the_table_and_the_raw_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_size(place: Path, size: int, *, postgres: bool) -> Iterator[Compared]:
        assert place.is_dir()
        assert not postgres
        for what, unit, expected, came in (("deposit", "s", 2.0, 3.0), ("uplink", "B", 0, 5e6)):
            yield Compared(
                size=size, what=what, basis="assumed", unit=unit, forecast=expected, measured=came
            )

    monkeypatch.setattr(forecast, "_one_size", one_size)
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\n## Targets\n\nnone\n")
    words = ("--megabytes", "1", "2", "--no-postgres", "--place", str(tmp_path))
    for _ in range(2):
        results = ("--results", str(tmp_path / "results"), "--document", str(page))
        assert main(["forecast", *words, *results]) == 0
    text = page.read_text()
    assert text.startswith("# Performance\n\n## Targets\n\nnone\n\n## Forecast")
    assert text.count(FORECASTS) == 1
    assert "| 2 MB | deposit | assumed rates | 2.0 s | 3.0 s | 1.50 |" in text
    assert "| 1 MB | uplink | assumed rates | 0.00 MB | 5.00 MB | - |" in text
    first, _ = sorted((tmp_path / "results").iterdir())
    assert len(json.loads(first.read_text())["forecasts"]) == 4


def test_a_section_in_the_middle_is_replaced_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# P\n\n## A\n\nold\n\n## B\n\nkept\n")
    assert kept_section(page, "## A") == "## A\n\nold\n"
    put_section(page, "## A", "## A\n\nnew\n")
    assert page.read_text() == "# P\n\n## A\n\nnew\n\n## B\n\nkept\n"
    assert kept_section(page, "## C") == ""


@pytest.mark.soak
def test_it_measures_to_its_end(tmp_path: Path) -> None:
    place, results, page = tmp_path / "place", tmp_path / "results", tmp_path / "page.md"
    place.mkdir()
    words = ("--megabytes", "1", "--no-postgres", "--place", str(place))
    assert main(["forecast", *words, "--results", str(results), "--document", str(page)]) == 0
    (file,) = results.iterdir()
    found = json.loads(file.read_text())["forecasts"]
    assert [(item["what"], item["basis"]) for item in found] == [
        ("deposit", "assumed"),
        ("uplink", "assumed"),
        ("manifest", "assumed"),
        ("deposit", "measured"),
        ("uplink", "measured"),
        ("manifest", "measured"),
        ("restore", "assumed"),
    ]
    assert all(item["measured"] > 0 for item in found)
