"""Layouts: thresholds count states."""

import pytest

from exclave.dispersal.placement import LayoutImpossible, check_layout, distinct_states
from exclave.ids import Seat

STATES = {Seat(1): "LU", Seat(2): "CH", Seat(3): "CH", Seat(4): "NO"}


def test_states_count_once() -> None:
    assert distinct_states(STATES, STATES) == {"LU", "CH", "NO"}
    assert distinct_states([Seat(2), Seat(3)], STATES) == {"CH"}


@pytest.mark.parametrize(("k", "h"), [(1, 1), (1, 3), (2, 2), (2, 3), (3, 3)])
def test_possible_layouts(k: int, h: int) -> None:
    check_layout(k, 4, h, STATES)


def test_one_host_is_allowed() -> None:
    check_layout(1, 1, 1, {Seat(1): "LU"})


@pytest.mark.parametrize(
    ("k", "n", "h", "message"),
    [
        (0, 4, 1, "1 <= k <= h <= n"),
        (3, 4, 2, "1 <= k <= h <= n"),
        (2, 4, 5, "1 <= k <= h <= n"),
        (2, 4, 4, "at least 4 states, got 3"),
        (2, 3, 2, "expected 3 seats, got 4"),
    ],
)
def test_impossible_layouts(k: int, n: int, h: int, message: str) -> None:
    with pytest.raises(LayoutImpossible, match=message):
        check_layout(k, n, h, STATES)


@pytest.mark.parametrize("seat", [0, 256])
def test_impossible_seats(seat: int) -> None:
    with pytest.raises(LayoutImpossible, match="seats from 1 to 255"):
        check_layout(1, 1, 1, {Seat(seat): "LU"})
