"""Reads files back soon after they were written, so that comparing need not read them once more.

What a `Proof` says of a file: it was opened by its name again and read whole through the file
system; size, BLAKE3 and extended attributes were those of its entry; and this was its inode, and
this its change time, when that reading began. A program cannot set a change time; every write,
every new attribute and every new name moves it. So a file that still has both is as it was read.
What a proof does not say: that the medium keeps it. Reading comes from the system's cache, as any
reading soon after writing does.

Rules
- Change times advance in ticks. A file is read back only when the tick of its last change is over,
  or a change in the same tick would not show.
- Where a file system does not keep change times so (`probe` tries it), nothing is proven here, and
  whoever compares reads everything.
- A file that cannot be read, or that is not as it should be, is just not proven: to say what is
  wrong with it is the comparison's business.
"""

from __future__ import annotations

import os
import stat
import time
from array import array
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from exclave.archive.filetree import FileEntry
from exclave.source.files.folder import FILE_FLAGS, OpenFolders, read_xattrs

__all__ = ["Probed", "Proof", "ReadBack", "hash_file", "probe"]

_PIECE: Final = 2**20
_SMALL: Final = 2**18
"""Up to here a file is read in one call, in the writing thread: handing it over costs more."""
_BEHIND_FILES: Final = 512
_BEHIND_BYTES: Final = 32 * 2**20
"""How far reading back stays behind writing, so that ticks are over."""
_AT_ONCE: Final = 2
_LONGEST_TICK: Final = 0.05
_COARSE_CLOCK: Final = 5
"""CLOCK_REALTIME_COARSE of Linux, which Python does not name."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What new files are like in a folder."""

    keeps_change_times: bool
    owners: tuple[int, int]  # user and group that a new file gets by itself


def probe(root: int) -> Probed:
    """Try it with a file without a name in the opened, empty folder."""
    try:
        descriptor = os.open(b".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=root)
    except OSError:
        return Probed(keeps_change_times=False, owners=(-1, -1))
    try:
        os.write(descriptor, b"1")
        before = os.fstat(descriptor)
        kept = _tick_over(before.st_ctime_ns)
        os.pwrite(descriptor, b"2", 0)
        os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
        kept = kept and os.fstat(descriptor).st_ctime_ns > before.st_ctime_ns
    finally:
        os.close(descriptor)
    return Probed(keeps_change_times=kept, owners=(before.st_uid, before.st_gid))


class Proof:
    """Inode and change time of each regular file that was read back, by its place in the order."""

    def __init__(self) -> None:
        self._inodes = array("Q")
        self._times = array("q")

    @property
    def begun(self) -> bool:
        """Whether it comes from a restore, which has decoded every entry."""
        return bool(self._times)

    def add(self) -> int:
        """One more file, not proven yet; its place."""
        self._inodes.append(0)
        self._times.append(0)
        return len(self._times) - 1

    def prove(self, place: int, facts: os.stat_result) -> None:
        """It was as it should be after these facts were taken."""
        self._inodes[place] = facts.st_ino
        self._times[place] = facts.st_ctime_ns

    def holds(self, place: int, facts: os.stat_result) -> bool:
        """Whether the file is still what was read back."""
        return (
            place < len(self._times)
            and self._times[place] != 0
            and (self._inodes[place], self._times[place]) == (facts.st_ino, facts.st_ctime_ns)
        )


class ReadBack:
    """Reads each file some time after `written` was told of it."""

    def __init__(self, root: int, *, keeps_change_times: bool) -> None:
        self._folders = OpenFolders(root)
        self._able = keeps_change_times
        self._proof = Proof()
        self._behind: deque[tuple[int, FileEntry]] = deque()
        self._bytes = 0  # of the files in `_behind`
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="read-back")
        self._running: deque[tuple[Future[None], int]] = deque()  # with the opened file

    def written(self, entry: FileEntry) -> None:
        """A file is complete, attributes included."""
        place = self._proof.add()
        if not self._able:
            return
        self._behind.append((place, entry))
        self._bytes += entry.size
        while len(self._behind) > _BEHIND_FILES or self._bytes > _BEHIND_BYTES:
            self._next()

    def finish(self) -> Proof:
        """Read the rest."""
        while self._behind:
            self._next()
        while self._running:
            self._running.popleft()[0].result()
        return self._proof

    def close(self) -> None:
        """Let go of everything; what was begun ends by itself."""
        for running, descriptor in self._running:
            if running.cancel():
                os.close(descriptor)
        self._pool.shutdown()
        self._folders.close()

    def _next(self) -> None:
        place, entry = self._behind.popleft()
        self._bytes -= entry.size
        try:
            parent, name = self._folders.holder(entry.path)
            descriptor = os.open(name, FILE_FLAGS, dir_fd=parent)
        except OSError:
            return
        if entry.size <= _SMALL:
            self._check(descriptor, place, entry)
            return
        running = self._pool.submit(self._check, descriptor, place, entry)
        self._running.append((running, descriptor))
        while len(self._running) > 2 * _AT_ONCE:
            self._running.popleft()[0].result()

    def _check(self, descriptor: int, place: int, entry: FileEntry) -> None:
        try:
            facts = os.fstat(descriptor)
            # Where the clock was set back that is true of all files to come.
            self._able = self._able and _tick_over(facts.st_ctime_ns)
            if (
                self._able
                and stat.S_ISREG(facts.st_mode)
                and facts.st_size == entry.size
                and hash_file(descriptor, entry.size) == (entry.size, entry.blake3)
                and read_xattrs(descriptor) == entry.xattrs
            ):
                self._proof.prove(place, facts)
        except OSError:
            return
        finally:
            os.close(descriptor)


def hash_file(descriptor: int, expected: int) -> tuple[int, bytes]:
    """Bytes and BLAKE3 of a whole file; `expected` is what its size should be."""
    if expected <= _SMALL:
        data = os.pread(descriptor, expected + 1, 0)
        if len(data) == expected:  # asked for one more, so this is all
            return expected, blake3(data).digest()
    digest, size = blake3(), 0
    piece = memoryview(bytearray(_PIECE))
    while count := os.preadv(descriptor, [piece], size):
        digest.update(piece[:count])
        size += count
    return size, digest.digest()


def _tick_over(change: int) -> bool:
    """Wait until a change from now on must have a later time; False when that never comes.

    The kernel stamps changes with its coarse clock, or with a later, finer time.
    """
    until = time.monotonic() + _LONGEST_TICK
    while time.clock_gettime_ns(_COARSE_CLOCK) <= change:
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True
