"""How much of what a program let go stays in its memory (glibc).

Packs are 16 MiB. Left alone, the allocator soon keeps memory of that size for itself, in heaps that
fill with holes between what lives longer: the more packs have passed, the higher the mark.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Final

__all__ = ["return_large_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE: Final = 4 << 20
"""Bytes from which memory is the kernel's own again as soon as it is let go."""
_SPARE: Final = 32 << 20
"""Bytes at the end of a heap that stay: below that much, small pieces would come and go."""


def return_large_memory() -> None:
    """For commands through which packs pass; does nothing where the C library is another one."""
    if sys.platform == "linux":
        with suppress(AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, _LARGE)
            mallopt(_M_TRIM_THRESHOLD, _SPARE)
