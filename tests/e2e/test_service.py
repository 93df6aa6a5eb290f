"""A register comes back with runbook and artefacts, compared like its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exclave.deposit.capture import RegisterTask
from exclave.source.files.capture import FilesConfig, FilesSource
from tests.support.embassy import Embassy, HomeRegister, files_register, found_embassy

RUNBOOK = "1. start the server\n2. ask Кадри\n".encode()


@dataclass(frozen=True, kw_only=True)
class Serviceable(HomeRegister):
    """A register that can be brought back as a service."""

    artefacts: Path

    @property
    def task(self) -> RegisterTask:
        bare = HomeRegister(plan=self.plan, source=self.source).task
        source = FilesSource(FilesConfig(folder=self.artefacts))
        return dataclasses.replace(bare, artefacts=source, runbook=RUNBOOK)


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path / "mission") as made:
        data, application = made.home / "registers" / "data", made.home / "application"
        for folder in (data, application / "bin"):
            folder.mkdir(parents=True)
        (data / "acts.txt").write_text("acts\n")
        (application / "bin" / "serve").write_text("#!/bin/sh\n")
        (application / "bin" / "serve").chmod(0o755)
        plain = files_register("acts", data)
        made.add_register(Serviceable(plan=plain.plan, source=plain.source, artefacts=application))
        made.deposit()
        made.lose_home()
        yield made


def test_runbook_and_artefacts_come_back(embassy: Embassy, tmp_path: Path) -> None:
    report = embassy.reconstruct(tmp_path / "out")
    assert report.proven
    place = tmp_path / "out" / ".work" / "service" / "acts"
    assert (place / "RUNBOOK").read_bytes() == RUNBOOK
    assert (place / "artefacts" / "bin" / "serve").stat().st_mode & 0o777 == 0o755


def test_what_was_altered_since_is_named_and_never_overwritten(
    embassy: Embassy, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    work = out / ".work"
    out.mkdir()
    reading = embassy.authorise(work / "reader")
    secrets = embassy.unseal(reading)
    assert embassy.restore(reading, secrets, out=out, state=work).proven
    place = work / "service" / "acts"
    (place / "RUNBOOK").write_text("call the intruder\n")
    (place / "artefacts" / "bin" / "serve").write_text("#!/bin/false\n")
    report = embassy.restore(reading, secrets, out=out, state=work)
    assert not report.proven
    [register] = report.registers
    subjects = {difference.subject for difference in register.differences}
    assert "RUNBOOK" in subjects
    assert any(subject.startswith("artefacts/") for subject in subjects)
    assert (place / "RUNBOOK").read_text() == "call the intruder\n"
