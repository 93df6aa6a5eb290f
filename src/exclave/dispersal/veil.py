"""Splitting and joining a pack's veil (spec/dispersal.md 5): Shamir bytewise, x = the seat.

Any k shares give the veil, fewer say nothing about it. Which share belongs to which seat is part
of the share. Whether shares are the right ones shows only when the pack opens.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from exclave.dispersal.field import inverse, multiply
from exclave.errors import IntegrityError, MalformedData
from exclave.ids import Seat
from exclave.values import dataclass, field

__all__ = [
    "VEIL_SIZE",
    "DuplicateSeat",
    "TooFewShards",
    "VeilShare",
    "VeilSharesDisagree",
    "join_veil",
    "split_veil",
]

VEIL_SIZE = 32


class TooFewShards(IntegrityError):
    """Fewer than k shards or shares: nothing can be rebuilt."""


class DuplicateSeat(IntegrityError):
    """The same seat was given twice."""


class VeilSharesDisagree(IntegrityError):
    """More than k shares were given and they do not lie on one polynomial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VeilShare:
    """One seat's share of a veil, 32 bytes."""

    seat: Seat
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.seat <= 255:
            raise MalformedData(f"veil share: expected seat from 1 to 255, got {self.seat}")
        if len(self.value) != VEIL_SIZE:
            raise MalformedData(f"veil share: expected {VEIL_SIZE} bytes, got {len(self.value)}")


def split_veil(
    veil: bytes, k: int, seats: Sequence[Seat], random: Callable[[int], bytes]
) -> tuple[VeilShare, ...]:
    """Split a veil into one share per seat, in the order of `seats`; any k give it back."""
    if len(veil) != VEIL_SIZE:
        raise MalformedData(f"veil: expected {VEIL_SIZE} bytes, got {len(veil)}")
    if not 1 <= k <= 255:
        raise MalformedData(f"veil: expected k from 1 to 255, got {k}")
    _require_distinct(seats)
    # Row d holds the coefficients of degree d of all 32 polynomials.
    coefficients = (veil, *(random(VEIL_SIZE) for _ in range(k - 1)))
    return tuple(VeilShare(seat=seat, value=_evaluate(coefficients, seat)) for seat in seats)


def join_veil(shares: Sequence[VeilShare], k: int) -> bytes:
    """Rebuild the veil from at least k shares; more than k must agree."""
    if k < 1:
        raise MalformedData(f"veil: expected k from 1 to 255, got {k}")
    _require_distinct([share.seat for share in shares])
    if len(shares) < k:
        raise TooFewShards(f"veil: expected {k} shares, got {len(shares)}")
    chosen, others = shares[:k], shares[k:]
    for share in others:
        if not hmac.compare_digest(_interpolate(chosen, share.seat), share.value):
            raise VeilSharesDisagree(
                f"veil: the share of seat {share.seat} does not fit those of seats "
                f"{', '.join(str(one.seat) for one in chosen)}"
            )
    return _interpolate(chosen, 0)


def _evaluate(coefficients: Sequence[bytes], x: int) -> bytes:
    """Values of all polynomials at x, by Horner."""
    result = bytes(VEIL_SIZE)
    for row in reversed(coefficients):
        result = bytes(multiply(value, x) ^ other for value, other in zip(result, row, strict=True))
    return result


def _interpolate(shares: Sequence[VeilShare], at: int) -> bytes:
    """Values at `at` of the polynomials of degree below len(shares) through the shares."""
    result = bytearray(VEIL_SIZE)
    for share in shares:
        factor = 1
        for other in shares:
            if other.seat != share.seat:
                weight = inverse(other.seat ^ share.seat)
                factor = multiply(factor, multiply(other.seat ^ at, weight))
        for index, value in enumerate(share.value):
            result[index] ^= multiply(factor, value)
    return bytes(result)


def _require_distinct(seats: Sequence[Seat]) -> None:
    seen: set[Seat] = set()
    for seat in seats:
        if seat in seen:
            raise DuplicateSeat(f"shards: seat {seat} given twice")
        seen.add(seat)
