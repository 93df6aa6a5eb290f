"""One register out of a folder, a database and a program: in order, there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from exclave.archive.manifest import Register
from exclave.errors import ConfigurationError
from exclave.plan import CommandSource, FilesSource, SqliteSource
from exclave.reconstruct.run import Scope
from exclave.source.command import CommandFailed, CommandTarget
from exclave.source.files.restore import FilesTarget
from exclave.source.interface import Target
from exclave.source.single_file import FileUnwritable
from exclave.source.sqlite import SqliteTarget
from tests.support.embassy import (
    Embassy,
    PlannedRegister,
    found_embassy,
    planned_register,
    write_sqlite,
)


def land(folder: Path, *, program: str) -> PlannedRegister:
    """Deeds in a folder, an index that points at them, and what a program says."""
    deeds = folder / "deeds"
    deeds.mkdir(parents=True, exist_ok=True)
    (deeds / "1.txt").write_text("plot 1\n")
    write_sqlite(folder / "index.sqlite", rows=50, seed=1)
    return planned_register(
        "land",
        FilesSource(kind="files", name="deeds", path=str(deeds)),
        SqliteSource(kind="sqlite", name="index", path=str(folder / "index.sqlite")),
        CommandSource(
            kind="command", name="cadastre", command=("sh", "-c", program), folder=str(folder)
        ),
    )


def place_of(out: Path, register: Register) -> Target:
    """Each source in a folder of its own."""
    (source,) = register.sources
    made: dict[str, Callable[[Path], Target]] = {
        "files": FilesTarget,
        "sqlite": SqliteTarget,
        "command": CommandTarget,
    }
    return made[source.kind](out / source.name)


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    with found_embassy(tmp_path_factory.mktemp("mission")) as made:
        # The program sees what was captured before it: here it only counts.
        made.add_register(land(made.home / "registers", program="ls deeds; echo cadastre"))
        outcome = made.deposit()
        (summary,) = outcome.entry.registers
        assert (summary.kind, summary.files, summary.new > 0) == ("files+sqlite+command", 2, True)
        yield made


def test_all_sources_come_back_in_their_order(embassy: Embassy, tmp_path: Path) -> None:
    report = embassy.reconstruct(tmp_path, targets=partial(place_of, tmp_path))
    assert report.proven
    (register,) = report.registers
    assert [(s.name, s.kind) for s in register.sources] == [
        ("deeds", "files"),
        ("index", "sqlite"),
        ("cadastre", "command"),
    ]
    assert (tmp_path / "deeds" / "1.txt").read_text() == "plot 1\n"
    assert (tmp_path / "cadastre" / "dump").read_text() == "1.txt\ncadastre\n"


def test_one_object_is_named_with_its_source(embassy: Embassy, tmp_path: Path) -> None:
    targets = partial(place_of, tmp_path)
    scope = Scope(registers=("land",), objects=("deeds:1.txt",))
    assert embassy.reconstruct(tmp_path, targets=targets, scope=scope).proven
    assert (tmp_path / "deeds" / "1.txt").exists()
    assert not (tmp_path / "index").exists()


def test_an_object_without_its_source_is_refused(embassy: Embassy, tmp_path: Path) -> None:
    scope = Scope(registers=("land",), objects=("1.txt",))
    with pytest.raises(ConfigurationError, match="expected an object with its source"):
        embassy.reconstruct(tmp_path, targets=partial(place_of, tmp_path), scope=scope)


def test_what_was_finished_is_compared_and_the_rest_restored(
    embassy: Embassy, tmp_path: Path
) -> None:
    """An interruption between two sources: the first is not written again, and still looked at."""
    out, work = tmp_path / "out", tmp_path / "work"
    reading = embassy.authorise(work / "reader")
    secrets = embassy.unseal(reading)

    def broken(register: Register) -> Target:
        if register.sources[0].name == "cadastre":
            (out / "cadastre").mkdir(parents=True, exist_ok=True)
            (out / "cadastre").chmod(0o700)
            (out / "cadastre" / "dump.exclave-part").mkdir()  # no file can be written there
        return place_of(out, register)

    with pytest.raises(FileUnwritable):
        embassy.restore(reading, secrets, out=out, state=work, targets=broken)
    (out / "cadastre" / "dump.exclave-part").rmdir()
    (out / "deeds" / "1.txt").write_text("plot 2\n")
    report = embassy.restore(reading, secrets, out=out, state=work, targets=partial(place_of, out))
    (register,) = report.registers
    assert {item.subject for item in register.differences} == {"deeds: 1.txt"}
    assert (out / "cadastre" / "dump").exists()


def test_what_was_altered_in_any_source_is_named(embassy: Embassy, tmp_path: Path) -> None:
    """P11, for each source alike: the attacker has the restored places to himself."""
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    reading = embassy.authorise(work / "reader")
    secrets = embassy.unseal(reading)
    restore = partial(
        embassy.restore, reading, secrets, out=out, state=work, targets=partial(place_of, out)
    )
    assert restore().proven
    for place, subject in (("deeds/1.txt", "deeds: 1.txt"), ("cadastre/dump", "cadastre: dump")):
        kept = (out / place).read_bytes()
        (out / place).write_bytes(kept.swapcase())
        (register,) = restore().registers
        assert subject in {item.subject for item in register.differences}
        assert not register.proven
        (out / place).write_bytes(kept)


def test_a_source_that_fails_ends_the_deposit_and_is_named(embassy: Embassy) -> None:
    failing = land(embassy.home / "failing", program="echo half; exit 3")
    with pytest.raises(CommandFailed, match="register land: source cadastre: sh: expected exit"):
        embassy.deposit([failing])


def test_a_register_is_deposited_without_what_it_depends_on(
    embassy: Embassy, tmp_path: Path
) -> None:
    folder, out = tmp_path / "maps", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    (folder / "1.map").write_text("plot 1\n")
    maps = planned_register("maps", FilesSource(kind="files", name="maps", path=str(folder)))
    alone = replace(maps, plan=replace(maps.plan, depends_on=("land",)))
    try:
        embassy.deposit([alone])
        report = embassy.reconstruct(tmp_path, targets=partial(place_of, out))
        assert report.proven
        assert [register.id for register in report.registers] == ["maps"]
    finally:
        embassy.deposit()  # the newest is as other tests expect it
