"""A run that is killed between a target's last step and its own note goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from exclave.archive.manifest import Register
from exclave.source.interface import ArchiveSupply, Compared, Progress, Target, TargetOccupied
from tests.support.embassy import Embassy, Reading, default_target, found_embassy


class Killed(BaseException):
    """The process ends here."""


class KilledAfterwards:
    """A target whose restore is complete when the process ends."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def check_empty(self, register: Register) -> None:
        self._target.check_empty(register)

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        self._target.restore(register, supply, progress, only=only)
        raise Killed

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        return self._target.compare(register, supply, progress, only=only)


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path / "mission") as made:
        made.write_registers(mib=0.1)
        made.deposit()
        yield made


@pytest.fixture
def allowed(embassy: Embassy, tmp_path: Path) -> tuple[Reading, Mapping[bytes, bytes]]:
    reading = embassy.authorise(tmp_path / "out" / ".work" / "reader")
    return reading, embassy.unseal(reading)


def _kill_each(embassy: Embassy, restore: Callable[..., object], out: Path) -> None:
    for _ in embassy.registers:
        with pytest.raises(Killed):
            restore(targets=lambda register: KilledAfterwards(default_target(out, register)))


def test_what_was_restored_but_not_noted_is_compared(
    embassy: Embassy, allowed: tuple[Reading, Mapping[bytes, bytes]], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def restore(**changes: object) -> object:
        return embassy.restore(*allowed, out=out, state=out / ".work", **changes)  # type: ignore[arg-type]

    _kill_each(embassy, restore, out)
    assert embassy.restore(*allowed, out=out, state=out / ".work").proven


def test_what_others_put_there_meanwhile_is_still_refused(
    embassy: Embassy, allowed: tuple[Reading, Mapping[bytes, bytes]], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def restore(**changes: object) -> object:
        return embassy.restore(*allowed, out=out, state=out / ".work", **changes)  # type: ignore[arg-type]

    with pytest.raises(Killed):
        restore(targets=lambda register: KilledAfterwards(default_target(out, register)))
    [begun] = [folder for folder in out.iterdir() if folder.name == "scans"]
    (begun / "theirs").write_text("not ours\n")
    with pytest.raises(TargetOccupied):
        restore()
    assert (begun / "theirs").read_text() == "not ours\n"
