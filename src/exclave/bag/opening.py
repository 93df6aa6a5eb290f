"""From paths to a bag: one folder, or the volumes of a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from exclave.bag.folder import FolderBag
from exclave.bag.interface import NoBag, ReadableBag
from exclave.bag.stream import StreamBag

__all__ = ["open_bag"]


def open_bag(
    paths: Sequence[Path], *, load: Callable[[Path, int], None] | None = None
) -> ReadableBag:
    """The bag at these paths; `load` is called before each volume is read."""
    missing = [path for path in paths if not path.exists()]
    if missing or not paths:
        raise NoBag(f"{missing[0] if missing else 'bag'}: expected a folder or volumes, got none")
    if not any(path.is_dir() for path in paths):
        return StreamBag(paths) if load is None else StreamBag(paths, load=load)
    if len(paths) > 1:
        raise NoBag(
            f"bag: expected one folder, or volumes only, got {len(paths)} paths with a folder",
            hint="name one bag at a time",
        )
    return FolderBag(paths[0])
