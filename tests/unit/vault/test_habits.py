"""What is usual of a depositor, and what is not: the rules, with honest irregularity beside."""

from collections.abc import Sequence

import pytest

from exclave.authority.alarm import AlarmCause
from exclave.vault.mission.habits import Sign, Volume, change, silence

HOUR = 3_600_000
DAY = 24 * HOUR
MIB = 2**20


def after(gaps: Sequence[int], quiet: int) -> str | None:
    """What is said `quiet` hours after the last of records with such gaps (hours) between them."""
    moments = [0]
    for gap in gaps:
        moments.append(moments[-1] + gap * HOUR)
    signs = [Sign(service_ms=moment, counts=True) for moment in moments]
    return silence(signs, moments[-1] + quiet * HOUR)


@pytest.mark.parametrize(
    ("gaps", "quiet", "noticed"),
    [
        ([24, 24], 10_000, False),  # too few to expect anything
        ([24, 24, 24], 49, False),
        ([24, 24, 24], 50, True),
        ([24] * 50, 50, True),
        ([24, 24, 24, 24, 72] * 3, 72, False),  # working days only
        ([24, 24, 24, 24, 72] * 3, 97, False),  # and a Monday that is free
        ([24, 24, 24, 24, 72] * 3, 110, True),
        ([6, 6, 6, 800, 6, 6, 6], 37, False),  # of a long gap four usual ones count
        ([6, 6, 6, 800, 6, 6, 6], 38, True),
        ([800, *[6] * 15], 14, True),  # and none that is long past
        ([24, 24, 24, 0, 0, 0, 0, 0], 49, False),  # many that came at once are one
        ([24, 24, 24, 0, 0, 0, 0, 0], 50, True),
        ([0] * 40, 10_000, False),
        ([1] * 20, 2, False),
        ([1] * 20, 4, True),
    ],
)
def test_silence(gaps: list[int], quiet: int, noticed: bool) -> None:
    assert (after(gaps, quiet) is not None) is noticed


def test_what_does_not_count_is_no_sign_of_life() -> None:
    signs = [Sign(service_ms=day * DAY, counts=day < 6) for day in range(12)]
    assert silence(signs, 11 * DAY) is not None
    assert silence([Sign(service_ms=s.service_ms, counts=True) for s in signs], 11 * DAY) is None
    nobody = [Sign(service_ms=day * DAY, counts=False) for day in range(12)]
    assert silence(nobody, 11 * DAY) is not None


def volumes(*sizes: tuple[int, int]) -> list[Volume]:
    """Live and fresh MiB of deposits, the first ever at their head."""
    return [
        Volume(live=live * MIB, fresh=fresh * MIB, first=number == 0)
        for number, (live, fresh) in enumerate(sizes)
    ]


USUAL = [(100, 100), (101, 3), (102, 3), (103, 5)]
SHRANK, GREW = AlarmCause.DEPOSIT_SHRANK, AlarmCause.DEPOSIT_GREW


@pytest.mark.parametrize(
    ("newest", "cause"),
    [
        ((104, 3), None),
        ((52, 3), None),
        ((48, 3), SHRANK),
        ((0, 0), SHRANK),
        ((200, 101), GREW),  # more than half of it is new
        ((200, 22), None),
        ((208, 20), GREW),
        ((103, 60), GREW),
        ((103, 50), None),
    ],
)
def test_changes(newest: tuple[int, int], cause: AlarmCause | None) -> None:
    found = change(volumes(*USUAL, newest))
    assert (None if found is None else found[0]) == cause


def test_what_is_no_change() -> None:
    assert change(volumes(*USUAL[:3], (1, 1))) is not None
    assert change(volumes(*USUAL[:2], (1, 1))) is None  # too few
    assert change(volumes((1, 1), (1, 0), (1, 0), (2, 1))) is None  # padding
    # Registers that are deposited in turn: a large one, then small ones.
    turns = [(100, 100), (2, 1), (2, 1), (101, 99), (2, 1), (2, 1)]
    assert change(volumes(*turns, (102, 99))) is None
    assert change(volumes(*turns, (2, 1))) is None


def test_new_keys_begin_with_everything_new() -> None:
    """It is judged by its size alone, and what follows by what follows."""
    before = volumes(*USUAL)
    fresh = Volume(live=100 * MIB, fresh=100 * MIB, first=True)
    assert change([*before, fresh]) is None
    assert change([*before, fresh, Volume(live=101 * MIB, fresh=60 * MIB, first=False)]) is not None
