"""Proofs that a log only grows (RFC 6962 section 2.1.2), and the ranges that proofs consist of.

A proof is a list of hashes of subtrees. Which subtrees depends on sizes only, so the ranges
are computed here and hashed by whoever has the leaves or the tiles.

Rules: a range (low, high) is half open and is one subtree of RFC 6962; verification raises.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from exclave.errors import IntegrityError
from exclave.merkle import EMPTY_ROOT, node_hash, tree_root

__all__ = [
    "ConsistencyInvalid",
    "consistency_proof",
    "consistency_ranges",
    "inclusion_ranges",
    "split_point",
    "verify_consistency",
]


class ConsistencyInvalid(IntegrityError):
    """No proof that the later tree has the earlier one as its beginning."""


def split_point(count: int) -> int:
    """The largest power of two below `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Subtrees whose hashes are the audit path of leaf `index`, leaf upwards."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of {size}")
    ranges: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + split_point(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """Subtrees whose hashes prove that `old` leaves begin `new` leaves; empty for 0 or equal."""
    if not 0 <= old <= new:
        raise IndexError(f"size {old} of {new}")
    if old in {0, new}:
        return []
    ranges: list[tuple[int, int]] = []
    low, high = 0, new
    # SUBPROOF of RFC 6962: walk to the subtree whose right edge is the old tree's end.
    while high != old:
        middle = low + split_point(high - low)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    if low > 0:  # otherwise that subtree is the old tree, whose root the verifier has
        ranges.append((low, high))
    return ranges[::-1]


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Proof from leaf hashes of the whole new tree."""
    return [tree_root(leaves[low:high]) for low, high in consistency_ranges(old, len(leaves))]


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check a proof (RFC 9162 section 2.1.4.2); raises `ConsistencyInvalid`."""
    if not 0 <= old_size <= new_size:
        raise ConsistencyInvalid(f"consistency proof: a log of {old_size} shrank to {new_size}")
    if old_size in {0, new_size}:
        _verify_trivial(old_size, old_root, new_size, new_root, proof)
        return
    hashes = list(proof)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise ConsistencyInvalid("consistency proof: shorter than the tree is deep")
    first, second = _climb(old_size - 1, new_size - 1, hashes)
    if not hmac.compare_digest(first, old_root):
        raise ConsistencyInvalid("consistency proof: does not contain the earlier root")
    if not hmac.compare_digest(second, new_root):
        raise ConsistencyInvalid("consistency proof: leads to another root")


def _climb(node: int, last: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ConsistencyInvalid("consistency proof: longer than the tree is deep")
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ConsistencyInvalid("consistency proof: shorter than the tree is deep")
    return first, second


def _verify_trivial(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    if proof:
        raise ConsistencyInvalid(f"consistency proof: expected no hashes, got {len(proof)}")
    expected = new_root if old_size == new_size else EMPTY_ROOT
    if not hmac.compare_digest(old_root, expected):
        raise ConsistencyInvalid(f"consistency proof: another root at size {old_size}")
    if new_size == 0 and not hmac.compare_digest(new_root, EMPTY_ROOT):
        raise ConsistencyInvalid("consistency proof: another root at size 0")
