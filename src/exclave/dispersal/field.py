"""Arithmetic in GF(2^8) modulo 0x11d (spec/dispersal.md 1), for single bytes and for rows.

Scalars go through exponent and logarithm tables. Rows are multiplied two bytes at a time through
a table of 65,536 products per coefficient, in pieces that stay in the processor's cache; numpy
releases the interpreter lock meanwhile. Not constant in time: it runs only at parties that may
know what they compute on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["POLYNOMIAL", "Bytes", "SingularMatrix", "combine", "inverse", "invert", "multiply"]

Bytes: TypeAlias = bytes | bytearray | memoryview

POLYNOMIAL = 0x11D
_PIECE = 32768  # 16-bit words: measured best on machines with 256 KiB or more of second cache


class SingularMatrix(ArithmeticError):
    """A matrix without inverse; cannot happen for distinct seats (spec/dispersal.md 3)."""


def _powers() -> tuple[bytes, bytes]:
    exponents, logarithms, value = bytearray(510), bytearray(256), 1
    for power in range(255):
        exponents[power] = exponents[power + 255] = value
        logarithms[value] = power
        value = value << 1 ^ (POLYNOMIAL if value & 0x80 else 0)
    return bytes(exponents), bytes(logarithms)


_EXP, _LOG = _powers()


def multiply(left: int, right: int) -> int:
    """Product of two field elements."""
    if left == 0 or right == 0:
        return 0
    return _EXP[_LOG[left] + _LOG[right]]


def inverse(value: int) -> int:
    """The element whose product with `value` is 1; zero has none."""
    if value == 0:
        raise ZeroDivisionError("zero has no inverse in GF(2^8)")
    return _EXP[255 - _LOG[value]]


def invert(matrix: Sequence[Sequence[int]]) -> list[list[int]]:
    """Inverse of a square matrix, by Gauss and Jordan; raises `SingularMatrix`."""
    size = len(matrix)
    work = [
        bytes(row) + bytes(at) + b"\x01" + bytes(size - at - 1) for at, row in enumerate(matrix)
    ]
    for column in range(size):
        pivot = next((at for at in range(column, size) if work[at][column]), None)
        if pivot is None:
            raise SingularMatrix(f"matrix of {size} rows has no inverse")
        work[column], work[pivot] = work[pivot], work[column]
        work[column] = lead = _scale(work[column], inverse(work[column][column]))
        for at, row in enumerate(work):
            if at != column and row[column]:
                work[at] = _add(row, _scale(lead, row[column]))
    return [list(row[size:]) for row in work]


@lru_cache(maxsize=256)
def _multiples(factor: int) -> bytes:
    """Products of `factor` with every element, as a translation table."""
    return bytes(multiply(factor, value) for value in range(256))


def _scale(row: bytes, factor: int) -> bytes:
    return row.translate(_multiples(factor))


def _add(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


@lru_cache(maxsize=256)
def _products(factor: int) -> npt.NDArray[np.uint16]:
    """Products of `factor` with both bytes of every 16-bit word; 128 KiB."""
    import numpy as np

    single = np.frombuffer(_multiples(factor), dtype=np.uint8).astype(np.uint16)
    pairs = single[:, None] << 8 | single[None, :]
    return pairs.astype(np.uint16).ravel()


def combine(factors: Sequence[int], rows: Sequence[Bytes], out: bytearray | memoryview) -> None:
    """Write the sum of factor times row into `out`; all have the same even length."""
    # Imported here: where all seats hold plain rows nothing needs it, and it takes its time.
    import numpy as np

    target = np.frombuffer(out, dtype=np.uint16)
    sources = [
        (factor, np.frombuffer(row, dtype=np.uint16))
        for factor, row in zip(factors, rows, strict=True)
        if factor
    ]
    if not sources:
        target[:] = 0
        return
    if len(sources) > 1 and all(factor == 1 for factor, _ in sources):
        _add_rows([row for _, row in sources], target)
        return
    (first, lead), *others = sources
    scratch = np.empty(min(_PIECE, len(target)), dtype=np.uint16)
    for start in range(0, len(target), _PIECE):
        piece = slice(start, start + _PIECE)
        total = target[piece]
        product = scratch[: len(total)]
        # "clip" spares numpy a check and a copy: no 16-bit index is out of range.
        np.take(_products(first), lead[piece], out=total, mode="clip")
        for factor, row in others:
            np.take(_products(factor), row[piece], out=product, mode="clip")
            np.bitwise_xor(total, product, out=total)


def _add_rows(rows: Sequence[npt.NDArray[np.uint16]], target: npt.NDArray[np.uint16]) -> None:
    """The sum of two rows or more as they are: what the first seat of parity holds."""
    import numpy as np

    first, second, *others = rows
    for start in range(0, len(target), _PIECE):
        piece = slice(start, start + _PIECE)
        total = target[piece]
        np.bitwise_xor(first[piece], second[piece], out=total)
        for row in others:
            np.bitwise_xor(total, row[piece], out=total)
