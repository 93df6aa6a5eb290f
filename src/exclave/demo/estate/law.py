"""Rows of the courts' e-File, and the State Gazette as a SQLite database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from exclave.demo.estate import words
from exclave.demo.estate.rows import (
    NULL,
    TableRows,
    array_pool,
    day_number,
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
from exclave.values import dataclass

_TODAY = day_number("2025-11-01")
_LANGUAGES = ("et", "ru", "fi", "ar", "zh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """A document of a court case, stored as a large object."""

    case_id: str
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gazette:
    """Rows of the SQLite register, as parameters of INSERT."""

    acts: list[tuple[int, str, str, str, str, str | None, bytes]]
    paragraphs: list[tuple[int, int, str, float | None]]
    amendments: list[tuple[int, int, object]]

    @property
    def count(self) -> int:
        return len(self.acts) + len(self.paragraphs) + len(self.amendments)


def case_ids(world: World) -> list[str]:
    """Keys of all court cases, from a generator of their own: filings need them too."""
    return uuids(world.generator("case ids"), world.scaled(8_000))


def e_file(world: World) -> Iterator[TableRows]:
    """Cases, participants, hearings; filings come as large objects, apart."""
    generator = world.generator("e-file")
    cases = pool(case_ids(world))
    count = len(cases)
    order = np.arange(count)
    opened = generator.integers(_TODAY - 4000, _TODAY - 400, count)
    closed = moments(opened + 300, order * 31 % 86_400)
    plant(closed, 3, [None])
    facts = json_pool(
        {"sum": i * 10.5, "teksti": words.TEXTS[i % len(words.TEXTS)], "deep": [[[i]], {}]}
        for i in range(1, 300)
    )
    yield table_rows(
        "e_file.court_case",
        {
            "case_id": cases.tolist(),
            "number": [f"2-{24 - i % 9:02d}-{i}" for i in range(count)],
            "title": take(pool(words.TEXTS), order),
            "opened": moments(opened, order * 47 % 86_400),
            "closed": closed,
            "keywords": take(array_pool([*words.LANGUAGE_SETS, words.TEXTS]), order),
            "facts": take(facts, order),
        },
    )
    yield _participants(world, generator, cases.tolist())
    count = world.scaled(8_000)
    start = generator.integers(_TODAY - 300, _TODAY + 200, count)
    spans = [
        f'["{first}+00","{last}+00")'
        for first, last in zip(
            moments(start, np.full(count, 30_002)),
            moments(start, np.full(count, 37_002)),
            strict=True,
        )
    ]
    plant(spans, 401, ["empty", '["2025-01-01 00:00:00+00",infinity]', "(,)"])
    yield table_rows(
        "e_file.hearing",
        {
            "hearing_id": numbers(np.arange(1, count + 1)),
            "case_id": take(cases, generator.integers(0, 10**6, count)),
            "during": spans,
            "room": take(pool(["I saal", "зал 2", "قاعة ٣", "第四法庭"]), start),
        },
    )


def _participants(world: World, generator: np.random.Generator, cases: list[str]) -> TableRows:
    count = world.scaled(18_000)
    order = np.arange(count)
    parties = pool(["claimant", "defendant", "witness", "interpreter"])
    statements = take(pool([*words.TEXTS, None]), generator.integers(0, 1700, count))
    # A few long ones, so that TOAST has something to store.
    plant(statements, 911, [words.TEXTS[3] * 400, "長" * 9_000, NULL])
    return table_rows(
        "e_file.participant",
        {
            "case_id": take(pool(cases), order),
            "ordinal": numbers(order // len(cases) + 1),
            "personal_code": take(world.persons, generator.integers(0, 10**6, count)),
            "party": take(parties, order // len(cases) + generator.integers(0, 2, count)),
            "statement": statements,
        },
    )


def filings(world: World) -> list[Filing]:
    """Bodies from empty to some hundred kilobytes."""
    generator = world.generator("filings")
    cases = case_ids(world)
    sizes = [0, 1, 2047, 2048, 2049, 9_000, 40_000, 300_000]
    made = []
    for number in range(world.scaled(200)):
        size = sizes[number % len(sizes)]
        media = "text/plain" if number % 2 else "application/octet-stream"
        text = (words.TEXTS[number % len(words.TEXTS)] + "\n").encode() * (size // 8 + 1)
        body = text[:size] if number % 2 else generator.bytes(size)
        made.append(Filing(case_id=cases[number % len(cases)], media_type=media, body=body))
    return made


def state_gazette(world: World) -> Gazette:
    """Acts in five languages with their paragraphs."""
    generator = world.generator("gazette")
    acts = world.scaled(3_000)
    published = moments(
        np.sort(generator.integers(_TODAY - 11_000, _TODAY, acts)), np.full(acts, 3_600)
    )
    made = Gazette(acts=[], paragraphs=[], amendments=[])
    weights = generator.random(9 * acts).tolist()
    for number in range(1, acts + 1):
        title = f"{words.TRADES[number % len(words.TRADES)]} seadus nr {number}"
        ended = "2030-01-01" if number % 7 == 0 else None
        made.acts.append(
            (
                number,
                f"RT I, {2025 - number % 30}, {number}",
                title,
                _LANGUAGES[number % 5],
                published[number - 1],
                ended,
                hashlib.sha256(title.encode()).digest(),
            )
        )
        for paragraph in range(1, 7 + number % 4):
            text = words.TEXTS[(number + paragraph) % len(words.TEXTS)]
            weight = None if paragraph == 3 else weights[9 * number + paragraph - 10]
            made.paragraphs.append((number, paragraph, f"§ {paragraph}. {title}: {text}", weight))
        if number % 10 == 0:
            anything: object = (None, -0.0, b"\x00\xff", "text", 2**62)[number // 10 % 5]
            made.amendments.append((number - 1, number, anything))
    return made
