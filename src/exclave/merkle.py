"""RFC 6962 Merkle tree hashes, shared by shards, packs, row trees and logs.

Pure functions over SHA-256: a leaf is H(0x00 || data), a node H(0x01 || left || right),
the empty tree H(""). Consistency proofs are the ledger's (`exclave.ledger`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from exclave.errors import IntegrityError

__all__ = [
    "EMPTY_ROOT",
    "InclusionInvalid",
    "RootBuilder",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "start_leaf",
    "tree_root",
    "verify_inclusion",
]

_sha256 = hashlib.sha256
EMPTY_ROOT = _sha256(b"").digest()


class InclusionInvalid(IntegrityError):
    """An inclusion proof does not lead from the leaf to the root."""


start_leaf = _sha256(b"\x00").copy
"""Begins the hash of a leaf that comes in pieces: update it, then take its digest. A copy of a
started hash is cheaper than joining 0x00 and the leaf."""


def leaf_hash(data: bytes | bytearray | memoryview) -> bytes:
    """Hash of a leaf's data, 32 bytes."""
    digest = start_leaf()
    digest.update(data)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node, 32 bytes."""
    return _sha256(b"\x01" + left + right).digest()


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf *hashes* in order, level by level."""
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    # Pairing from the left and carrying an odd last node up unchanged gives the same
    # tree as RFC 6962's split at the largest power of two.
    while len(level) > 1:
        odd = level.pop() if len(level) % 2 else None
        pairs = iter(level)
        level = [
            _sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=True)
        ]
        if odd is not None:
            level.append(odd)
    return level[0]


class RootBuilder:
    """Root over a stream of leaf hashes in memory logarithmic in their number."""

    __slots__ = ("_size", "_stack")

    def __init__(self) -> None:
        self._stack: list[bytes] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Number of leaves so far."""
        return self._size

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes in order; cheaper than one call each."""
        stack, size, sha256 = self._stack, self._size, _sha256
        for leaf in leaves:
            node, odd = leaf, size
            while odd & 1:
                node = sha256(b"\x01" + stack.pop() + node).digest()
                odd >>= 1
            stack.append(node)
            size += 1
        self._size = size

    def root(self) -> bytes:
        """Root of the leaves so far; more may follow."""
        if not self._stack:
            return EMPTY_ROOT
        result = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            result = node_hash(left, result)
        return result


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of leaf hash `index`, from the leaf upwards (RFC 6962 section 2.1.1)."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    path: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        odd = level.pop() if len(level) % 2 else None
        pairs = iter(level)
        level = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=True)]
        if odd is not None:
            level.append(odd)
        index >>= 1
    return path


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check an audit path (RFC 9162 section 2.1.3.2); raises `InclusionInvalid`."""
    if not 0 <= index < size:
        raise InclusionInvalid(f"inclusion proof: index {index} outside a tree of {size}")
    node, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise InclusionInvalid("inclusion proof: longer than the tree is deep")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise InclusionInvalid("inclusion proof: shorter than the tree is deep")
    if not hmac.compare_digest(result, root):
        raise InclusionInvalid("inclusion proof: leads to another root")
