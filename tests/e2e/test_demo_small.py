"""`exclave demo` in small, as a process: it notices, it leaves nothing behind.

That it passes: `test_demo_kept`.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exclave.demo.postgres import available_majors

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        not {16, 18} <= set(available_majors()), reason="needs PostgreSQL 16 and 18"
    ),
]

SIZE = "0.02"
PROGRAM = "import sys; from exclave.cli import main; sys.exit(main())"
TAMPERING = """
import sys
from pathlib import Path
from exclave.demo.story import run

def tamper(server, folder):
    with server.connect("population_register") as connection:
        table = connection.execute(
            "SELECT schemaname, relname FROM pg_stat_user_tables ORDER BY n_live_tup DESC"
        ).fetchone()
        name = '"%s"."%s"' % table
        connection.execute("ALTER TABLE %s DISABLE TRIGGER ALL" % name)
        connection.execute("DELETE FROM %s WHERE ctid = (SELECT min(ctid) FROM %s)" % (name, name))
    deed = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size > 100)[0]
    data = bytearray(deed.read_bytes())
    data[50] ^= 1
    deed.write_bytes(data)

sys.exit(run(size=float(sys.argv[1]), keep=False, folder=Path(sys.argv[2]), json=True,
             tamper=tamper))
"""


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


def test_what_was_altered_after_the_restore_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAMPERING, SIZE, str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    value = json.loads(done.stdout)
    assert not value["proven"]
    altered = {item["id"]: item["faults"] for item in value["registers"] if not item["proven"]}
    assert set(altered) == {"population-register", "land-register-deeds"}
    assert "population_register." in altered["population-register"][0]
    assert altered["population-register"][0].endswith("]"), "the key of the row is named"
    assert not (tmp_path / "demo").exists()
    pids = [int(number) for number in re.findall(r"pid (\d+)", done.stderr)]
    assert len(pids) >= 4
    assert not any(map(alive, pids))


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
