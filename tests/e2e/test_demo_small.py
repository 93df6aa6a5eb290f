"""`exclave demo` in small, as a process: it leaves nothing behind, and alone what is not its own.

That it passes, and notices: `test_demo_kept`.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exclave.postgres_server.server import available_majors

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        not {16, 18} <= set(available_majors()), reason="needs PostgreSQL 16 and 18"
    ),
]

SIZE = "0.02"
PROGRAM = "import sys; from exclave.cli import main; sys.exit(main())"


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "--json", "demo", "--size", SIZE, *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "demo", "--size", SIZE, "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids: list[int] = []
        for line in process.stdout:
            pids += [int(number) for number in re.findall(r"pid (\d+)", line)]
            if "First deposit" in line:
                break
        assert len(pids) == 3
        assert all(map(alive, pids))
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 143
    assert not any(map(alive, pids))
    assert not folder.exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = demo("--folder", str(tmp_path))
    assert done.returncode not in {0, 1}
    assert "expected a new or empty folder" in done.stderr
    assert [item.name for item in tmp_path.iterdir()] == ["mine"]
