"""The memory engine: for tests, with faults that are told to it beforehand.

Keeps the contract of `Engine`, and two states: what readers see and what a power cut leaves.
Rules: a fault strikes the write with its number (commits, replacements and sweeps, from 1);
an attempt to change a write-once object is refused and noted in `conflicts` for good.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from exclave.engine.interface import (
    NoSpace,
    ObjectConflict,
    ObjectKey,
    ObjectMissing,
    ObjectWriter,
    StorageFailed,
    check_head_key,
    check_object_key,
    check_shard_key,
)

__all__ = ["Fault", "MemoryEngine"]


class Fault(enum.Enum):
    """How a write goes wrong."""

    LOST = "fails and is not persisted"
    PERSISTED = "fails but is persisted"
    UNSYNCED = "fails, can be read, and is gone after a power cut"
    NO_SPACE = "there is no room"
    OTHER_BYTES = "succeeds, but other bytes are stored"


class MemoryEngine:
    """Engine in memory with room for `capacity` bytes."""

    def __init__(self, *, capacity: int = 1 << 30, faults: Mapping[int, Fault] | None = None):
        self.conflicts: list[ObjectKey] = []
        self._capacity = capacity
        self._faults = dict(faults or {})
        self._seen: dict[ObjectKey, bytes] = {}
        self._durable: dict[ObjectKey, bytes] = {}
        self._writes = 0
        self._age = 0
        self._lock = threading.Lock()

    @property
    def writes(self) -> int:
        """Number of writes tried so far: the faults that can be struck."""
        return self._writes

    def crash(self) -> None:
        """A power cut: what was not durable is gone, open writers are dead."""
        with self._lock:
            self._seen = dict(self._durable)
            self._age += 1

    def create_writer(self, key: ObjectKey) -> ObjectWriter:
        """See `Engine`."""
        return _MemoryWriter(self, check_object_key(key), self._age)

    def replace_head(self, key: ObjectKey, data: bytes) -> None:
        """See `Engine`."""
        check_head_key(key)
        with self._lock:
            self._store(key, data)

    def get(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> bytes:
        """See `Engine`."""
        data = self._find(key)
        return data[offset:] if length is None else data[offset : offset + length]

    def read_into(self, key: ObjectKey, into: Sequence[bytearray | memoryview]) -> int:
        """See `Engine`."""
        data, done = memoryview(self._find(key)), 0
        for buffer in into:
            piece = data[done : done + len(buffer)]
            memoryview(buffer)[: len(piece)] = piece
            done += len(piece)
        return done

    def size(self, key: ObjectKey) -> int:
        """See `Engine`."""
        return len(self._find(key))

    def keys(self, prefix: str) -> Iterator[ObjectKey]:
        """See `Engine`."""
        with self._lock:
            found = sorted(key for key in self._seen if key.startswith(prefix))
        yield from found

    def free_bytes(self) -> int:
        """See `Engine`."""
        return self._capacity - sum(len(data) for data in list(self._seen.values()))

    def sweep(self, key: ObjectKey) -> bool:
        """See `Engine`."""
        check_shard_key(key)
        with self._lock:
            self._writes += 1
            fault = self._faults.get(self._writes)
            if fault is Fault.NO_SPACE:
                raise NoSpace(f"object {key}: no space left")
            there = key in self._seen
            if fault is not Fault.LOST:
                self._seen.pop(key, None)
            if fault not in {Fault.LOST, Fault.UNSYNCED}:
                self._durable.pop(key, None)
            if fault in {Fault.LOST, Fault.PERSISTED, Fault.UNSYNCED}:
                raise StorageFailed(f"object {key}: {fault.value}")
            return there

    def spoil(self, key: ObjectKey, data: bytes | None) -> None:
        """What a failing medium does to a stored object: other bytes, or (None) it is lost."""
        with self._lock:
            for state in (self._seen, self._durable):
                state.pop(key, None)
                if data is not None:
                    state[key] = data

    def commit_object(self, key: ObjectKey, data: bytes, age: int) -> bool:
        """What a writer's commit does; `age` is that of the writer."""
        with self._lock:
            if age != self._age:
                raise StorageFailed(f"object {key}: the power was cut")
            there = self._seen.get(key)
            if there is None:
                self._store(key, data)
                return True
            if there != data:
                self.conflicts.append(key)
                raise ObjectConflict(f"object {key}: other bytes are there")
            self._durable[key] = data
            return False

    def _find(self, key: ObjectKey) -> bytes:
        if key.startswith(("log/", "meta/")):
            check_head_key(key)
        else:
            check_object_key(key)
        with self._lock:
            data = self._seen.get(key)
        if data is None:
            raise ObjectMissing(f"object {key}: not there")
        return data

    def _store(self, key: ObjectKey, data: bytes) -> None:
        self._writes += 1
        fault = self._faults.get(self._writes)
        grown = len(data) - len(self._seen.get(key, b""))
        if fault is Fault.NO_SPACE or grown > self.free_bytes():
            raise NoSpace(f"object {key}: no space left")
        if fault is Fault.OTHER_BYTES:
            data = bytes(byte ^ 0x01 for byte in data) or b"\x00"
        if fault is not Fault.LOST:
            self._seen[key] = data
        if fault not in {Fault.LOST, Fault.UNSYNCED}:
            self._durable[key] = data
        if fault in {Fault.LOST, Fault.PERSISTED, Fault.UNSYNCED}:
            raise StorageFailed(f"object {key}: {fault.value}")


class _MemoryWriter:
    __slots__ = ("_age", "_data", "_engine", "_key")

    def __init__(self, engine: MemoryEngine, key: ObjectKey, age: int) -> None:
        self._engine = engine
        self._key = key
        self._age = age
        self._data: bytearray | None = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        buffer = self._buffer()
        if len(buffer) + len(data) > self._engine.free_bytes():
            raise NoSpace(f"object {self._key}: no space left")
        buffer += data

    def commit(self) -> bool:
        data, self._data = bytes(self._buffer()), None
        return self._engine.commit_object(self._key, data, self._age)

    def abort(self) -> None:
        self._data = None

    def _buffer(self) -> bytearray:
        if self._data is None:
            raise StorageFailed(f"object {self._key}: closed already")
        return self._data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()
