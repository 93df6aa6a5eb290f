"""P10 from bags: k safes' bags and keys and the cards are left, and the bags' own reader.

What is lost: the homeland, every vault, every log. A fresh process with an empty environment runs
the reader that lies in a bag; every path that it opens is traced by the kernel, and must lie in the
bags, among cards and keys, or be the system's. Positive control: the same trace with a bag that
lies elsewhere is refused.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.attacks.test_p10_catalogue_free import SOURCES, SYSTEM
from tests.e2e.test_bag_reader import assert_same, keep
from tests.support.bags import pack_folder, pack_volumes
from tests.support.embassy import found_embassy
from tests.support.interrupting import require_tracing
from tests.support.systrace import TracingRefused, trace


def strangers(opened: Sequence[str], allowed: Sequence[Path]) -> list[str]:
    """Paths that are neither the system's, nor Python's, nor what is left."""
    program = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    program |= {path for path in sys.path if path.endswith("-packages")}
    roots = [str(path.resolve()) + "/" for path in allowed]
    roots += [f"{Path(path).resolve()}/" for path in program] + [f"{path}/" for path in program]
    # An interpreter's own site may name a folder of sources: nothing in it is opened.
    passed = {str(path) for path in Path(sys.executable).parents} | {str(SOURCES)}
    return sorted(
        {
            path
            for path in opened
            if not f"{path}/".startswith((*roots, *SYSTEM)) and path not in passed
        }
    )


def test_the_bags_of_k_safes_give_everything_back(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with found_embassy(tmp_path / "mission", n=4, safes=(3, 4)) as embassy:
        embassy.write_registers(mib=0.3)
        embassy.deposit()
        bags = [pack_folder(embassy, 3, left / "bag-3"), pack_volumes(embassy, 4, left / "bag-4")]
        cards, keys = keep(embassy, tmp_path, (3, 4))
    for bag in bags:
        assert bag.papers.exists()  # not needed, and not looked at
    places = [place for bag in bags for place in bag.places]
    work = tmp_path / "work"
    work.mkdir()
    run = trace(
        [
            *(sys.executable, "-I", "-B"),
            str(left / "bag-3" / "KIT" / "reader" / "exclave_reader.py"),
            *("extract", "--cards", *map(str, cards), "--seat-keys", *map(str, keys)),
            *("--out", str(work / "out"), *map(str, places)),
        ],
        watch=work,
        out=tmp_path / "trace",
        environment={"TMPDIR": str(work)},
        opened=True,
    )
    said = run.stdout.read()
    try:
        run.wait()
    except TracingRefused as error:
        require_tracing(error)
        raise
    assert run.exit_code == 0, said.decode() + (tmp_path / "trace" / "tracer.log").read_text()
    desk = tmp_path / "desk"
    assert strangers(run.opened, [*places, left / "bag-3", desk, work]) == []
    assert any(path.startswith(str(places[1])) for path in run.opened)
    assert strangers(run.opened, [left / "bag-3", desk, work]), "control: bag-4 lies elsewhere"
    assert_same(work / "out", tmp_path / "kept")


@pytest.mark.parametrize("lost", ["bag", "key"])
def test_fewer_than_k_give_nothing(tmp_path: Path, lost: str) -> None:
    """P4: one safe's bag and key with all cards, or both bags with one key."""
    from tests.e2e.test_bag_reader import READER, read

    with found_embassy(tmp_path / "mission", n=4, safes=(3, 4)) as embassy:
        embassy.write_registers(mib=0.1)
        embassy.deposit()
        bags = [pack_folder(embassy, seat, tmp_path / f"bag-{seat}") for seat in (3, 4)]
        cards, keys = keep(embassy, tmp_path, (3, 4))
    places = [bag.places[0] for bag in bags]
    if lost == "bag":
        places = places[:1]
    else:
        keys = keys[:1]
    said = read(
        READER, "extract", "--cards", *cards, "--seat-keys", *keys, "--out", tmp_path / "out",
        *places, expect=2,
    )  # fmt: skip
    assert "NothingFound" in said or "TooFewShards" in said
    assert not (tmp_path / "out").exists()
