"""Rows of the registers of persons: population, identity documents, pension insurance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exclave.demo.estate import words
from exclave.demo.estate.rows import (
    NULL,
    Integers,
    TableRows,
    array_pool,
    byte_fields,
    cents,
    day_number,
    days,
    json_pool,
    moments,
    numbers,
    plant,
    pool,
    table_rows,
    take,
    uuids,
)
from exclave.demo.estate.world import World

_TODAY = day_number("2025-11-01")
_CULTURE_ODDS = (0.55, 0.2, 0.1, 0.06, 0.06, 0.03)
_EVENTS_2024 = day_number("2024-01-01")


def population(world: World) -> Iterator[TableRows]:
    """Settlements, addresses, persons, residences, kinship."""
    generator = world.generator("population")
    yield _settlements(world)
    addresses = world.scaled(30_000)
    yield _addresses(world, generator, addresses)
    yield _persons(world, generator)
    yield _residences(world, generator, addresses)
    yield _kinship(world, generator)


def _settlements(world: World) -> TableRows:
    order = np.arange(len(world.settlements))
    names = [
        f"{name} {i // len(words.SETTLEMENTS) + 1}" for i, name in enumerate(words.SETTLEMENTS * 10)
    ][: len(order)]
    other = json_pool({"ru": street, "n": -0.0, "old": [None, words.TEXTS[7]]} for street in names)
    founded = pool(["0044-03-15 BC", "1248-05-15", "-infinity", None])
    return table_rows(
        "population.settlement",
        {
            "settlement_code": take(world.settlements, order),
            "name": take(pool(names), order),
            "county": take(pool(words.COUNTIES), order),
            "other_names": take(other, order),
            "founded": take(founded, order),
        },
    )


def _addresses(world: World, generator: np.random.Generator, count: int) -> TableRows:
    places = generator.integers(0, 400_000, (count, 2))
    flat = pool([None, "", "1", "2", "12a", "Ⅳ", "14-3"])
    return table_rows(
        "population.address",
        {
            "address_id": numbers(np.arange(1, count + 1)),
            "settlement_code": take(world.settlements, generator.integers(0, 10_000, count)),
            "street": take(pool(words.STREETS), generator.integers(0, 10_000, count)),
            "house": numbers(generator.integers(1, 240, count)),
            "apartment": take(flat, generator.integers(0, 700, count)),
            "place": [f"({x / 1000},{y / 1000})" for x, y in places.tolist()],
        },
    )


def _names(choices: tuple[tuple[str, ...], ...], culture: Integers, draw: Integers) -> list[str]:
    """One name a person, from the names of that person's culture."""
    flat = pool(name for row in choices for name in row)
    sizes = np.array([len(row) for row in choices])
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return take(flat, starts[culture] + draw % sizes[culture])


def _persons(world: World, generator: np.random.Generator) -> TableRows:
    count = len(world.persons)
    culture = generator.choice(len(words.GIVEN), count, p=_CULTURE_ODDS)
    old = np.asarray(_TODAY - world.born > 30_000)
    died = np.array(days(np.minimum(world.born + 30_000, _TODAY)), dtype=object)
    died[~old] = NULL
    contact = json_pool(
        {"mail": f"p{i}@näide.vm", "phones": [f"+999 55{i:04d}", None], "ok": i % 3 == 0}
        for i in range(997)
    )
    contact[::9] = NULL
    remarks = pool([*words.TEXTS, *[None] * 40])
    status = pool(["single", "married", "divorced", "widowed", None])
    return table_rows(
        "population.person",
        {
            "personal_code": world.persons.tolist(),
            "given_names": _names(words.GIVEN, culture, generator.integers(0, 2520, count)),
            "surname": _names(words.SURNAMES, culture, generator.integers(0, 2520, count)),
            "sex": take(pool(["male", "female"]), world.woman),
            "born": days(world.born),
            "died": died.tolist(),
            "civil_status": take(status, generator.integers(0, 5, count)),
            "citizenship": take(pool(["VM", "VM", "VM", "EE", "FI", "  "]), culture),
            "languages": take(array_pool(words.LANGUAGE_SETS), culture + generator.integers(0, 3)),
            "contact": take(contact, generator.integers(0, 997, count)),
            "remark": take(remarks, generator.integers(0, 5600, count)),
        },
    )


def _residences(world: World, generator: np.random.Generator, addresses: int) -> TableRows:
    """Everybody lives somewhere now; about every fourth person lived somewhere before."""
    count = len(world.persons)
    movers = np.flatnonzero(generator.integers(0, 9, count) < 2)
    since = np.minimum(world.born + generator.integers(0, 20_000, count), _TODAY)
    since[movers] = np.maximum(since[movers], world.born[movers] + 1)
    until = days(since[movers] - 1)
    who = np.concatenate((np.arange(count), movers))
    return table_rows(
        "population.residence",
        {
            "personal_code": take(world.persons, who),
            "valid_from": days(np.concatenate((since, world.born[movers]))),
            "address_id": numbers(generator.integers(1, addresses + 1, len(who))),
            "valid_to": ["infinity"] * count + until,
        },
    )


