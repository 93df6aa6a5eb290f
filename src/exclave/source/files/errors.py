"""Why a file tree could not be captured or restored, one class per cause.

SourceError
+-- TreeUnreadable   the folder, a file or an attribute cannot be read
+-- FileChanging     a file kept changing while it was read
TargetError
+-- FolderNotEmpty
+-- TreeUnwritable
"""

from __future__ import annotations

import os

from exclave.errors import SourceError, TargetError
from exclave.source.interface import TargetOccupied

__all__ = ["FileChanging", "FolderNotEmpty", "TreeUnreadable", "TreeUnwritable", "shown"]


class TreeUnreadable(SourceError):
    """Something in the tree cannot be read."""


class FileChanging(SourceError):
    """A file was written each time it was read."""


class FolderNotEmpty(TargetOccupied):
    """The target folder holds something that this restore did not write."""


class TreeUnwritable(TargetError):
    """Something in the target cannot be created or written."""


def shown(path: bytes) -> str:
    """A path for messages: any bytes, readable, without control characters."""
    text = os.fsdecode(path).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) or "."
