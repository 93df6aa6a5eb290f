"""Share layouts: which groups and members of SLIP-39 shares give the seed (spec/cards.md 1).

Says what combinations exist and refuses layouts that would leave the exile powerless. Knows
counts and places only, no shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import comb, prod

from exclave.authority.charter_parts import Place, ShareGroup
from exclave.errors import AuthorityError

__all__ = [
    "ExileCannotRecombine",
    "LayoutImpossible",
    "LayoutInvalid",
    "check_layout",
    "combination_count",
    "covering_combinations",
    "group_combinations",
    "share_combinations",
]

Combination = tuple[tuple[int, tuple[int, ...]], ...]
"""One way to the seed: (group number from 0, member numbers from 0) for each group used."""


class LayoutInvalid(AuthorityError):
    """A share layout must not be."""


class LayoutImpossible(LayoutInvalid):
    """SLIP-39 has no such layout."""


class ExileCannotRecombine(LayoutInvalid):
    """Persons abroad alone could not recombine the recovery key, or only those of one state."""


def check_layout(
    groups: Sequence[ShareGroup], group_threshold: int, *, path: str, exile_needed: bool = True
) -> None:
    """Check a layout; `exile_needed` for the current epoch."""
    if not 1 <= group_threshold <= len(groups):
        raise LayoutImpossible(
            f"{path}.group_threshold: expected 1 to {len(groups)}, got {group_threshold}"
        )
    for index, group in enumerate(groups):
        _check_group(f"{path}.groups[{index}]", group)
    if exile_needed:
        _check_exile(groups, group_threshold, path)


def _check_group(path: str, group: ShareGroup) -> None:
    if group.threshold > group.members:
        raise LayoutImpossible(
            f"{path}.threshold: expected at most {group.members} members, got {group.threshold}"
        )
    if group.threshold == 1 and group.members > 1:
        raise LayoutImpossible(
            f"{path}.members: expected 1 for threshold 1, got {group.members}",
            hint="SLIP-39 forbids copies; give each of them a group, or raise the threshold",
        )


def _check_exile(groups: Sequence[ShareGroup], group_threshold: int, path: str) -> None:
    abroad = [group for group in groups if group.place is Place.ABROAD]
    if len(abroad) < group_threshold:
        raise ExileCannotRecombine(
            f"{path}: expected at least {group_threshold} groups abroad, got {len(abroad)}",
            hint="if the homeland is lost, persons abroad alone must be able to recombine",
        )
    states = {group.state for group in abroad}
    if group_threshold >= 2 and len(states) < 2:
        raise ExileCannotRecombine(
            f"{path}: expected groups abroad in at least 2 states, got {len(states)}",
            hint="one host state must not be able to keep all of them from acting",
        )


def group_combinations(
    groups: Sequence[ShareGroup], group_threshold: int
) -> Iterator[tuple[int, ...]]:
    """Every set of groups that suffices and has none to spare."""
    return combinations(range(len(groups)), group_threshold)


def combination_count(groups: Sequence[ShareGroup], group_threshold: int) -> int:
    """How many combinations `share_combinations` gives."""
    ways = [comb(group.members, group.threshold) for group in groups]
    return sum(
        prod(ways[index] for index in chosen)
        for chosen in group_combinations(groups, group_threshold)
    )


def share_combinations(groups: Sequence[ShareGroup], group_threshold: int) -> Iterator[Combination]:
    """Every combination of shares that suffices and has none to spare."""
    for chosen in group_combinations(groups, group_threshold):
        members = [
            list(combinations(range(groups[index].members), groups[index].threshold))
            for index in chosen
        ]
        for picked in product(*members):
            yield tuple(zip(chosen, picked, strict=True))


def covering_combinations(
    groups: Sequence[ShareGroup], group_threshold: int
) -> Iterator[Combination]:
    """Fewer: every set of groups, and in each every member of its groups at least once."""
    for chosen in group_combinations(groups, group_threshold):
        rounds = max(groups[index].members for index in chosen)
        for start in range(rounds):
            yield tuple((index, _window(groups[index], start)) for index in chosen)


def _window(group: ShareGroup, start: int) -> tuple[int, ...]:
    return tuple(sorted((start + step) % group.members for step in range(group.threshold)))
