"""No copy of this process on disk when it crashes: its memory holds secrets.

What the system swaps out is another matter (`exclave limits`).
"""

from __future__ import annotations

import resource
import sys
from typing import Final

__all__ = ["CORE_LIMIT", "close_to_debuggers", "forbid_core_dumps"]

CORE_LIMIT: Final = 1 if sys.platform == "linux" else 0
"""Bytes. Linux writes no file below a page; at exactly 1 it feeds no crash collector either, while
at 0 it does (core(5), fs/coredump.c)."""

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def forbid_core_dumps() -> None:
    """Neither a core file nor anything for a crash collector, of this process and its children."""
    resource.setrlimit(resource.RLIMIT_CORE, (CORE_LIMIT, CORE_LIMIT))


def close_to_debuggers() -> None:
    """Other programs of the same user can no longer read this process's memory (Linux only).

    For commands that handle the recovery key; does nothing elsewhere.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
