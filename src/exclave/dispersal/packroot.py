"""The pack root (spec/dispersal.md 2): tree root over a sealed pack's 64 KiB pieces; names it."""

from __future__ import annotations

import hashlib

from exclave.dispersal.field import Bytes
from exclave.ids import PackRoot
from exclave.merkle import tree_root

__all__ = ["PIECE_SIZE", "pack_root"]

PIECE_SIZE = 65536


def pack_root(ciphertext: Bytes) -> PackRoot:
    """Root of a sealed pack; hashing releases the interpreter lock."""
    view = memoryview(ciphertext)
    start_leaf = hashlib.sha256(b"\x00").copy
    leaves: list[bytes] = []
    for start in range(0, len(view), PIECE_SIZE):
        digest = start_leaf()
        digest.update(view[start : start + PIECE_SIZE])
        leaves.append(digest.digest())
    return PackRoot(tree_root(leaves))
