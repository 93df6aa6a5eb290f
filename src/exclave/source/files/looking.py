"""Looks at written files: what their bytes are now, and since when. Also a program of its own.

Reading many small files back takes as long as writing them, and two threads of one interpreter do
not do both at once. So whoever restores many files starts this as a second process (`proof.py`):
`python -P -m exclave.source.files.looking ROOT ANSWERS`, two inherited descriptors.

Rules
- Questions come on standard input until it ends. The answer to one stands in ANSWERS at its place:
  inode and change time of a file that is as it should be, zeros for any other.
- Files are opened by name below ROOT, never through a link; nothing is written but answers.
- It ends with its standard input, so it never outlives who asks.
"""

from __future__ import annotations

import os
import signal
import stat
import struct
import sys
import time
from typing import BinaryIO, Final

from blake3 import blake3

from exclave.source.files.folder import FILE_FLAGS, OpenFolders, read_xattrs

__all__ = ["ANSWER", "QUESTION", "Looker", "answer_all", "hash_file", "tick_over"]

QUESTION: Final = struct.Struct("=QQ32sI")
"""Place, size and BLAKE3 of a file, and the length of its path, which follows."""
ANSWER: Final = struct.Struct("=QQ")

SMALL: Final = 2**18
"""Up to here a file is read in one call."""
_PIECE: Final = 2**20
_LONGEST_TICK: Final = 0.05
_COARSE_CLOCK: Final = 5
"""CLOCK_REALTIME_COARSE of Linux, which Python does not name."""


class Looker:
    """Says of opened files whether they are as they should be."""

    def __init__(self, *, able: bool = True) -> None:
        self.able = able  # false from when the clock turned out to have been set back

    def look(
        self, descriptor: int, size: int, digest: bytes, xattrs: tuple[tuple[bytes, bytes], ...]
    ) -> os.stat_result | None:
        """Read the file whole; what it was when that began, or None. Closes the descriptor."""
        try:
            facts = os.fstat(descriptor)
            # Where the clock was set back that is true of all files to come.
            self.able = self.able and tick_over(facts.st_ctime_ns)
            if (
                self.able
                and stat.S_ISREG(facts.st_mode)
                and facts.st_size == size
                and hash_file(descriptor, size) == (size, digest)
                and read_xattrs(descriptor) == xattrs
            ):
                return facts
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return None


def hash_file(descriptor: int, expected: int) -> tuple[int, bytes]:
    """Bytes and BLAKE3 of a whole file; `expected` is what its size should be."""
    if expected <= SMALL:
        data = os.pread(descriptor, expected + 1, 0)
        if len(data) == expected:  # asked for one more, so this is all
            return expected, blake3(data).digest()
    digest, size = blake3(), 0
    piece = memoryview(bytearray(_PIECE))
    while count := os.preadv(descriptor, [piece], size):
        digest.update(piece[:count])
        size += count
    return size, digest.digest()


def tick_over(change: int) -> bool:
    """Wait until a change from now on must have a later time; False when that never comes.

    The kernel stamps changes with its coarse clock, or with a later, finer time.
    """
    until = time.monotonic() + _LONGEST_TICK
    while time.clock_gettime_ns(_COARSE_CLOCK) <= change:
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def answer_all(questions: BinaryIO, root: int, answers: int) -> None:
    """Answer until there are no more questions."""
    looker = Looker()
    with OpenFolders(root) as folders:
        while len(head := questions.read(QUESTION.size)) == QUESTION.size:
            place, size, digest, length = QUESTION.unpack(head)
            path = questions.read(length)
            try:
                parent, name = folders.holder(path)
                descriptor = os.open(name, FILE_FLAGS, dir_fd=parent)
            except OSError:
                continue
            facts = looker.look(descriptor, size, digest, ())
            if facts is not None:
                answer = ANSWER.pack(facts.st_ino, facts.st_ctime_ns)
                os.pwrite(answers, answer, place * ANSWER.size)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks decides when to stop
    answer_all(sys.stdin.buffer, int(sys.argv[1]), int(sys.argv[2]))
