"""Veil shares: any k join, fewer and wrong ones are refused."""

import hashlib
import itertools
from collections.abc import Callable

import pytest

from exclave.dispersal.veil import (
    DuplicateSeat,
    TooFewShards,
    VeilShare,
    VeilSharesDisagree,
    join_veil,
    split_veil,
)
from exclave.errors import MalformedData
from exclave.ids import Seat
from tests.oracles import dispersal as oracle

VEIL = bytes(range(32))
SEATS = [Seat(seat) for seat in (1, 2, 5, 17, 255)]


def stream(seed: bytes) -> Callable[[int], bytes]:
    """A repeatable source of bytes."""
    counter = itertools.count()
    return lambda size: hashlib.shake_256(seed + bytes([next(counter)])).digest(size)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_any_k_shares_join(k: int) -> None:
    shares = split_veil(VEIL, k, SEATS, stream(b"a"))
    assert [share.seat for share in shares] == SEATS
    for chosen in itertools.permutations(shares, k):
        assert join_veil(chosen, k) == VEIL
    assert join_veil(shares, k) == VEIL


def test_shares_are_the_oracles() -> None:
    source = stream(b"b")
    higher = [source(32), source(32)]
    for share in split_veil(VEIL, 3, SEATS, stream(b"b")):
        assert share.value == oracle.share(VEIL, higher, share.seat)
    chosen = {share.seat: share.value for share in split_veil(VEIL, 3, SEATS, stream(b"b"))[1:4]}
    assert oracle.join({int(seat): value for seat, value in chosen.items()}) == VEIL


def test_fewer_than_k_shares_fit_every_veil() -> None:
    """For any other veil there is a polynomial through the same k - 1 shares."""
    shares = split_veil(VEIL, 3, SEATS, stream(b"c"))
    for guess in (bytes(32), b"\xff" * 32):
        forged = join_at(shares[:2], guess, shares[2].seat)
        assert join_veil([*shares[:2], forged], 3) == guess


def join_at(shares: tuple[VeilShare, ...], veil: bytes, seat: Seat) -> VeilShare:
    """The share at `seat` of the polynomials through two shares and a veil at zero."""
    points = {0: veil} | {int(share.seat): share.value for share in shares}
    values = []
    for at in range(32):
        total = 0
        for x, value in points.items():
            term = value[at]
            for other in points:
                if other != x:
                    term = oracle.product(
                        term, oracle.product(seat ^ other, oracle.reciprocal(other ^ x))
                    )
            total ^= term
        values.append(total)
    return VeilShare(seat=seat, value=bytes(values))


def test_k_of_one_is_a_copy() -> None:
    assert all(share.value == VEIL for share in split_veil(VEIL, 1, SEATS, stream(b"")))


def test_refusals() -> None:
    shares = split_veil(VEIL, 3, SEATS, stream(b"d"))
    with pytest.raises(TooFewShards, match="expected 3 shares, got 2"):
        join_veil(shares[:2], 3)
    with pytest.raises(DuplicateSeat, match="seat 1 given twice"):
        join_veil([shares[0], shares[0], shares[1]], 3)
    with pytest.raises(VeilSharesDisagree, match="seat 17"):
        join_veil([*shares[:3], VeilShare(seat=Seat(17), value=bytes(32))], 3)
    with pytest.raises(MalformedData):
        join_veil(shares, 0)
    with pytest.raises(DuplicateSeat):
        split_veil(VEIL, 2, [Seat(1), Seat(1)], stream(b""))
    for wrong in (
        lambda: split_veil(b"", 2, SEATS, stream(b"")),
        lambda: split_veil(VEIL, 0, SEATS, stream(b"")),
        lambda: split_veil(VEIL, 256, SEATS, stream(b"")),
        lambda: split_veil(VEIL, 2, [Seat(0)], stream(b"")),
        lambda: VeilShare(seat=Seat(256), value=VEIL),
        lambda: VeilShare(seat=Seat(1), value=b""),
    ):
        with pytest.raises(MalformedData):
            wrong()


def test_nothing_secret_is_printed() -> None:
    assert VEIL.hex() not in repr(VeilShare(seat=Seat(1), value=VEIL))
    assert str(VEIL) not in repr(VeilShare(seat=Seat(1), value=VEIL))


def test_k_above_the_number_of_seats_can_be_split_but_not_joined() -> None:
    shares = split_veil(VEIL, 6, SEATS, stream(b"e"))
    with pytest.raises(TooFewShards):
        join_veil(shares, 6)