def _kinship(world: World, generator: np.random.Generator) -> TableRows:
    """A child and a parent born at least 18 years earlier, where the draw gives one."""
    count = len(world.persons)
    wanted = world.scaled(90_000)
    child = generator.permutation(count)[:wanted]
    parent = generator.integers(0, count, len(child))
    fits = world.born[parent] + 18 * 365 < world.born[child]
    child, parent = child[fits], parent[fits]
    recorded = moments(world.born[child] + 3, generator.integers(0, 86_400, len(child)))
    plant(recorded, 997, ["infinity", "-infinity", "2024-02-29 23:59:59.999999+13:45"])
    return table_rows(
        "population.kinship",
        {
            "parent_code": take(world.persons, parent),
            "child_code": take(world.persons, child),
            "recorded": recorded,
        },
    )


def identity_documents(world: World) -> Iterator[TableRows]:
    """Documents and their uses."""
    generator = world.generator("identity")
    count = world.scaled(90_000)
    issued = generator.integers(_TODAY - 3000, _TODAY, count)
    document_numbers = [f"VM{i:07d}" for i in range(1, count + 1)]
    chips = pool(
        [f'("Infineon, ""M""",{-i},)' for i in range(500)]
        + [None, '(,9223372036854775807,"2031-01-01")']
    )
    yield table_rows(
        "identity.document",
        {
            "document_id": uuids(generator, count),
            "personal_code": take(world.persons, np.arange(count)),
            "kind": take(
                pool(["id-card"] * 6 + ["passport"] * 3 + ["residence permit", "diplomatic"]),
                generator.integers(0, 11, count),
            ),
            "number": document_numbers,
            "issued": days(issued),
            "expires": days(issued + 1826),
            "chip": take(chips, generator.integers(0, 502, count)),
            "face_digest": byte_fields(generator, count, 20),
            "revoked_because": take(
                pool([*[None] * 60, *words.TEXTS]), generator.integers(0, 7600, count)
            ),
        },
    )
    yield _document_events(world, generator, document_numbers)


def _document_events(
    world: World, generator: np.random.Generator, document_numbers: list[str]
) -> TableRows:
    count = world.scaled(80_000)
    happened = moments(
        np.sort(generator.integers(_EVENTS_2024 - 60, _TODAY, count)),
        generator.integers(0, 86_400, count),
    )
    plant(happened, 9973, ["infinity", "-infinity", "0753-04-21 00:00:00+00 BC"])
    addresses = pool([None, "2001:db8::/48", *(f"10.{i}.7.{i * 3 % 256}" for i in range(250))])
    macs = pool([None, *(f"08:00:2b:00:{i:02x}:ff" for i in range(250))])
    drawn = generator.integers(0, len(document_numbers), count)
    return table_rows(
        "identity.event",
        {
            "happened": happened,
            "document_number": take(pool(document_numbers), drawn),
            "what": take(
                pool(["border", "signature", "login", "ошибка", words.TEXTS[7]]), drawn // 3
            ),
            "reader_address": take(addresses, drawn),
            "reader_mac": take(macs, drawn),
            "flags": take(pool([f"{i:04b}" for i in range(16)]), drawn),
        },
    )


def pension_insurance(world: World) -> Iterator[TableRows]:
    """The insured and what was paid for them."""
    generator = world.generator("pension")
    count = min(world.scaled(60_000), len(world.persons))
    units = [f"{value:.17g}" for value in (generator.random(count) * 90).tolist()]
    plant(units, 4999, ["NaN", "-0", "Infinity", "5e-324", "1.7976931348623157e+308"])
    service = pool(
        [
            None,
            "-3 years +2 days -04:05:06.789",
            "0",
            *(f"{i} years {i % 12} mons" for i in range(45)),
        ]
    )
    since = world.born[:count] + 18 * 365
    yield table_rows(
        "pension.insured",
        {
            "personal_code": world.persons[:count].tolist(),
            "since": days(since),
            "pillar": numbers(generator.integers(1, 4, count)),
            "units": units,
            "service": take(service, generator.integers(0, 48, count)),
            "retires": days(world.born[:count] + 65 * 365),
        },
    )
    paid = world.scaled(90_000)
    months = pool(f"{year}-{month:02d}-01" for year in range(2018, 2026) for month in range(1, 13))
    order = np.arange(paid)
    yield table_rows(
        "pension.contribution",
        {
            "personal_code": take(world.persons, order % count),
            "month": take(months, order // count + 2 * (order % 40)),
            "payer_code": take(world.companies, generator.integers(0, 10**6, paid)),
            "amount": cents(generator.integers(1_000, 300_000, paid)),
        },
    )
