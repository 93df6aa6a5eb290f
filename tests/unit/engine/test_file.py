"""What is special to the file engine: its layout."""

from pathlib import Path

from exclave.durable import make_folders
from exclave.engine.file import FileEngine
from exclave.engine.interface import log_file_key, put_object, shard_key
from exclave.ids import ShardRoot


def test_layout_is_that_of_the_specification(tmp_path: Path) -> None:
    mission, tmp = tmp_path / "m", tmp_path / "tmp"
    mission.mkdir()
    tmp.mkdir()
    engine = FileEngine(mission, tmp)
    put_object(engine, shard_key(ShardRoot(b"\xab" * 32)), [b"s"])
    engine.replace_head(log_file_key("tile/entries/x001/000.p/3"), b"t")
    (mission / "state.db").write_bytes(b"an index")
    assert (mission / "shards" / "ab" / ("ab" * 32)).read_bytes() == b"s"
    assert (mission / "log/tile/entries/x001/000.p/3").read_bytes() == b"t"
    assert len(list(engine.keys(""))) == 2
    assert list(tmp.iterdir()) == []


def test_folders_that_are_there_are_known(tmp_path: Path) -> None:
    known: set[Path] = set()
    make_folders(tmp_path, tmp_path / "a" / "b", known)
    make_folders(tmp_path, tmp_path / "a" / "b", set())
    assert known == {tmp_path / "a", tmp_path / "a" / "b"}
