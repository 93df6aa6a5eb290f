"""The quarantine's own server: nobody else gets at it, and it ends with what it was made for.

PostgreSQL refuses root. Where the tests run as root, a process of theirs has another number in a
user namespace; elsewhere it runs as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from exclave.postgres_server.programs import available_majors, pg_tool
from exclave.quarantine.folder import open_quarantine
from exclave.quarantine.own_server import ServerNotStarted, ServerPathTooLong, quick_server

pytestmark = pytest.mark.postgres

_AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_BEGIN = """
import os, sys
from pathlib import Path
from exclave.quarantine.databases import open_session
from exclave.quarantine.folder import open_quarantine
from exclave.quarantine.own_server import quick_server
place, programs = Path(sys.argv[1]), Path(sys.argv[2])
with open_quarantine(place) as folder, quick_server(folder, programs, jobs=1) as server:
    with open_session(server) as session:
        print(session.execute("SHOW listen_addresses").fetchone()[0] or "no address")
    print((folder / "server" / "postmaster.pid").read_text().split()[0], flush=True)
"""


_MEASURED = """
import json, os, sys
from pathlib import Path
from exclave.quarantine.databases import databases_on, open_session
from exclave.quarantine.folder import open_quarantine
from exclave.quarantine.note import read_note
from exclave.quarantine.own_server import measured_server
with open_quarantine(Path(sys.argv[1])) as folder, measured_server(folder) as server:
    with open_session(server) as session:
        assert "postgres" in databases_on(session)
    pid = int((folder / "server" / "postmaster.pid").read_text().split()[0])
    print(json.dumps([pid, read_note(folder).folders, os.path.realpath(folder / "server")]))
    sys.stdout.flush()
"""
_KILLED = "    os.kill(os.getpid(), 9)\n"


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
    return _run(_AS_NOBODY if os.geteuid() == 0 else (), text, *words)


def _run(before: Sequence[str], text: str, *words: str) -> subprocess.CompletedProcess[str]:
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
    assert list(place.iterdir()) == []


def test_one_whose_proof_was_killed_is_ended_by_the_next(place: Path) -> None:
    done = _as_nobody(_BEGIN + _KILLED, str(place), str(_programs()))
    assert done.returncode == -9, done.stderr
    pid = int(done.stdout.split("\n")[1])
    assert _runs(pid), "it ended by itself: nothing to end"
    with open_quarantine(place) as folder:
        assert not _runs(pid)
        assert list(place.iterdir()) == [folder]


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("before", [(), _AS_NOBODY] if os.geteuid() == 0 else [()])
def test_a_measured_one_leaves_nothing(place: Path, before: Sequence[str], killed: bool) -> None:
    """Root's runs as another account, in folders elsewhere; once killed, the next run ends it."""
    _programs()
    done = _run(before, _MEASURED + (_KILLED if killed else ""), str(place))
    assert done.returncode == (-9 if killed else 0), done.stderr
    pid, folders, data = json.loads(done.stdout)
    assert folders, "nothing was noted"
    if killed:
        assert _runs(pid), "it ended by itself: nothing to end"
        with open_quarantine(place):
            pass
    assert not _runs(pid)
    assert not any(map(os.path.lexists, [data, *folders]))
    assert list(place.iterdir()) == []


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
        quick_server(deep, Path("/nonexistent"), jobs=1),
    ):
        raise AssertionError("entered")


def test_root_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with (
        pytest.raises(ServerNotStarted, match="got root"),
        quick_server(tmp_path, Path("/nonexistent"), jobs=1),
    ):
        raise AssertionError("entered")
