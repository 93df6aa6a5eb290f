"""The quarantine's own server: nobody else gets at it, and it ends with what it was made for.

PostgreSQL refuses root. Where the tests run as root, a process of theirs has another number in a
user namespace; elsewhere it runs as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.postgres_server.programs import available_majors, pg_tool
from exclave.proof.quarantine import enter_quarantine
from exclave.proof.server import ServerNotStarted, ServerPathTooLong, own_server

pytestmark = pytest.mark.postgres

_AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_BEGIN = """
import os, sys
from pathlib import Path
from exclave.proof.databases import server_config
from exclave.proof.quarantine import enter_quarantine
from exclave.proof.server import own_server
from exclave.source.postgresql.connect import connect
place, programs = Path(sys.argv[1]), Path(sys.argv[2])
with enter_quarantine(place, None) as folder, own_server(folder, programs, jobs=1) as server:
    with connect(server_config(server), "postgres") as session:
        print(session.execute("SHOW listen_addresses").fetchone()[0] or "no address")
    print((folder / "server" / "postmaster.pid").read_text().split()[0], flush=True)
"""


def _programs() -> Path:
    if not available_majors():
        pytest.skip("no PostgreSQL is installed")
    return pg_tool(available_majors()[-1], "postgres").parent


@pytest.fixture
def place() -> Iterator[Path]:
    """Near to the root, as a socket needs it."""
    made = Path(tempfile.mkdtemp(prefix="xq-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _as_nobody(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    before = _AS_NOBODY if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*before, sys.executable, "-c", text, *words], capture_output=True, text=True, check=False
    )
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    return done


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_runs_for_its_user_alone_and_ends(place: Path) -> None:
    done = _as_nobody(_BEGIN, str(place), str(_programs()))
    assert done.returncode == 0, done.stderr
    said, pid = done.stdout.split("\n")[:2]
    assert said == "no address"
    assert not _runs(int(pid))
    assert [item.name for item in place.iterdir()] == ["quarantine.lock"]


def test_one_whose_proof_was_killed_is_ended_by_the_next(place: Path) -> None:
    done = _as_nobody(_BEGIN + "    os._exit(0)\n", str(place), str(_programs()))
    assert done.returncode == 0, done.stderr
    pid = int(done.stdout.split("\n")[1])
    assert _runs(pid), "it ended by itself: nothing to end"
    with enter_quarantine(place, None):
        assert not _runs(pid)
        assert len(list(place.glob("proof-*"))) == 1


def test_programs_that_are_not_there(place: Path) -> None:
    done = _as_nobody(_BEGIN, str(place), "/nonexistent")
    assert "/nonexistent/initdb: expected a program, got: No such file" in done.stderr


def test_a_place_that_is_too_deep_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    with (
        pytest.raises(ServerPathTooLong, match="expected at most 90 bytes"),
        own_server(deep, Path("/nonexistent"), jobs=1),
    ):
        raise AssertionError("entered")


def test_root_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with (
        pytest.raises(ServerNotStarted, match="got root"),
        own_server(tmp_path, Path("/nonexistent"), jobs=1),
    ):
        raise AssertionError("entered")
