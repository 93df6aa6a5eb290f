"""Rows of the registers of money and trade: business register, taxable persons, treasury."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exclave.demo.estate import words
from exclave.demo.estate.rows import (
    NULL,
    TableRows,
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
)
from exclave.demo.estate.world import World

_TODAY = day_number("2025-11-01")
_ACCOUNTS = 400


def business_register(world: World) -> Iterator[TableRows]:
    """Companies, officers and lines of annual reports."""
    generator = world.generator("business")
    yield _companies(world, generator)
    count = world.scaled(22_000)
    since = generator.integers(_TODAY - 9000, _TODAY, count)
    until = np.array(days(since + 700), dtype=object)
    until[generator.integers(0, 3, count) > 0] = NULL
    yield table_rows(
        "register.officer",
        {
            "officer_id": numbers(np.arange(100, 100 + count)),
            "registry_code": take(world.companies, generator.integers(0, 10**6, count)),
            "personal_code": take(world.persons, generator.integers(0, 10**6, count)),
            "role": take(pool(["juhatuse liige", "директор", "prokuristi", "审计员"]), since),
            "since": days(since),
            "until": until.tolist(),
        },
    )
    yield _report_lines(world, generator)


def _companies(world: World, generator: np.random.Generator) -> TableRows:
    count = len(world.companies)
    trades = generator.integers(0, len(words.TRADES), (count, 2)).tolist()
    names = pool(
        f"{words.TRADES[one]} {words.TRADES[two]} {number}"
        for number, (one, two) in enumerate(trades)
    )
    forms = pool(
        ["osaühing"] * 5 + ["aktsiaselts", "mittetulundusühing", "füüsilisest isikust ettevõtja"]
    )
    # A parent is always an earlier company, so that no ring of owners arises.
    order = np.arange(count)
    parents = world.companies[order // 3].copy()
    parents[(order % 5 > 0) | (order == 0)] = NULL
    activities = pool(["{}", "{1110,-5}", "{62010}", "{NULL,47110}", "{85,86,87,88}"])
    return table_rows(
        "register.company",
        {
            "registry_code": world.companies.tolist(),
            "name": names.tolist(),
            "form": take(forms, generator.integers(0, 8000, count)),
            "founded": days(generator.integers(_TODAY - 12_000, _TODAY, count)),
            "capital": cents(generator.integers(250_000, 10**9, count)),
            "parent_code": parents.tolist(),
            "activities": take(activities, order),
        },
    )


def _report_lines(world: World, generator: np.random.Generator) -> TableRows:
    """Three lines a company, one year after the other."""
    count = world.scaled(43_000)
    order = np.arange(count)
    companies = len(world.companies)
    amounts = cents(generator.integers(-(10**9), 10**10, count))
    plant(amounts, 2003, ["NaN", "-0.00", "123456789012345678901234567890.123456789", "1e-20"])
    details = json_pool(
        {"märkus": words.TEXTS[i % 13], "n": i, "x": [1.0, -0.0, 1e300, None, True], "": {}}
        for i in range(200)
    )
    details[::11] = NULL
    raw = pool(['{"b":1,  "a":2, "a":3}', "null", '"\\ud83d\\ude00"', None, "[1.10, 1e2]"])
    lines = pool(["assets", "liabilities", "omakapital"])
    return table_rows(
        "annual.report_line",
        {
            "registry_code": take(world.companies, order),
            "year": numbers(2024 - order // (3 * companies)),
            "line": take(lines, order // companies % 3),
            "amount": amounts,
            "detail": take(details, generator.integers(0, 200, count)),
            "source": take(raw, order),
        },
    )


def taxable_persons(world: World) -> Iterator[TableRows]:
    """Taxpayers and their declarations."""
    generator = world.generator("tax")
    companies = len(world.companies)
    persons = min(world.scaled(30_000), len(world.persons))
    codes = np.concatenate((world.companies, world.persons[:persons]))
    count = len(codes)
    risk = [f"{value:.17g}" for value in generator.random(count).tolist()]
    plant(risk, 1009, ["NaN", "-0", None, "Infinity", "2.2250738585072014e-308"])
    yield table_rows(
        "tax.taxpayer",
        {
            "taxpayer_code": codes.tolist(),
            "is_company": ["t"] * companies + ["f"] * persons,
            "status": take(
                pool(["active"] * 8 + ["suspended", "in arrears", "closed"]),
                generator.integers(0, 11, count),
            ),
            "registered": days(generator.integers(_TODAY - 9000, _TODAY, count)),
            "balance": cents(generator.integers(-(10**6), 10**7, count)),
            "risk": risk,
        },
    )
    filed = world.scaled(90_000)
    income = generator.integers(0, 10**8, filed)
    order = np.arange(filed)
    # Rows of 2021 and 2022 fall into the default partition.
    month = order * 59 // filed
    periods = pool(f"{2021 + m // 12}-{m % 12 + 1:02d}-01" for m in range(59))
    forms = json_pool({"rows": [i, i * 1.5, str(i)], "õ": words.TEXTS[i % 13]} for i in range(300))
    filed_at = moments(generator.integers(_TODAY - 1700, _TODAY, filed), order * 17 % 86_400)
    plant(filed_at, 1013, [None, "infinity", "2024-10-27 03:30:00+02"])
    yield table_rows(
        "tax.declaration",
        {
            "declaration_id": numbers(order + 1),
            "period": take(periods, month),
            "taxpayer_code": codes[generator.integers(0, count, filed)].tolist(),
            "income": cents(income),
            "due": cents(income * 22 // 100),
            "filed": filed_at,
            "form": take(forms, generator.integers(0, 300, filed)),
        },
    )


def treasury(world: World) -> Iterator[TableRows]:
    """Accounts, budget, payments."""
    generator = world.generator("treasury")
    ibans = pool(f"VM{17 * i % 97:02d}2200{i:010d}" for i in range(_ACCOUNTS))
    yield table_rows(
        "treasury.account",
        {
            "iban": ibans.tolist(),
            "holder": take(pool(words.COUNTIES), np.arange(_ACCOUNTS)),
            "opened": days(generator.integers(_TODAY - 9000, _TODAY, _ACCOUNTS)),
        },
    )
    programmes = np.arange(60)
    yield table_rows(
        "treasury.budget_span",
        {
            "programme": [f"programm {i} — бюджет" for i in programmes.tolist()],
            "pages": [f"[{10 * i},{10 * i + 9})" for i in programmes.tolist()],
            "years": take(pool([None, "{}", "{[2020,2023),[2025,)}"]), programmes),
        },
    )
    count = world.scaled(80_000)
    booked = moments(
        np.sort(generator.integers(_TODAY - 900, _TODAY, count)),
        generator.integers(0, 86_400, count),
    )
    drawn = generator.integers(0, 10**6, count)
    payees = pool([name for row in words.SURNAMES for name in row] + list(words.TRADES))
    columns = {
        "booked": booked,
        "iban": take(ibans, drawn),
        "payee": take(payees, drawn // 3),
        "amount": cents(generator.integers(-(10**8), 10**8, count)),
        "reference": take(pool([*words.TEXTS, None]), drawn // 5),
        "settled_after": take(pool(["01:30:00", "3 days", None, "-00:00:01"]), drawn),
    }
    for column in columns.values():
        column[1::5001] = column[:1] * len(column[1::5001])  # exact duplicates, on purpose
    yield table_rows("treasury.payment", columns)
