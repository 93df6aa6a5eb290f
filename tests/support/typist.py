"""Somebody who types: a command on a pseudo-terminal of its own.

typist = Typist("unseal", request)    # starts it
typist.expect("word 1: ")             # reads on until this appears
typist.type("abstract")
typist.end()                          # reads to the end; the exit code
"""

from __future__ import annotations

import os
import pty
import select
import sys

__all__ = ["Typist"]


class Typist:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            command = [sys.executable, "-m", "exclave", *map(str, arguments)]
            os.execv(sys.executable, command)  # does not return
        self.seen = ""
        self._at = 0

    def expect(self, text: str) -> None:
        """Read until this appears after what was expected before."""
        while text not in self.seen[self._at :]:
            assert self._read(), f"expected {text!r} in {self.seen!r}"
        self._at = self.seen.index(text, self._at) + len(text)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._terminal, line.encode() + b"\n")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> bool:
        assert select.select([self._terminal], [], [], 60)[0], self.seen
        try:
            data = os.read(self._terminal, 4096)
        except OSError:  # what Linux says when the other side is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)
