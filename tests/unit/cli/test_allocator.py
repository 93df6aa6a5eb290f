"""Memory of a pack's size goes back to the kernel when it is let go."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from exclave.cli.allocator import return_large_memory

PACK = 12 << 20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_only_what_is_in_use_stays() -> None:
    kept, returned = (_left_over(word) for word in ("kept", "returned"))
    assert kept >= PACK, "or there would be nothing to do"
    assert returned < PACK // 4


def _left_over(word: str) -> int:
    command = [sys.executable, __file__, word]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def _resident() -> int:
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


def main(word: str) -> None:
    """Let packs go several times over, between small things that stay; what is left of them."""
    if word == "returned":
        return_large_memory()
    bytearray(b"x") * (2 * PACK)
    before, stays = _resident(), []
    for _ in range(3):
        packs = []
        for _ in range(6):
            packs.append(bytearray(b"x") * PACK)
            stays.append(bytearray(b"y") * 4096)
        del packs
    print(_resident() - before)


if __name__ == "__main__":
    main(sys.argv[1])
