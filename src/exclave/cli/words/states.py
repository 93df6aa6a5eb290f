"""Where a statement stands at a vault, in words (spec/standing.md 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exclave.plain_words import period

if TYPE_CHECKING:
    from exclave.vault.interface import State

__all__ = ["seats_words", "state_words"]

_WORDS: Final = {
    "incomplete": "incomplete: too few who count have signed",
    "waiting": "waiting",
    "overriding": "overriding: the veto is overridden, and nobody can veto it again",
    "vetoed": "vetoed: somebody said no; only an override can still pass it",
    "stopped": "stopped for good: a lockdown or a conflict of charters ended it, hand in a new one",
    "superseded": "superseded: a later one took its place",
    "expired": "expired: its time is over",
    "conflict": "in conflict: another charter has its place",
}


def state_words(state: State | str, seconds: int | None = None) -> str:
    """A state or phase with what it means, and how long it waits still."""
    name = state if isinstance(state, str) else state.value
    left = "" if seconds is None else f", {period(seconds)} left ({seconds} s)"
    return _WORDS.get(name, name) + left


def seats_words(seats: list[int]) -> str:
    """`seat 2`, or `seats 1, 3`."""
    return f"seat{'s' * (len(seats) > 1)} {', '.join(map(str, seats))}"
