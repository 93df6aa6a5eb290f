"""Rules of where shards may lie: thresholds count states, not servers.

k shards rebuild a pack; h distinct states must hold one before it counts as stored. Two vaults in
one state fall together, so they count once. A proof looks at k of the shards (`seats_kept`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from exclave.errors import ConfigurationError
from exclave.ids import PackRoot, Seat

__all__ = ["LayoutImpossible", "check_layout", "distinct_states", "seats_kept"]

T = TypeVar("T")


class LayoutImpossible(ConfigurationError):
    """Thresholds that these seats can never satisfy."""


def distinct_states(seats: Iterable[Seat], states: Mapping[Seat, str]) -> frozenset[str]:
    """The receiving states in which these seats stand; each seat must have one."""
    return frozenset(states[seat] for seat in seats)


def check_layout(k: int, n: int, h: int, states: Mapping[Seat, str]) -> None:
    """Check 1 <= k <= h <= n for n seats whose states are given; raises `LayoutImpossible`."""
    if len(states) != n:
        raise LayoutImpossible(f"layout: expected {n} seats, got {len(states)}")
    for seat in states:
        if not 1 <= seat <= 255:
            raise LayoutImpossible(f"layout: expected seats from 1 to 255, got {seat}")
    if not 1 <= k <= h <= n:
        raise LayoutImpossible(f"layout: expected 1 <= k <= h <= n, got k {k}, h {h}, n {n}")
    reachable = len(distinct_states(states, states))
    if h > reachable:
        raise LayoutImpossible(
            f"layout: expected at least {h} states, got {reachable}",
            hint="several vaults in one state count once; add a state or lower h",
        )


def seats_kept(root: PackRoot, seats: Sequence[T], k: int) -> list[T]:
    """Which k of a pack's shards its proof is made from; `seats` in ascending order.

    By the root alone, so that rows of code come as often as rows of data.
    """
    first = root[0] % len(seats)
    return [seats[(first + i) % len(seats)] for i in range(k)]
