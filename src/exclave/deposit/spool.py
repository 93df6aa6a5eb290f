"""The spool: shards for seats that could not be reached, in a bounded folder.

A veil share lies here only sealed to its seat (spec/dispersal.md 5), so whoever takes the
spool holds nothing that the seat's host would not hold. Files are named by seat and shard
root and appear whole. The spool is the depositor's own; delivered files are removed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from exclave.durable import NoSpace, make_path, write_new_file
from exclave.errors import StorageError
from exclave.ids import Seat, ShardRoot

__all__ = ["Spool", "SpoolFull"]


class SpoolFull(StorageError):
    """The spool has no room for another shard."""


class Spool:
    """Folder `<path>/<seat>/<shard root hex>`; thread-safe."""

    def __init__(self, path: Path, *, limit: int) -> None:
        """`limit`: most bytes that all files together may take."""
        self._path = path
        self._limit = limit
        self._lock = threading.Lock()
        make_path(path)
        self._tmp = path / "tmp"
        self._tmp.mkdir(mode=0o700, exist_ok=True)
        for leftover in self._tmp.iterdir():
            leftover.unlink()
        self._used = sum(file.stat().st_size for file in self._files())

    @property
    def used(self) -> int:
        """Bytes taken."""
        return self._used

    @property
    def limit(self) -> int:
        """Bytes that may be taken."""
        return self._limit

    def put(self, seat: Seat, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> None:
        """Store a sealed shard durably; again is no error."""
        final = self._file(seat, root)
        size = sum(len(part) for part in parts)
        if final.exists():
            return
        with self._lock:
            if self._used + size > self._limit:
                raise SpoolFull(
                    f"spool {self._path}: {self._used + size} bytes needed, limit {self._limit}",
                    hint=f"seat {seat} has been late for long: restore its line, "
                    "raise spool_limit, or carry the spool to it",
                )
            self._used += size
        try:
            make_path(final.parent)
            write_new_file(final, parts, mode=0o600, tmp_folder=self._tmp)
        except NoSpace as error:
            self._give_back(size)
            raise SpoolFull(f"spool {self._path}: disk full", hint="free some space") from error
        except (OSError, StorageError):
            self._give_back(size)
            raise

    def get(self, seat: Seat, root: ShardRoot) -> bytes | None:
        """A sealed shard, or None when it is not here."""
        try:
            return self._file(seat, root).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"spool {self._path}: {error.strerror}") from error

    def has(self, seat: Seat, root: ShardRoot) -> bool:
        """Whether a sealed shard is here."""
        return self._file(seat, root).exists()

    def delivered(self, seat: Seat, root: ShardRoot) -> None:
        """Forget a shard that its seat acknowledged."""
        file = self._file(seat, root)
        try:
            size = file.stat().st_size
            file.unlink()
        except FileNotFoundError:
            return
        self._give_back(size)

    def seats(self) -> Iterator[tuple[Seat, int, int]]:
        """For each seat with spooled shards: seat, files, bytes."""
        for folder in sorted(self._path.iterdir()):
            if not folder.name.isdigit():
                continue
            sizes = [f.stat().st_size for f in folder.iterdir() if f.is_file()]
            if sizes:
                yield Seat(int(folder.name)), len(sizes), sum(sizes)

    def shards(self, seat: Seat | None = None) -> Sequence[tuple[Seat, ShardRoot]]:
        """Everything that lies here, or what lies here for one seat."""
        return [
            (Seat(int(file.parent.name)), ShardRoot(bytes.fromhex(file.name)))
            for file in self._files()
            if seat is None or int(file.parent.name) == seat
        ]

    def forget_unless(self, wanted: Callable[[Seat, ShardRoot], bool]) -> int:
        """Remove shards of packs that never became safe; returns how many."""
        removed = 0
        for file in self._files():
            root = ShardRoot(bytes.fromhex(file.name))
            if not wanted(Seat(int(file.parent.name)), root):
                self.delivered(Seat(int(file.parent.name)), root)
                removed += 1
        return removed

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._used -= size

    def _files(self) -> list[Path]:
        return [file for file in self._path.glob("[0-9]*/*") if file.is_file()]

    def _file(self, seat: Seat, root: ShardRoot) -> Path:
        return self._path / str(seat) / root.hex()
