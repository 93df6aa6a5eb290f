"""Dispersal once more, from spec/dispersal.md alone: slow, bytewise, without tables or matrices.

Products by shift and reduce; rows and the veil by Lagrange. Nothing of `exclave` is imported.
"""

import hashlib
from collections.abc import Mapping, Sequence


def product(left: int, right: int) -> int:
    """Product in GF(2^8) modulo 0x11d."""
    result = 0
    while right:
        result ^= left if right & 1 else 0
        left <<= 1
        left ^= 0x11D if left & 0x100 else 0
        right >>= 1
    return result


def reciprocal(value: int) -> int:
    """The inverse, by search."""
    return next(other for other in range(1, 256) if product(value, other) == 1)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 by its own recursive definition, over leaf data."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of `size` bytes, the last one shorter if need be."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def body(pack: bytes, k: int, seat: int) -> bytes:
    """A seat's body (section 3)."""
    size = 4096 * -(-len(pack) // (4096 * k))
    padded = pack.ljust(k * size, b"\0")
    if k == 1:
        return padded
    rows = cut(padded, size)
    if seat <= k:
        return rows[seat - 1]
    result = bytes(size)
    for index, row in enumerate(rows):
        factor = product(k ^ index, reciprocal((seat - 1) ^ index))
        result = bytes(a ^ b for a, b in zip(result, times(row, factor), strict=True))
    return result


def times(row: bytes, factor: int) -> bytes:
    """A row, every byte times a factor."""
    return row.translate(bytes(product(factor, value) for value in range(256)))


def pack_root(pack: bytes, k: int) -> bytes:
    """The root of a pack (section 2)."""
    size = 4096 * -(-len(pack) // (4096 * k))
    rows = cut(pack.ljust(k * size, b"\0"), size)
    return tree_root([len(pack).to_bytes(8), *(leaf for row in rows for leaf in cut(row, 65536))])


def share(veil: bytes, higher: Sequence[bytes], seat: int) -> bytes:
    """A seat's share of a veil; `higher` are the coefficients of degree 1, 2, ..."""
    values = []
    for at in range(len(veil)):
        value, power = veil[at], 1
        for row in higher:
            power = product(power, seat)
            value ^= product(row[at], power)
        values.append(value)
    return bytes(values)


def join(shares: Mapping[int, bytes]) -> bytes:
    """The veil from exactly k shares, by the formula of section 5."""
    result = []
    for at in range(32):
        total = 0
        for x, values in shares.items():
            term = values[at]
            for other in shares:
                if other != x:
                    term = product(term, product(other, reciprocal(other ^ x)))
            total ^= term
        result.append(total)
    return bytes(result)


def shard(
    pack: bytes, *, mission: bytes, k: int, seat: int, veil_share: bytes
) -> tuple[bytes, bytes]:
    """A seat's shard and its root (section 4)."""
    part = body(pack, k, seat)
    root = pack_root(pack, k)
    header = b"EXCLAVES" + bytes([0, 1, k, seat, 0, 0, 0, 0]) + mission + root
    header += len(pack).to_bytes(8) + len(part).to_bytes(8)
    data = veil_share + header + part
    return data, tree_root([veil_share, header, *cut(part, 65536)])
