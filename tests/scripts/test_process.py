"""What the program does as a process: signals, pipes, faults of its own, quick help."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from exclave.cli.app import COMMANDS
from exclave.cli.core_dumps import CORE_LIMIT
from tests.scripts.conftest import Mission, call, spawn

EXCLAVE = [sys.executable, "-m", "exclave"]


def test_help_names_every_command() -> None:
    """As a process, without anything heavy being imported."""
    ran = spawn("--help")
    assert ran.code == 0
    for name in COMMANDS:
        assert f" {name} " in ran.out
    heavy = ("aiohttp", "cryptography", "numpy", "psycopg", "rich.progress", "apsw")
    code = (
        "import sys; from exclave.cli import main; main(['--help']); "
        f"print('loaded:', [m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("loaded: []\n")


@pytest.mark.parametrize("command", [["vault"], ["warrant"], ["vault", "init"], ["found"]])
def test_help_of_commands(command: list[str]) -> None:
    """Every level explains itself."""
    ran = spawn(*command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: exclave {' '.join(command)}")


def test_version() -> None:
    """One line."""
    from exclave import __version__

    assert spawn("--version").out == f"exclave {__version__}\n"


def test_broken_pipe_is_quiet(embassy: Mission) -> None:
    """As with `exclave limits charter.json | true`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        command = [*EXCLAVE, "limits", str(embassy.charter)]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_that_nobody_reads_on_is_a_broken_pipe_too() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(
            [*EXCLAVE, "--help"], stdout=gone, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("command", [["--version"], ["limits", "charter"]])
def test_output_on_a_full_disk_is_no_fault_of_the_program(
    embassy: Mission, command: list[str]
) -> None:
    typed = [str(embassy.charter) if word == "charter" else word for word in command]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*EXCLAVE, *typed], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 8
    assert done.stderr.startswith("exclave: ")
    assert "No space left on device\nhint: " in done.stderr
    assert "crash" not in done.stderr


def test_output_that_was_closed_is_no_fault_of_the_program(embassy: Mission) -> None:
    closed = 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", closed, "sh", *EXCLAVE, "limits", str(embassy.charter)],
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        8,
        "exclave: standard output: expected one that can be written, got none\n",
    )


def test_sigterm_stops_a_command(tmp_path: Path, embassy: Mission) -> None:
    """Blocked on a passphrase from a pipe that nobody fills."""
    reading, writing = os.pipe()
    command = [*EXCLAVE, "official", "init", "--out", str(tmp_path / "k"), "--passphrase-fd"]
    with subprocess.Popen(
        [*command, str(reading)], pass_fds=[reading], stderr=subprocess.PIPE, text=True
    ) as running:
        os.close(reading)
        _wait_until_reading(running.pid)
        running.send_signal(signal.SIGTERM)
        assert running.stderr is not None
        assert running.stderr.read() == "exclave: terminated\n"
    os.close(writing)
    assert running.returncode == 143
    assert list(tmp_path.iterdir()) == []


def _wait_until_reading(pid: int) -> None:
    # /proc/<pid>/wchan names what a process sleeps in; a pipe's read is what we wait for.
    while b"pipe" not in Path(f"/proc/{pid}/wchan").read_bytes():
        assert Path(f"/proc/{pid}").exists()


def test_fault_of_the_program(monkeypatch: pytest.MonkeyPatch, embassy: Mission) -> None:
    """One line and a crash file for its owner alone, without values or messages."""

    def broken(*_: object) -> None:
        secret = "the recovery seed"
        raise RuntimeError(secret)

    monkeypatch.setattr("exclave.limits.limits", broken)
    ran = call("limits", embassy.charter)
    assert ran.code == 70
    assert ran.err.startswith("exclave: unexpected RuntimeError: a fault of this program")
    crash = Path(ran.err.split("written to ")[1].splitlines()[0])
    text = crash.read_text()
    assert stat.S_IMODE(crash.stat().st_mode) == 0o600
    crash.unlink()
    assert "in broken" in text
    assert text.endswith("builtins.RuntimeError\n")
    assert "the recovery seed" not in text.replace('secret = "the recovery seed"', "")
    assert "the recovery seed" not in ran.err


def test_interrupt(monkeypatch: pytest.MonkeyPatch, embassy: Mission) -> None:
    """Control-C."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exclave.limits.limits", interrupted)
    ran = call("limits", embassy.charter)
    assert (ran.code, ran.out, ran.err) == (130, "", "exclave: interrupted\n")


def test_json_and_quiet(embassy: Mission) -> None:
    """The options may stand anywhere."""
    for arguments in (["--json", "limits", embassy.charter], ["limits", embassy.charter, "--json"]):
        assert len(call(*arguments).json["limits"]) > 5


def test_no_core_file_can_be_written() -> None:
    """Neither to a file nor to a collector of crashes: the memory holds secrets."""
    code = (
        "import resource; from exclave.cli import main; main(['--version']); "
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == f"({CORE_LIMIT}, {CORE_LIMIT})"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows undumpable processes")
@pytest.mark.parametrize("command", ["unseal", "found"])
def test_the_recovery_key_is_closed_to_debuggers(command: str, tmp_path: Path) -> None:
    """Other programs of the same user cannot read it out of memory."""
    arguments = {
        "unseal": ["unseal", str(tmp_path / "none")],
        "found": ["found", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--prepare"],
    }[command]
    code = (
        f"import ctypes; from exclave.cli import main; main({arguments!r}); "
        "print('dumpable', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "dumpable 0"
