"""The erasure code (spec/dispersal.md 3): k rows become one body per seat, any k bodies the rows.

Bodies of seats up to k are the rows themselves, as views without a copy. Whether the result is the
pack that was meant shows only against its pack root (`exclave.dispersal.shard`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exclave.dispersal.field import Bytes, combine, inverse, invert, multiply
from exclave.dispersal.veil import DuplicateSeat, TooFewShards
from exclave.errors import IntegrityError, MalformedData
from exclave.ids import Seat

__all__ = [
    "BLOCK_SIZE",
    "BodySizeWrong",
    "PaddingNotZero",
    "body_length",
    "code_row",
    "complete_rows",
    "decode_bodies",
    "encode_bodies",
    "row_of",
]

BLOCK_SIZE = 4096
"""Bodies are whole blocks, as disks store them."""


class BodySizeWrong(IntegrityError):
    """A body's length is not the one that follows from the pack's length and k."""


class PaddingNotZero(IntegrityError):
    """The bytes after the pack are not zero: some body is not of this pack."""


def body_length(length: int, k: int) -> int:
    """B: bytes of each body of a pack of `length` bytes."""
    if not 1 <= k <= 255:
        raise MalformedData(f"dispersal: expected k from 1 to 255, got {k}")
    return BLOCK_SIZE * -(-length // (BLOCK_SIZE * k))


def code_row(seat: Seat, k: int) -> list[int]:
    """The k factors of a seat's body."""
    if not 1 <= seat <= 255:
        raise MalformedData(f"dispersal: expected seat from 1 to 255, got {seat}")
    if k == 1:
        return [1]
    if seat <= k:
        return [int(seat - 1 == column) for column in range(k)]
    return [multiply(k ^ column, inverse((seat - 1) ^ column)) for column in range(k)]


def encode_bodies(
    ciphertext: Bytes,
    k: int,
    seats: Sequence[Seat],
    *,
    padded: Bytes | None = None,
    parity: memoryview | None = None,
) -> dict[Seat, memoryview]:
    """The body of each seat; those of data seats are views of `ciphertext` where it is full.

    `padded` is the ciphertext with zeros after it up to k bodies: all are views of it then.
    `parity` is memory that the other seats' bodies are written to, one after the other.
    """
    size = body_length(len(ciphertext), k)
    if padded is not None and len(padded) != k * size:
        raise BodySizeWrong(f"padded pack: expected {k * size} bytes, got {len(padded)}")
    if len(set(seats)) != len(seats):
        raise DuplicateSeat("dispersal: a seat was given twice")
    rows = _cut(memoryview(ciphertext if padded is None else padded).toreadonly(), k, size)
    coded = [seat for seat in seats if row_of(seat, k) is None]
    room = memoryview(bytearray(size * len(coded))) if parity is None else parity
    if len(room) != size * len(coded):
        raise BodySizeWrong(f"parity: expected {size * len(coded)} bytes, got {len(room)}")
    bodies: dict[Seat, memoryview] = {}
    for seat in seats:
        row = row_of(seat, k)
        if row is not None:
            bodies[seat] = rows[row]
            continue
        body, room = room[:size], room[size:]
        combine(code_row(seat, k), rows, body)
        bodies[seat] = body.toreadonly()
    return bodies


def decode_bodies(bodies: Mapping[Seat, Bytes], k: int, length: int) -> bytearray:
    """Rebuild the pack of `length` bytes from k of the bodies given; data seats are preferred."""
    size = body_length(length, k)
    for seat, body in bodies.items():
        if len(body) != size:
            raise BodySizeWrong(f"body of seat {seat}: expected {size} bytes, got {len(body)}")
    if len(bodies) < k:
        raise TooFewShards(f"pack: expected {k} shards, got {len(bodies)}")
    seats = sorted(bodies)[:k]
    result = bytearray(k * size)
    with memoryview(result) as view:
        _fill(view, [bodies[seat] for seat in seats], seats, k)
    if result.count(0, length) != len(result) - length:
        raise PaddingNotZero(
            f"pack: bodies of seats {', '.join(map(str, seats))} do not end in zeros",
            hint="a shard is wrong although its own root is right; try other seats",
        )
    del result[length:]
    return result


def _cut(pack: memoryview, k: int, size: int) -> list[memoryview]:
    """The k rows, padded with zeros; only rows that need padding are copied."""
    rows: list[memoryview] = []
    for start in range(0, k * size, size or 1):
        row = pack[start : start + size]
        rows.append(row if len(row) == size else memoryview(bytes(row).ljust(size, b"\0")))
    return rows


def _fill(result: memoryview, bodies: Sequence[Bytes], seats: Sequence[Seat], k: int) -> None:
    """Write all rows: those that were given as they are, the others by the inverse matrix."""
    size = len(result) // k
    for seat, body in zip(seats, bodies, strict=True):
        row = row_of(seat, k)
        if row is not None:
            result[row * size : (row + 1) * size] = body
    complete_rows(result, dict(zip(seats, bodies, strict=True)), k)


def complete_rows(result: memoryview, bodies: Mapping[Seat, Bytes], k: int) -> None:
    """Write the rows that no data seat among exactly k bodies gave; the others stand there.

    Bodies of data seats may be views of their own rows.
    """
    seats = sorted(bodies)
    given = {row_of(seat, k) for seat in seats}
    missing = [row for row in range(k) if row not in given]
    if not missing:
        return
    size = len(result) // k
    matrix = invert([code_row(seat, k) for seat in seats])
    for row in missing:
        target = result[row * size : (row + 1) * size]
        combine(matrix[row], [bodies[seat] for seat in seats], target)


def row_of(seat: Seat, k: int) -> int | None:
    """The row that a seat holds as it is; None for a seat of parity."""
    if k == 1:
        return 0
    return seat - 1 if seat <= k else None
