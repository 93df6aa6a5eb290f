"""Leaves of bodies, and the pack root over them (spec/dispersal.md 2, 4): it names a sealed pack.

The bodies of data seats are the pack's own rows, so one pass of hashing gives the leaves of their
shards and the pack root.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from exclave.dispersal.code import body_length
from exclave.dispersal.field import Bytes
from exclave.ids import PackRoot
from exclave.merkle import leaf_hash, start_leaf, tree_root

__all__ = ["LEAF_SIZE", "body_leaves", "pack_root", "root_over", "row_leaves"]

LEAF_SIZE = 65536
"""Bytes of a body's leaf. Hashing a leaf lets other threads run, and getting the interpreter back
costs more than hashing 4 KiB: such leaves took a sixth of a deposit's processor time."""


def body_leaves(body: Bytes, size: int | None = None) -> list[bytes]:
    """Hashes of a body's leaves in order; with `size`, as if zeros followed up to that size."""
    view = memoryview(body)
    total = len(view) if size is None else size
    leaves: list[bytes] = []
    for start in range(0, total, LEAF_SIZE):
        digest = start_leaf()
        piece = view[start : start + LEAF_SIZE]
        digest.update(piece)
        if (missing := min(LEAF_SIZE, total - start) - len(piece)) > 0:
            digest.update(bytes(missing))
        leaves.append(digest.digest())
    return leaves


def row_leaves(pack: Bytes, k: int) -> list[list[bytes]]:
    """Hashes of the leaves of each of the k rows, padded with zeros as they are coded."""
    view, size = memoryview(pack), body_length(len(pack), k)
    return [body_leaves(view[row * size : (row + 1) * size], size) for row in range(k)]


def root_over(length: int, rows: Sequence[Sequence[bytes]]) -> PackRoot:
    """The root of a pack of `length` bytes over the leaves of its rows."""
    first = leaf_hash(length.to_bytes(8, "big"))
    return PackRoot(tree_root([first, *chain.from_iterable(rows)]))


def pack_root(pack: Bytes, k: int) -> PackRoot:
    """Root of a sealed pack that is cut into k rows."""
    return root_over(len(pack), row_leaves(pack, k))
