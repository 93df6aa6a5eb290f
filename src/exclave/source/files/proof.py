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
import subprocess
import sys
from array import array
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from exclave.archive.filetree import FileEntry
from exclave.source.files.folder import FILE_FLAGS, OpenFolders
from exclave.source.files.looking import ANSWER, QUESTION, SMALL, Looker, tick_over
from exclave.values import dataclass

__all__ = ["Beside", "Probed", "Proof", "ReadBack", "probe"]

_MANY_FILES: Final = 2_000
_MANY_BYTES: Final = 64 * 2**20
"""From here on a second process reads files back: starting it costs as much as some hundreds."""
_QUESTIONS: Final = 16 * 2**10
_BEHIND_FILES: Final = 512
_BEHIND_BYTES: Final = 32 * 2**20
"""How far reading back stays behind writing, so that ticks are over."""
_AT_ONCE: Final = 2


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
        kept = tick_over(before.st_ctime_ns)
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

    def __len__(self) -> int:
        return len(self._times)

    def add(self) -> int:
        """One more file, not proven yet; its place."""
        self._inodes.append(0)
        self._times.append(0)
        return len(self._times) - 1

    def prove(self, place: int, facts: os.stat_result) -> None:
        """It was as it should be after these facts were taken."""
        self._inodes[place] = facts.st_ino
        self._times[place] = facts.st_ctime_ns

    def learn(self, answers: bytes) -> None:
        """Take over what another process has proven: an `ANSWER` for each place."""
        pairs = array("Q", answers)
        inodes, times = pairs[::2], array("q", pairs[1::2].tobytes())
        for place, change in enumerate(self._times):
            if change:
                inodes[place], times[place] = self._inodes[place], change
        self._inodes, self._times = inodes, times

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
        self._root = root
        self._folders = OpenFolders(root)
        self._looker = Looker(able=keeps_change_times)
        self._proof = Proof()
        self._behind: deque[tuple[int, FileEntry]] = deque()
        self._bytes = 0  # of the files in `_behind`
        self._written = 0  # of all so far
        self._beside: Beside | None = None
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="read-back")
        self._running: deque[tuple[Future[None], int]] = deque()  # with the opened file

    def written(self, entry: FileEntry) -> None:
        """A file is complete, attributes included."""
        place = self._proof.add()
        if not self._looker.able:
            return
        self._behind.append((place, entry))
        self._bytes += entry.size
        self._written += entry.size
        if self._beside is None and (place > _MANY_FILES or self._written > _MANY_BYTES):
            self._beside = Beside(self._root)
        while len(self._behind) > _BEHIND_FILES or self._bytes > _BEHIND_BYTES:
            self._next()

    def finish(self) -> Proof:
        """Read the rest."""
        while self._behind:
            self._next()
        while self._running:
            self._running.popleft()[0].result()
        if self._beside is not None:
            self._proof.learn(self._beside.answers(len(self._proof)))
        return self._proof

    def close(self) -> None:
        """Let go of everything; what was begun ends by itself."""
        for running, descriptor in self._running:
            if running.cancel():
                os.close(descriptor)
        if self._beside is not None:
            self._beside.close()
        self._pool.shutdown()
        self._folders.close()

    def _next(self) -> None:
        place, entry = self._behind.popleft()
        self._bytes -= entry.size
        if self._beside is not None and not entry.xattrs:
            self._beside.ask(place, entry)
            return
        try:
            parent, name = self._folders.holder(entry.path)
            descriptor = os.open(name, FILE_FLAGS, dir_fd=parent)
        except OSError:
            return
        if entry.size <= SMALL:  # handing it over to another thread costs more
            self._check(descriptor, place, entry)
            return
        running = self._pool.submit(self._check, descriptor, place, entry)
        self._running.append((running, descriptor))
        while len(self._running) > 2 * _AT_ONCE:
            self._running.popleft()[0].result()

    def _check(self, descriptor: int, place: int, entry: FileEntry) -> None:
        facts = self._looker.look(descriptor, entry.size, entry.blake3, entry.xattrs)
        if facts is not None:
            self._proof.prove(place, facts)


class Beside:
    """A second process that looks at files (`looking.py`), and what it has found.

    One that fails has proven nothing: the comparison reads everything then.
    """

    def __init__(self, root: int) -> None:
        self._found = os.memfd_create("exclave-read-back", os.MFD_CLOEXEC)
        words = ["-P", "-m", "exclave.source.files.looking", str(root), str(self._found)]
        self._process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(root, self._found),
            bufsize=_QUESTIONS,
        )
        assert self._process.stdin is not None
        self._questions = self._process.stdin

    def ask(self, place: int, entry: FileEntry) -> None:
        """One more file to be looked at; waits when it is far behind."""
        path = entry.path
        try:
            self._questions.write(QUESTION.pack(place, entry.size, entry.blake3, len(path)) + path)
        except BrokenPipeError:
            return  # it has failed, which `answers` notices

    def answers(self, places: int) -> bytes:
        """When all are looked at: an `ANSWER` for each place, zeros where nothing is proven."""
        nothing = bytes(places * ANSWER.size)
        with suppress(BrokenPipeError):
            self._questions.close()
        if self._process.wait():
            return nothing
        return os.pread(self._found, len(nothing), 0).ljust(len(nothing), b"\0")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._questions.close()
        os.close(self._found)
