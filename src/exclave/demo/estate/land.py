"""Rows of the registers of land: land register and land cadastre."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exclave.demo.estate import words
from exclave.demo.estate.rows import (
    TableRows,
    array_pool,
    cents,
    day_number,
    days,
    moments,
    numbers,
    plant,
    pool,
    table_rows,
    take,
)
from exclave.demo.estate.scans import deed_digests, deed_path
from exclave.demo.estate.world import World

_OPENED = day_number("1993-12-01")
_TODAY = day_number("2025-11-01")


def land_register(world: World) -> Iterator[TableRows]:
    """Register parts, owners, encumbrances, journal, deeds."""
    generator = world.generator("land")
    count = len(world.parcels)
    opened = generator.integers(_OPENED, _TODAY, count)
    yield table_rows(
        "land.register_part",
        {
            "part_id": numbers(np.arange(1, count + 1)),
            "cadastral_code": world.parcels.tolist(),
            "opened": days(opened),
            "division": take(pool(words.COUNTIES), generator.integers(0, 1000, count)),
            "title_text": take(
                pool([*words.TEXTS, None, None]), generator.integers(0, 1800, count)
            ),
        },
    )
    yield _ownership(world, generator)
    yield _encumbrances(world, generator)
    yield _journal(world, generator)
    deeds = np.arange(world.deeds)
    yield table_rows(
        "land.deed",
        {
            "scan_path": [deed_path(number) for number in range(world.deeds)],
            "part_id": numbers(deeds * 7 % count + 1),
            "scan_digest": ["\\\\x" + digest.hex() for digest in deed_digests(world)],
            "pages": numbers(deeds % 12 + 1),
        },
    )


def _ownership(world: World, generator: np.random.Generator) -> TableRows:
    """Every part has one owner; about three in eight belong to two, a third and two thirds."""
    count = len(world.parcels)
    second = np.flatnonzero(generator.integers(0, 8, count) < 3)
    shared = np.zeros(count, dtype=bool)
    shared[second] = True
    owners = generator.integers(0, len(world.persons) // 2, count)
    first_codes = np.array(take(world.persons, owners), dtype=object)
    by_company = generator.integers(0, 6, count) == 0
    first_codes[by_company] = take(world.companies, owners[by_company])
    co_owners = len(world.persons) // 2 + owners[second]
    since = generator.integers(_OPENED, _TODAY, count + len(second))
    rows = np.concatenate((np.arange(1, count + 1), second + 1))
    return table_rows(
        "land.ownership",
        {
            "part_id": numbers(rows),
            "owner_code": first_codes.tolist() + take(world.persons, co_owners),
            "since": days(since),
            "share": np.where(shared, "0.33333333", "1").tolist() + ["0.66666667"] * len(second),
            "basis": take(pool([None, "", "müügileping", "договор", "继承"]), since),
        },
    )


def _encumbrances(world: World, generator: np.random.Generator) -> TableRows:
    count = min(world.scaled(15_000), len(world.parcels))
    amounts = cents(generator.integers(10_000, 10**10, count))
    plant(amounts, 499, ["NaN", "Infinity", "0.00", "-0.000000000000000000000001", None, "1e40"])
    start = generator.integers(_OPENED, _TODAY, count)
    spans = [
        f"[{first},{last})" for first, last in zip(days(start), days(start + 3650), strict=True)
    ]
    plant(spans, 251, ["empty", "[2020-01-01,)", "(,infinity)", "(,)"])
    kinds = pool(["mortgage", "servitude", "pre-emption", "notation"])
    return table_rows(
        "land.encumbrance",
        {
            "part_id": numbers(generator.permutation(len(world.parcels))[:count] + 1),
            "rank": numbers(generator.integers(-3, 30_000, count)),
            "kind": take(kinds, start),
            "amount": amounts,
            "in_force": spans,
            "wording": take(pool(words.TEXTS), generator.integers(0, 1600, count)),
        },
    )


def _journal(world: World, generator: np.random.Generator) -> TableRows:
    count = world.scaled(30_000)
    received = moments(
        np.sort(generator.integers(_OPENED, _TODAY, count)), generator.integers(0, 86_400, count)
    )
    plant(received, 4001, ["4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity"])
    parts = numbers(generator.integers(1, len(world.parcels) + 1, count))
    plant(parts, 77, [None])
    applicants = pool([None, "", *(name for row in words.SURNAMES for name in row)])
    drawn = generator.integers(0, 10**6, count)
    return table_rows(
        "land.journal",
        {
            "entry_number": numbers(np.arange(1000, 1000 + count)),
            "received": received,
            "part_id": parts,
            "applicant": take(applicants, drawn),
            "resolution": take(pool([*words.TEXTS, None]), drawn // 7),
            "handling": take(pool(["1 day", "2 mons -1 days", "00:00:00.000001", None]), drawn),
        },
    )


def land_cadastre(world: World) -> Iterator[TableRows]:
    """Parcels with their shapes."""
    generator = world.generator("cadastre")
    count = len(world.parcels)
    corners = generator.integers(0, 300_000, (count, 2)).tolist()
    heights = [f"{value:.15g}" for value in (generator.random(count) * 318 - 5).tolist()]
    plant(heights, 307, ["NaN", "-0", "-Infinity", None, "1e-307"])
    uses = array_pool(
        [["arable"], ["forest", "water"], [], ["residential", None], ["state defence"]]
    )
    yield table_rows(
        "cadastre.parcel",
        {
            "cadastral_code": world.parcels.tolist(),
            "settlement_code": take(world.settlements, generator.integers(0, 10_000, count)),
            "area_m2": cents(generator.integers(10_000, 10**9, count)),
            "uses": take(uses, generator.integers(0, 1000, count)),
            "boundary": [f"(({x},{y}),({x + 90},{y}),({x + 85},{y + 60.5}))" for x, y in corners],
            "middle": [f"({x + 45},{y + 30.25})" for x, y in corners],
            "height_m": heights,
            "soil_score": [f"{value:.7g}" for value in generator.random(count).tolist()],
            "taxable_value": cents(generator.integers(0, 10**9, count)),
            "note": take(pool([*words.TEXTS, *[None] * 30]), generator.integers(0, 4600, count)),
        },
    )
