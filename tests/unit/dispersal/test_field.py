"""The field against a second implementation, exhaustively."""

import pytest

from exclave.dispersal.code import code_row
from exclave.dispersal.field import SingularMatrix, combine, inverse, invert, multiply
from exclave.ids import Seat
from tests.oracles import dispersal as oracle


def test_every_product() -> None:
    for left in range(256):
        for right in range(256):
            assert multiply(left, right) == oracle.product(left, right)


def test_every_inverse() -> None:
    for value in range(1, 256):
        assert multiply(value, inverse(value)) == 1
    with pytest.raises(ZeroDivisionError):
        inverse(0)


@pytest.mark.parametrize("k", [1, 2, 3, 7, 40])
def test_code_matrices_have_inverses(k: int) -> None:
    seats = range(255 - k + 1, 256) if k > 1 else range(1, 2)
    matrix = [code_row(Seat(seat), k) for seat in seats]
    product = [
        [
            _sum(multiply(row[at], column[at]) for at in range(k))
            for column in zip(*invert(matrix), strict=True)
        ]
        for row in matrix
    ]
    assert product == [[int(row == column) for column in range(k)] for row in range(k)]


def _sum(values: object) -> int:
    total = 0
    for value in values:  # type: ignore[attr-defined]
        total ^= value
    return total


def test_singular_matrix_is_refused() -> None:
    with pytest.raises(SingularMatrix):
        invert([[1, 2], [1, 2]])


def test_combine_of_zero_factors_and_long_rows() -> None:
    size = 3 * 65536 + 4096
    rows = [bytes([value]) * size for value in (1, 2, 3)]
    out = bytearray(b"x" * size)
    combine([0, 0, 0], rows, out)
    assert out == bytes(size)
    combine([1, 1, 1], rows, out)
    assert out == bytes(size)
    combine([1, 0, 1], rows, out)
    assert out == b"\x02" * size
    combine([0, 1, 0], rows, out)
    assert out == b"\x02" * size
    combine([5, 0, 1], rows, out)
    assert out == bytes([multiply(5, 1) ^ 3]) * size
