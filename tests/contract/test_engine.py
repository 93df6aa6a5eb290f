"""The contract of `Engine`, for every engine there is."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from exclave.engine.file import FileEngine
from exclave.engine.interface import (
    CHECKPOINT_KEY,
    ENROLMENT_KEY,
    Engine,
    KeyRefused,
    ObjectConflict,
    ObjectKey,
    ObjectMissing,
    StorageFailed,
    body_key,
    has_object,
    log_file_key,
    meta_key,
    put_object,
    shard_key,
)
from exclave.engine.memory import MemoryEngine
from exclave.ids import ShardRoot

KEY = body_key(hashlib.sha256(b"body").digest())


def file_engine(folder: Path) -> Engine:
    mission, tmp = folder / "mission", folder / "tmp"
    mission.mkdir()
    tmp.mkdir()
    return FileEngine(mission, tmp)


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "file": file_engine,
    "memory": lambda _: MemoryEngine(),
}


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return ENGINES[request.param](tmp_path)


def test_put_and_get(engine: Engine) -> None:
    assert put_object(engine, KEY, [b"bo", memoryview(b"dy")])
    assert engine.get(KEY) == b"body"
    assert engine.get(KEY, 1) == b"ody"
    assert engine.get(KEY, 1, 2) == b"od"
    assert engine.get(KEY, 3, 100) == b"y"
    assert engine.get(KEY, 9) == b""
    assert engine.get(KEY, 0, 0) == b""
    first, second, third = bytearray(1), bytearray(2), bytearray(b"--")
    assert engine.read_into(KEY, [first, memoryview(second), third]) == 4
    assert (first, second, third) == (b"b", b"od", b"y-")
    assert engine.read_into(KEY, [first]) == 1
    assert engine.read_into(KEY, []) == 0
    assert engine.size(KEY) == 4
    assert has_object(engine, KEY)


def test_same_bytes_again_change_nothing(engine: Engine) -> None:
    assert put_object(engine, KEY, [b"body"])
    assert not put_object(engine, KEY, [b"body"])
    assert engine.get(KEY) == b"body"


@pytest.mark.parametrize("other", [b"", b"b", b"bodz", b"body and more"])
def test_other_bytes_are_refused(engine: Engine, other: bytes) -> None:
    put_object(engine, KEY, [b"body"])
    with pytest.raises(ObjectConflict):
        put_object(engine, KEY, [other])
    assert engine.get(KEY) == b"body"


def test_empty_object(engine: Engine) -> None:
    assert put_object(engine, KEY, [])
    assert engine.get(KEY) == b""


def test_nothing_shows_before_commit(engine: Engine) -> None:
    with engine.create_writer(KEY) as writer:
        writer.write(b"body")
        assert not has_object(engine, KEY)
        assert list(engine.keys("bodies/")) == []
    assert not has_object(engine, KEY)


def test_abort_leaves_nothing_and_may_be_repeated(engine: Engine) -> None:
    writer = engine.create_writer(KEY)
    writer.write(b"body")
    writer.abort()
    writer.abort()
    assert list(engine.keys("")) == []
    with pytest.raises(StorageFailed):
        writer.write(b"more")
    with pytest.raises(StorageFailed):
        writer.commit()
    assert not has_object(engine, KEY)


def test_of_two_writers_one_is_new(engine: Engine) -> None:
    with engine.create_writer(KEY) as first, engine.create_writer(KEY) as second:
        first.write(b"body")
        second.write(b"body")
        assert second.commit()
        assert not first.commit()


def test_heads_are_replaced(engine: Engine) -> None:
    engine.replace_head(CHECKPOINT_KEY, b"one")
    engine.replace_head(CHECKPOINT_KEY, b"two")
    engine.replace_head(log_file_key("tile/0/x001/234.p/7"), b"t")
    engine.replace_head(meta_key("service-time"), b"1")
    assert engine.get(CHECKPOINT_KEY) == b"two"
    assert engine.size(meta_key("service-time")) == 1


def test_missing(engine: Engine) -> None:
    for key in (KEY, CHECKPOINT_KEY, ENROLMENT_KEY, log_file_key("tile/0/000")):
        with pytest.raises(ObjectMissing):
            engine.get(key)
        with pytest.raises(ObjectMissing):
            engine.size(key)
        assert not has_object(engine, key)


def test_keys_are_listed_in_order(engine: Engine) -> None:
    shards = [shard_key(ShardRoot(hashlib.sha256(bytes([n])).digest())) for n in range(20)]
    for key in shards:
        put_object(engine, key, [b"s"])
    put_object(engine, ENROLMENT_KEY, [b"{}"])
    heads = [log_file_key(f"tile/0/{name}") for name in ("000", "000.p/1", "000.p/12", "000.p/2")]
    for key in heads:
        engine.replace_head(key, b"t")
    assert list(engine.keys("shards/")) == sorted(shards)
    assert list(engine.keys("log/tile/0/000")) == sorted(heads)
    assert list(engine.keys("log/tile/0/000.p/1")) == heads[1:3]
    assert list(engine.keys("")) == sorted([*shards, ENROLMENT_KEY, *heads])
    assert list(engine.keys("bodies/")) == []
    assert list(engine.keys("keys/")) == []


@pytest.mark.parametrize("key", [CHECKPOINT_KEY, "keys/log", "shards/aa/bb", "../x", "", "bodies"])
def test_only_objects_are_written_once(engine: Engine, key: str) -> None:
    with pytest.raises(KeyRefused):
        engine.create_writer(ObjectKey(key))


@pytest.mark.parametrize(
    "key", [KEY, ENROLMENT_KEY, "log/../bodies/x", "log/x", "meta/.hidden", "meta/", "log/tile//0"]
)
def test_only_heads_are_replaced(engine: Engine, key: str) -> None:
    with pytest.raises(KeyRefused):
        engine.replace_head(ObjectKey(key), b"x")


@pytest.mark.parametrize("key", ["state.db", "../keys/log", "/etc/passwd", "meta/../state.db"])
def test_nothing_else_is_read(engine: Engine, key: str) -> None:
    with pytest.raises(KeyRefused):
        engine.get(ObjectKey(key))


def test_room(engine: Engine) -> None:
    assert engine.free_bytes() > 0


def test_one_call_removes_and_only_shards(engine: Engine) -> None:
    names = [name for name in dir(engine) if not name.startswith("_")]
    removing = ("delete", "remove", "unlink", "sweep", "purge", "clear", "truncate")
    assert [name for name in names if any(word in name for word in removing)] == ["sweep"]
    put_object(engine, KEY, [b"body"])
    put_object(engine, ENROLMENT_KEY, [b"{}"])
    engine.replace_head(CHECKPOINT_KEY, b"one")
    others = [KEY, ENROLMENT_KEY, CHECKPOINT_KEY, meta_key("service"), log_file_key("tile/0/000")]
    wrong = ["shards", "shards/aa", "shards/../" + KEY, "/etc/passwd", f"shards/ab/{'cd' * 32}", ""]
    for key in (*others, *wrong):
        with pytest.raises(KeyRefused):
            engine.sweep(ObjectKey(key))
    assert list(engine.keys("")) == sorted([KEY, ENROLMENT_KEY, CHECKPOINT_KEY])


def test_a_shard_is_swept_once_and_may_come_again(engine: Engine) -> None:
    one, two = (shard_key(ShardRoot(hashlib.sha256(part).digest())) for part in (b"1", b"2"))
    for key in (one, two):
        put_object(engine, key, [b"shard"])
    assert engine.sweep(one)
    assert not engine.sweep(one)
    assert list(engine.keys("shards/")) == [two]
    with pytest.raises(ObjectMissing):
        engine.get(one)
    assert put_object(engine, one, [b"shard"])
    assert engine.get(one) == b"shard"
    assert not engine.sweep(shard_key(ShardRoot(bytes(32))))  # not even its folder is there
