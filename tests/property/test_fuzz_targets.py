"""What holds of every decoder, for inputs near those that it accepts: its fuzz target's invariant.

`make fuzz` goes on from here with a coverage-guided fuzzer.
"""

from pathlib import Path

import pytest

from tests.fuzz.seeds import SEEDS, seeds_of
from tests.structure.test_fuzz_targets import TARGETS, check_of
from tests.support.mutations import mutated

EACH = 300  # mutations of a target's seeds


def test_every_target_has_seeds() -> None:
    assert {path.stem.removeprefix("fuzz_") for path in TARGETS} == set(SEEDS)


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_mutated_seeds_keep_the_invariant(path: Path) -> None:
    check, seeds = check_of(path), seeds_of(path.stem.removeprefix("fuzz_"))
    for number, seed in enumerate(seeds):
        check(seed)
        for data in mutated(seed, -(-EACH // len(seeds)), number):
            check(data)
