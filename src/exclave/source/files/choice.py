"""Which paths of a tree are meant when only some are named."""

from __future__ import annotations

import hashlib

from exclave.archive.objects import FilesTree

__all__ = ["chosen", "proof_key", "wanted"]


def chosen(path: bytes, only: tuple[bytes, ...]) -> bool:
    """Whether a path is named or lies below a named one; every path when none is named."""
    return not only or any(path == name or path.startswith(name + b"/") for name in only)


def wanted(path: bytes, only: tuple[bytes, ...]) -> bool:
    """Whether a path is chosen or is a folder on the way to one that is."""
    if not only:
        return True
    return chosen(path, only) or not path or any(name.startswith(path + b"/") for name in only)


def proof_key(tree: FilesTree, only: tuple[bytes, ...]) -> bytes:
    """Names what was restored: a tree, or a choice of its paths."""
    return tree.tree_root + hashlib.sha256(b"\0".join(sorted(only))).digest()
