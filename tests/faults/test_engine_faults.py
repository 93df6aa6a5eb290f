"""What holds after each way in which a write goes wrong."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exclave.durable import NameTaken, replace_file, write_new_file
from exclave.engine.file import FileEngine
from exclave.engine.interface import (
    CHECKPOINT_KEY,
    NoSpace,
    ObjectConflict,
    StorageFailed,
    body_key,
    has_object,
    put_object,
    shard_key,
)
from exclave.engine.memory import Fault, MemoryEngine
from exclave.errors import StorageError
from exclave.ids import ShardRoot

KEY = body_key(hashlib.sha256(b"body").digest())

# fault, error, readable after it, readable after a power cut too
TABLE = [
    (Fault.LOST, StorageFailed, False, False),
    (Fault.PERSISTED, StorageFailed, True, True),
    (Fault.UNSYNCED, StorageFailed, True, False),
    (Fault.NO_SPACE, NoSpace, False, False),
]


def test_table_has_every_failing_fault() -> None:
    assert {row[0] for row in TABLE} == set(Fault) - {Fault.OTHER_BYTES}


@pytest.mark.parametrize(("fault", "error", "seen", "kept"), TABLE)
def test_object(fault: Fault, error: type[StorageError], seen: bool, kept: bool) -> None:
    engine = MemoryEngine(faults={1: fault})
    with pytest.raises(error):
        put_object(engine, KEY, [b"body"])
    assert has_object(engine, KEY) is seen
    engine.crash()
    assert has_object(engine, KEY) is kept
    assert put_object(engine, KEY, [b"body"]) is not kept
    engine.crash()
    assert engine.get(KEY) == b"body"


@pytest.mark.parametrize(("fault", "error", "seen", "kept"), TABLE)
def test_head(fault: Fault, error: type[StorageError], seen: bool, kept: bool) -> None:
    engine = MemoryEngine(faults={2: fault})
    engine.replace_head(CHECKPOINT_KEY, b"old")
    with pytest.raises(error):
        engine.replace_head(CHECKPOINT_KEY, b"new")
    assert engine.get(CHECKPOINT_KEY) == (b"new" if seen else b"old")
    engine.crash()
    assert engine.get(CHECKPOINT_KEY) == (b"new" if kept else b"old")


def test_repeating_after_a_failed_sync_makes_durable() -> None:
    engine = MemoryEngine(faults={1: Fault.UNSYNCED})
    with pytest.raises(StorageFailed):
        put_object(engine, KEY, [b"body"])
    assert not put_object(engine, KEY, [b"body"])
    engine.crash()
    assert engine.get(KEY) == b"body"


def test_other_bytes_and_conflicts_are_noted() -> None:
    engine = MemoryEngine(faults={1: Fault.OTHER_BYTES})
    assert put_object(engine, KEY, [b"body"])
    assert engine.get(KEY) != b"body"
    with pytest.raises(ObjectConflict):
        put_object(engine, KEY, [b"body"])
    assert engine.conflicts == [KEY]


def test_writers_die_with_the_power_and_memory_fills_up() -> None:
    engine = MemoryEngine(capacity=5)
    with engine.create_writer(KEY) as writer:
        writer.write(b"body")
        with pytest.raises(NoSpace):
            writer.write(b"more")
        engine.crash()
        with pytest.raises(StorageFailed):
            writer.commit()


# --- the file engine, at each of its system calls ---------------------------------------


def fail(code: int) -> Callable[..., int]:
    def call(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    return call


@pytest.fixture
def engine(tmp_path: Path) -> FileEngine:
    (tmp_path / "mission").mkdir()
    (tmp_path / "tmp").mkdir()
    return FileEngine(tmp_path / "mission", tmp_path / "tmp")


@pytest.mark.parametrize("call", ["open", "write", "fchmod", "fsync", "link", "mkdir"])
@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EIO, StorageFailed)],
)
def test_each_failing_call(
    engine: FileEngine,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    error: type[StorageError],
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail(code))
        with pytest.raises(error):
            put_object(engine, KEY, [b"body"])
    assert not has_object(engine, KEY)
    assert put_object(engine, KEY, [b"body"])


def test_a_failed_write_leaves_no_temporary_file(
    engine: FileEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail(errno.EIO))
        for act in (
            lambda: put_object(engine, KEY, [b"body"]),
            lambda: replace_file(tmp_path / "f", [b"x"]),
            lambda: write_new_file(tmp_path / "f", [b"x"]),
        ):
            with pytest.raises(StorageFailed):
                act()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"mission", "tmp"}


def test_short_writes_go_on(engine: FileEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:3]))
    put_object(engine, KEY, [b"a longer body", b"", b"and more"])
    assert engine.get(KEY) == b"a longer bodyand more"


def calls_of(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[str]:
    seen: list[str] = []

    def noting(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **keywords: object) -> object:
            seen.append(name)
            return real(*args, **keywords)

        return call

    with monkeypatch.context() as patched:
        for name in ("mkdir", "write", "fchmod", "fsync", "link", "replace", "rename", "unlink"):
            patched.setattr(os, name, noting(name, getattr(os, name)))
        act()
    return seen


def test_order_of_calls(engine: FileEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = ["mkdir", "fsync"] * 2
    stored = ["write", "fchmod", "fsync", "link", "unlink", "fsync"]
    put = calls_of(monkeypatch, lambda: put_object(engine, KEY, [b"body"]))
    assert put == folders + stored
    again = calls_of(monkeypatch, lambda: put_object(engine, KEY, [b"body"]))
    assert again == ["write", "fchmod", "fsync", "link", "fsync", "fsync", "unlink"]
    head = calls_of(monkeypatch, lambda: engine.replace_head(CHECKPOINT_KEY, b"c"))
    assert head == [
        "mkdir", "fsync", "write", "fchmod", "fsync", "replace", "fsync",
    ]  # fmt: skip


def test_objects_are_read_only_files(engine: FileEngine) -> None:
    put_object(engine, KEY, [b"body"])
    assert engine.path_of(KEY).stat().st_mode & 0o777 == 0o400
    assert engine.path_of(KEY).parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_read_is_not_empty(
    engine: FileEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_object(engine, KEY, [b"body"])
    monkeypatch.setattr(os, "scandir", fail(errno.EIO))
    with pytest.raises(StorageFailed):
        list(engine.keys("bodies/"))


def test_single_files(tmp_path: Path) -> None:
    final = tmp_path / "file"
    write_new_file(final, [b"a", b"b"])
    assert final.read_bytes() == b"ab"
    with pytest.raises(NameTaken):
        write_new_file(final, [b"c"])
    replace_file(final, [b"d"])
    assert final.read_bytes() == b"d"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


SHARD = shard_key(ShardRoot(hashlib.sha256(b"shard").digest()))


@pytest.mark.parametrize(("fault", "error", "removed", "for_good"), TABLE)
def test_sweep(fault: Fault, error: type[StorageError], removed: bool, for_good: bool) -> None:
    engine = MemoryEngine(faults={2: fault})
    put_object(engine, SHARD, [b"shard"])
    with pytest.raises(error):
        engine.sweep(SHARD)
    assert has_object(engine, SHARD) is not removed
    engine.crash()
    assert has_object(engine, SHARD) is not for_good
    assert engine.sweep(SHARD) is not for_good
    engine.crash()
    assert not has_object(engine, SHARD)


def test_a_sweep_that_cannot_be_synced_is_said_and_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mission", "tmp"):
        (tmp_path / name).mkdir()
    engine = FileEngine(tmp_path / "mission", tmp_path / "tmp")
    put_object(engine, SHARD, [b"shard"])
    synced: list[Path] = []

    def failing(folder: Path) -> None:
        synced.append(folder)
        if len(synced) == 1:
            raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("exclave.durable.sync_folder", failing)
    with pytest.raises(StorageFailed):
        engine.sweep(SHARD)
    assert not engine.sweep(SHARD)
    assert synced == 2 * [(tmp_path / "mission" / SHARD).parent], "the folder is synced again"
