"""The benchmark runs to its end on tiny data; what it measures is not looked at."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.__main__ import SUITES, main
from bench.changes import _chunks
from bench.data import SETS, compare_trees
from bench.measuring import BenchFailed, Run, run_program
from bench.targets import target_table
from exclave.archive.chunker import content_params, heap_table_params, ordered_table_params


def test_without_peers_it_measures_exclave_and_writes_both_files(tmp_path: Path) -> None:
    results, document = tmp_path / "results", tmp_path / "performance.md"
    place = tmp_path / "place"
    place.mkdir()
    code = main(
        [
            *("--quick", "--no-peers", "--no-postgres", "--no-rest", "--scale", "0.0005"),
            *("--set", "tiny files"),
            *("--place", str(place), "--results", str(results), "--document", str(document)),
        ]
    )
    assert code == 0
    assert list(place.iterdir()) == []
    (file,) = results.glob("*.json")
    result = json.loads(file.read_text())
    assert set(result["absent"]) == {"restic", "borg"}
    measured = [(run["contender"], run["step"]) for run in result["runs"]]
    steps = ("first", "second", "restore")
    starts = [("exclave", "start-up, --help"), ("exclave", "start-up, status")]
    files = [
        (f"exclave {name}", f"{step}, tiny files")
        for name in ("1-of-1", "2-of-3")
        for step in steps
    ]
    assert measured == [*starts, *files]
    assert all(run["seconds"] > 0 and run["peak"] > 0 for run in result["runs"])
    assert "| first, tiny files | exclave 2-of-3 |" in document.read_text()
    drawn = ElementTree.parse(tmp_path / "performance-files.svg")
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == len(files)


@pytest.mark.parametrize(
    ("name", "files"), [("mixed", 19), ("tiny files", 100), ("one large file", 1)]
)
def test_the_same_seed_gives_the_same_data_and_another_other_data(
    tmp_path: Path, name: str, files: int
) -> None:
    made = [
        SETS[name](tmp_path / place, scale=0.0005, seed=seed)
        for place, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert made[0].files == made[1].files == files
    compare_trees(made[0].folder, made[1].folder)
    with pytest.raises(AssertionError):
        compare_trees(made[0].folder, made[2].folder)


def test_a_program_that_fails_is_no_measurement() -> None:
    with pytest.raises(BenchFailed, match="ended with 3: no"):
        run_program(["sh", "-c", "echo no >&2; exit 3"])


def test_every_suite_runs_to_its_end_on_tiny_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SUITES)
    assert main(["other"]) == 2
    place = ("--place", str(tmp_path))
    assert main(["stages", "--scale", "0.0005", *place]) == 0
    assert "limit on two cores" in capsys.readouterr().out
    assert main(["wire", "--scale", "0.0005", "--repeats", "1", *place]) == 0
    assert "vault 3" in capsys.readouterr().out
    words = ("--scale", "0.002", "--no-peers", "--only", "heap: update")
    assert main(["changes", *words, *place]) == 0
    lines = capsys.readouterr().out.splitlines()[3:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    kept = {(change, tool): float(size) for change, tool, size in rows}
    table, file = "exclave, as a table", "exclave, as a file"
    assert len(kept) == 2
    assert all(0 < kept[change, table] < kept[change, file] for change, _ in kept)
    assert list(tmp_path.iterdir()) == []


def test_targets_are_judged_by_medians_of_both_sides() -> None:
    def runs(
        contender: str, *seconds: float, peak: int | None = None, step: str = "first"
    ) -> list[Run]:
        return [
            Run(contender=contender, step=step, repeat=n, seconds=s, cpu=None, peak=peak)
            for n, s in enumerate(seconds)
        ]

    measured = [
        *runs("exclave 1-of-1", 1, 9, 2, peak=300 * 2**20),
        *runs("restic", 5, 5, 4),
        *runs("borg", 3.9),
        *runs("exclave", 0.4, 0.2, 0.14, step="start-up, --help"),
        *runs("exclave", 0.4, step="start-up, status"),
    ]
    rows = list(target_table(measured))[2:]
    assert rows == [
        "| first, 1-of-1, against restic | 2.50 x | 2.5 x | 4 x | must reached, short of aim |",
        "| first, 1-of-1, against Borg | 1.95 x | 2 x | 3 x | **short of must** |",
        "| peak memory | 300 MiB | 400 MiB | 250 MiB | must reached, short of aim |",
        "| start-up, --help | 0.20 s | 0.3 s | 0.15 s | must reached, short of aim |",
        "| start-up, status | 0.40 s | 0.3 s | 0.15 s | **short of must** |",
    ]


def test_what_is_cut_is_the_whole_text() -> None:
    text = b"".join(b"%d\trow\n" % number for number in range(50_000))
    for params in (ordered_table_params(), heap_table_params(), content_params()):
        assert b"".join(_chunks(text, params)) == text
