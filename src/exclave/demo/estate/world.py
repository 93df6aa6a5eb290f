"""The people, companies and parcels that all registers speak of.

Drawn once from the seed; registers refer to each other through these codes, as real ones do
through personal codes and cadastral numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from exclave.demo.estate.rows import Integers, Pool, day_number
from exclave.values import dataclass

_PERSONS = 90_000
_COMPANIES = 15_000
_PARCELS = 40_000
_SETTLEMENTS = 120
_DEEDS = 600
_FIRST_BIRTH = day_number("1925-01-01")
_BIRTH_SPAN = 36_500
_CENTURY = day_number("2000-01-01")
_WEIGHTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 1), (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Codes as ready text; `born` in days since 1900-01-01; `woman` 0 or 1."""

    seed: int
    size: float
    persons: Pool
    born: Integers
    woman: Integers
    companies: Pool
    parcels: Pool
    settlements: Pool
    deeds: int

    def generator(self, register: str) -> np.random.Generator:
        """A generator of the register's own, so that registers can be made in any order."""
        return np.random.default_rng([self.seed, *register.encode()])

    def scaled(self, count: int) -> int:
        """`count` rows at size 1, at least 20."""
        return max(20, round(count * self.size))


def make_world(seed: int, size: float) -> World:
    """Draw the state's people and things; `size` 1 gives 90,000 persons."""
    generator = np.random.default_rng([seed, 0])
    count = max(200, round(_PERSONS * size))
    order = np.arange(count)
    born = _FIRST_BIRTH + (order * 7919) % _BIRTH_SPAN
    woman = generator.integers(0, 2, count)
    return World(
        seed=seed,
        size=size,
        persons=_personal_codes(born, woman, order // _BIRTH_SPAN + 1),
        born=born,
        woman=woman,
        companies=_texts(
            str(10_000_007 + 13 * i) for i in range(max(50, round(_COMPANIES * size)))
        ),
        parcels=_texts(
            f"{78401 + i // 9000}:{i // 90 % 100 + 1:03d}:{i % 90 * 11 + 1:04d}"
            for i in range(max(100, round(_PARCELS * size)))
        ),
        settlements=_texts(f"{1000 + 7 * i}" for i in range(_SETTLEMENTS)),
        deeds=max(12, round(_DEEDS * size)),
    )


def _texts(values: Iterable[str]) -> Pool:
    return np.array(list(values), dtype=object)


def _personal_codes(born: Integers, woman: Integers, serial: Integers) -> Pool:
    """Eleven digits as in Estonia: sex and century, birth date, serial, check digit."""
    dates = (np.datetime64("1900-01-01") + born).astype(str)
    lead = np.where(born >= _CENTURY, 5, 3) + woman
    bodies = [
        f"{first}{date[2:4]}{date[5:7]}{date[8:10]}{number:03d}"
        for first, date, number in zip(lead.tolist(), dates.tolist(), serial.tolist(), strict=True)
    ]
    digits = np.frombuffer("".join(bodies).encode(), dtype=np.uint8).reshape(-1, 10) - 48
    first = digits.astype(np.int64) @ np.array(_WEIGHTS[0]) % 11
    second = digits.astype(np.int64) @ np.array(_WEIGHTS[1]) % 11
    check = np.where(first < 10, first, second) % 10
    return _texts(body + str(digit) for body, digit in zip(bodies, check.tolist(), strict=True))
