"""The file engine: one mission's folder of a vault (spec/vault-folder.md).

How a file becomes durable is `exclave.durable`'s matter. Rules: objects are mode 0400,
heads 0600 and folders 0700, since a shard has its veil share in the clear; objects are never opened
for writing under their final name; symbolic links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from exclave.durable import (
    DurableFile,
    make_folders,
    remove_file,
    replace_file,
    settle_file,
    storage_errors,
)
from exclave.engine.interface import (
    ENROLMENT_KEY,
    KeyRefused,
    ObjectConflict,
    ObjectKey,
    ObjectMissing,
    ObjectWriter,
    check_head_key,
    check_object_key,
    check_shard_key,
)

__all__ = ["FileEngine"]

_TOPS = ("bodies", "log", "meta", "shards")
_BLOCK = 1 << 20


class FileEngine:
    """Engine over `folder`; uploads in progress lie in `tmp`, on the same file system.

    Both folders must exist.
    """

    __slots__ = ("_folder", "_known", "_tmp")

    def __init__(self, folder: Path, tmp: Path) -> None:
        self._folder = folder
        self._tmp = tmp
        self._known: set[Path] = set()

    def create_writer(self, key: ObjectKey) -> ObjectWriter:
        """See `Engine`."""
        final = self._folder / check_object_key(key)
        make_folders(self._folder, final.parent, self._known)
        return _FileWriter(final, self._tmp)

    def replace_head(self, key: ObjectKey, data: bytes) -> None:
        """See `Engine`."""
        final = self._folder / check_head_key(key)
        make_folders(self._folder, final.parent, self._known)
        replace_file(final, [data], mode=0o600, tmp_folder=self._tmp)

    def get(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> bytes:
        """See `Engine`."""
        with storage_errors(key):
            descriptor = self._open(key)
            with os.fdopen(descriptor, "rb", buffering=0) as stream:
                stream.seek(offset)
                return _read(stream.fileno(), length)

    def read_into(self, key: ObjectKey, into: Sequence[bytearray | memoryview]) -> int:
        """See `Engine`."""
        with storage_errors(key):
            descriptor = self._open(key)
            try:
                return _fill(descriptor, into)
            finally:
                os.close(descriptor)

    def size(self, key: ObjectKey) -> int:
        """See `Engine`."""
        with storage_errors(key):
            descriptor = self._open(key)
            try:
                return os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)

    def keys(self, prefix: str) -> Iterator[ObjectKey]:
        """See `Engine`."""
        start = prefix.rpartition("/")[0]
        if ".." in start.split("/") or start.startswith("/"):
            raise KeyRefused(f"object key: no prefix of a key: {prefix[:120]!r}")
        # Sorted whole: a walk by folders would put "a.p/1" and "a/1" in another order than keys.
        with storage_errors(prefix or "keys"):
            found = sorted(key for key in self._walk(start) if key.startswith(prefix))
        yield from (ObjectKey(key) for key in found)

    def free_bytes(self) -> int:
        """See `Engine`."""
        with storage_errors("free space"):
            state = os.statvfs(self._folder)
        return state.f_bavail * state.f_frsize

    def sweep(self, key: ObjectKey) -> bool:
        """See `Engine`."""
        return remove_file(self._folder / check_shard_key(key))

    def path_of(self, key: ObjectKey) -> Path:
        """The file of an object, to be sent as it stands. Raises `ObjectMissing`."""
        self.size(key)
        return self._folder / key

    def _walk(self, start: str) -> Iterator[str]:
        if not start:
            for top in _TOPS:
                yield from self._walk(top)
            if (self._folder / ENROLMENT_KEY).is_file():
                yield ENROLMENT_KEY
        elif start.split("/", maxsplit=1)[0] in _TOPS:
            for folder, _, names in os.walk(self._folder / start, onerror=_refuse):
                below = Path(folder).relative_to(self._folder).as_posix()
                yield from (f"{below}/{name}" for name in names)

    def _open(self, key: ObjectKey) -> int:
        _check_key(key)
        try:
            return os.open(self._folder / key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectMissing(f"object {key}: not there") from error


class _FileWriter:
    __slots__ = ("_done", "_file", "_final")

    def __init__(self, final: Path, tmp: Path) -> None:
        self._final = final
        self._file = DurableFile(tmp, final.name)
        self._done = False

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)

    def commit(self) -> bool:
        try:
            self._file.sync(0o400)
            with storage_errors(self._final.name):
                try:
                    self._file.link(self._final)
                except FileExistsError:
                    self._compare()
                    settle_file(self._final)
                    return False
                return True
        finally:
            self.abort()

    def abort(self) -> None:
        if not self._done:
            self._done = True
            self._file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def _compare(self) -> None:
        with self._file.temporary.open("rb") as ours, self._final.open("rb") as theirs:
            while True:
                block = ours.read(_BLOCK)
                if theirs.read(_BLOCK) != block:
                    raise ObjectConflict(f"object {self._final.name}: other bytes are there")
                if not block:
                    return


def _check_key(key: ObjectKey) -> None:
    if key.startswith(("log/", "meta/")):
        check_head_key(key)
    else:
        check_object_key(key)


def _refuse(error: OSError) -> None:
    # os.walk would pass over a folder that cannot be read: a list that is short without a word.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _read(descriptor: int, length: int | None) -> bytes:
    parts: list[bytes] = []
    left = length
    while left is None or left > 0:
        part = os.read(descriptor, _BLOCK if left is None else min(left, _BLOCK))
        if not part:
            break
        parts.append(part)
        left = None if left is None else left - len(part)
    return b"".join(parts)


def _fill(descriptor: int, into: Sequence[bytearray | memoryview]) -> int:
    done = 0
    waiting = [memoryview(buffer) for buffer in into]
    while waiting and (count := os.readv(descriptor, waiting)):
        done += count
        while waiting and count >= len(waiting[0]):
            count -= len(waiting.pop(0))
        if waiting:
            waiting[0] = waiting[0][count:]
    return done
