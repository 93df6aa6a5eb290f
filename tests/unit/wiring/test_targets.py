"""Which place of `targets.toml` each source of a register is restored to."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.archive.manifest import Register, RegisterSource, SourceKind
from exclave.source.command import CommandTarget
from exclave.source.files.restore import FilesTarget
from exclave.source.interface import Target
from exclave.source.postgresql import PostgresTarget
from exclave.source.sqlite import SqliteTarget
from exclave.wiring import registers
from exclave.wiring.registers import TargetMissing, target_of
from exclave.wiring.settings import TargetSettings, load_target_settings
from tests.support.registers import MOMENT

FOLDER = '[default.folder]\nkind = "folder"\npath = "out"\n'
SERVER = '[default.postgresql]\nkind = "postgresql"\nhost = "h"\nuser = "u"\n'


def register(**sources: SourceKind) -> Register:
    """A register with sources that hold nothing."""
    return Register(
        id="land",
        title="Land",
        owner="o",
        classification="none",
        rpo=1,
        rto=1,
        depends_on=(),
        runbook=None,
        artefacts=None,
        started=MOMENT,
        ended=MOMENT,
        notes=(),
        sources=tuple(
            RegisterSource(name=name, kind=kind, started=MOMENT, ended=MOMENT, facts=(), objects=())
            for name, kind in sources.items()
        ),
    )


def settings(tmp_path: Path, text: str) -> TargetSettings:
    """As the file says."""
    (tmp_path / "targets.toml").write_text(text)
    return load_target_settings(tmp_path / "targets.toml")


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were chosen, in order."""
    chosen: list[Path] = []
    real = registers._folder

    def folder(source: RegisterSource, place: Path) -> Target:
        chosen.append(place)
        return real(source, place)

    monkeypatch.setattr(registers, "_folder", folder)
    return chosen


def targets(land: Register, said: TargetSettings) -> list[type[Target]]:
    """What each source gets."""
    return [type(target_of(land, item, said)) for item in land.sources]


def test_one_source_goes_where_its_register_goes(tmp_path: Path, places: list[Path]) -> None:
    text = FOLDER + '[register.other]\nkind = "folder"\npath = "o"\n'
    assert targets(register(files="files"), settings(tmp_path, text)) == [FilesTarget]
    own = '[register.land]\nkind = "folder"\npath = "mine"\n'
    assert targets(register(files="files"), settings(tmp_path, own)) == [FilesTarget]
    assert places == [tmp_path / "out" / "land", tmp_path / "mine"]


def test_several_lie_apart_and_may_need_a_server_too(tmp_path: Path, places: list[Path]) -> None:
    land = register(scans="files", index="postgresql", extract="command", old="sqlite")
    text = FOLDER + SERVER + '[register.land.scans]\nkind = "folder"\npath = "scans"\n'
    assert targets(land, settings(tmp_path, text)) == [
        FilesTarget,
        PostgresTarget,
        CommandTarget,
        SqliteTarget,
    ]
    below = tmp_path / "out" / "land"
    assert places == [tmp_path / "scans", below / "extract", below / "old"]


def test_one_target_for_several_sources_is_refused(tmp_path: Path) -> None:
    text = FOLDER + '[register.land]\nkind = "folder"\npath = "mine"\n'
    with pytest.raises(TargetMissing, match="for each of its sources, got one for all") as caught:
        targets(register(scans="files", extract="command"), settings(tmp_path, text))
    assert caught.value.hint is not None
    assert "[register.land.scans]" in caught.value.hint


def test_a_source_without_a_target_is_named(tmp_path: Path) -> None:
    land = register(scans="files", index="postgresql")
    with pytest.raises(TargetMissing, match=r"register land\.index \(postgresql\) has no target"):
        targets(land, settings(tmp_path, FOLDER))
    wrong = FOLDER + '[register.land.index]\nkind = "folder"\npath = "x"\n'
    with pytest.raises(TargetMissing, match=r"land\.index: expected a target for postgresql"):
        targets(land, settings(tmp_path, wrong))
