"""Small files with a secret in them: read when it is needed, refused where others may read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from exclave.errors import ConfigurationError

__all__ = ["SecretFileUnusable", "read_private"]

_MOST: Final = 4096


class SecretFileUnusable(ConfigurationError):
    """A file with a key or credentials cannot be read, or others may read it too."""


def read_private(path: Path, *, lines: int, least: int = 1) -> tuple[str, ...]:
    """Exactly so many lines of at least `least` characters; raises `SecretFileUnusable`."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            data = stream.read(_MOST + 1)
    except OSError as error:
        raise SecretFileUnusable(f"{path}: cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise SecretFileUnusable(
            f"{path}: expected mode 0600, got {mode:04o}", hint=f"chmod 600 {path}"
        )
    try:
        found = tuple(data.decode("utf-8").rstrip("\r\n").splitlines())
    except UnicodeDecodeError as error:
        raise SecretFileUnusable(f"{path}: expected UTF-8, got other bytes") from error
    if len(data) > _MOST or len(found) != lines or any(len(line) < least for line in found):
        what = "one line" if lines == 1 else f"{lines} lines"
        raise SecretFileUnusable(f"{path}: expected {what} of {least} or more characters")
    return found
