"""A program's output as a source: what is captured, and every way of failing."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from exclave.archive.manifest import CommandOutput, Register
from exclave.source.command import (
    CommandConfig,
    CommandFailed,
    CommandMissing,
    CommandSource,
    CommandTarget,
    OutputTooSmall,
)
from exclave.source.single_file import FileExists, FileUnwritable
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent


def source(tmp_path: Path, program: str, *, least: int = 1, timeout: float = 60) -> CommandSource:
    """A Python program as a source."""
    return CommandSource(
        CommandConfig(
            command=(sys.executable, "-c", program),
            folder=tmp_path,
            file="land.dump",
            least=least,
            timeout=timeout,
        )
    )


def captured(tmp_path: Path, archive: MemoryArchive, program: str) -> Register:
    """The register that it makes."""
    return register_of(source(tmp_path, program).capture(archive, silent), "command")


def test_its_output_comes_back_under_its_name(tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    program = "import os, sys; sys.stdout.write(os.getcwd() + ' ' + 'x' * 3_000_000)"
    register = captured(tmp_path, archive, program)
    (output,) = register.objects
    assert isinstance(output, CommandOutput)
    assert (output.file, output.size) == ("land.dump", len(str(tmp_path)) + 1 + 3_000_000)
    target = CommandTarget(tmp_path / "out")
    target.check_empty(register)
    target.restore(register, archive, silent)
    text = (tmp_path / "out" / "land.dump").read_text()
    assert text.startswith(f"{tmp_path} xxx")
    assert target.compare(register, archive, silent).differences == ()


def test_what_stands_there_is_never_overwritten(tmp_path: Path) -> None:
    archive = MemoryArchive(tmp_path)
    register = captured(tmp_path, archive, "print('rows')")
    target = CommandTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    with pytest.raises(FileExists):
        target.restore(register, archive, silent)
    (tmp_path / "out" / "land.dump").write_text("other\n")
    (difference,) = target.compare(register, archive, silent).differences
    assert (difference.subject, difference.what) == ("land.dump", "content differs")
    (tmp_path / "out" / "land.dump").unlink()
    (difference,) = target.compare(register, archive, silent).differences
    assert difference.what == "unreadable"


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    """The manifest is a depositor's word: it writes nothing outside the target."""
    archive = MemoryArchive(tmp_path)
    config = CommandConfig(command=("echo", "x"), folder=tmp_path, file="../land.dump")
    register = register_of(CommandSource(config).capture(archive, silent), "command")
    with pytest.raises(FileUnwritable):
        CommandTarget(tmp_path / "out").restore(register, archive, silent)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; print('half'); sys.exit('disk is gone')", "got 1: disk is gone"),
        ("import os; print('half', flush=True); os.kill(os.getpid(), 9)", "got -9: it said noth"),
    ],
)
def test_another_exit_code_is_an_error(tmp_path: Path, program: str, said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        source(tmp_path, program).capture(MemoryArchive(tmp_path), silent)


def test_less_than_the_least_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputTooSmall, match="at least 100 bytes of output, got 5"):
        source(tmp_path, "print('rows')", least=100).capture(MemoryArchive(tmp_path), silent)
    with pytest.raises(OutputTooSmall, match="at least 1 bytes of output, got 0"):
        source(tmp_path, "").capture(MemoryArchive(tmp_path), silent)


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, time\n"
        "child = os.fork()\n"
        "if child: pathlib.Path('child').write_text(str(child))\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(CommandFailed, match="expected to end within"):
        source(tmp_path, program, timeout=2).capture(MemoryArchive(tmp_path), silent)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 20
    while _lives(child) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _lives(child)


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    missing = CommandSource(CommandConfig(command=("no-such-dump",), folder=tmp_path))
    with pytest.raises(CommandMissing):
        missing.check()
    with pytest.raises(CommandMissing):
        missing.capture(MemoryArchive(tmp_path), silent)
    with pytest.raises(CommandMissing, match="expected a folder to run in"):
        CommandSource(CommandConfig(command=("echo",), folder=tmp_path / "none")).check()
    assert source(tmp_path, "").check() == ()
