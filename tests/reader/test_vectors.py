"""Every vector runs through the standalone reader, in a process that knows nothing else."""

import re
import subprocess
import sys
from pathlib import Path

from tests.reader.loaded import PATH, ROOT

VECTORS = ROOT / "vectors"


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """verify-vectors with an empty environment."""
    command = [sys.executable, "-I", str(PATH), "verify-vectors", str(folder), *more]
    return subprocess.run(command, env={}, capture_output=True, text=True, check=False)


def test_every_vector_passes() -> None:
    done = run(VECTORS, "--strict")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_folder_has_vectors_that_ran() -> None:
    printed = run(VECTORS).stdout
    counts = dict(re.findall(r"^(\S+): (\d+) passed", printed, flags=re.MULTILINE))
    folders = {str(p.parent.relative_to(VECTORS)) for p in VECTORS.rglob("*.json")}
    assert folders
    assert all(int(counts.get(folder, 0)) > 0 for folder in folders), counts
    assert int(counts["total"]) >= 300


def test_no_vectors_fail(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 1


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"operation": "later", "input": {}, "expect": {}}')
    good = (VECTORS / "dispersal" / "code-row-k2-seat3.json").read_bytes()
    (tmp_path / "b.json").write_bytes(good)
    assert "not run: a.json" in run(tmp_path).stdout
    assert run(tmp_path).returncode == 0
    assert run(tmp_path, "--strict").returncode == 1


def test_a_wrong_expectation_fails(tmp_path: Path) -> None:
    good = (VECTORS / "dispersal" / "code-row-k2-seat3.json").read_text()
    (tmp_path / "b.json").write_text(re.sub(r'"seat": 3', '"seat": 4', good))
    assert run(tmp_path).returncode == 1
