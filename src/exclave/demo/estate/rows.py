"""Rows as the bytes of COPY's text format.

A column is a list of ready fields: already escaped, NULL as backslash-N. Escaping happens once on
the small pools from which columns are drawn, not once a row; that is what makes loading quick.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from exclave.values import dataclass

NULL = "\\N"
Integers: TypeAlias = npt.NDArray[np.int64]
Pool: TypeAlias = npt.NDArray[np.object_]

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_EPOCH = np.datetime64("1900-01-01", "D")
_DAYS = 80_000  # 1900 to 2119


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """All rows of one table: `data` in COPY text format for `columns`."""

    table: str
    columns: tuple[str, ...]
    count: int
    data: bytes


def table_rows(table: str, columns: Mapping[str, Sequence[str]]) -> TableRows:
    """Join columns of equal length into COPY text."""
    count = len(next(iter(columns.values())))
    text = "\n".join(map("\t".join, zip(*columns.values(), strict=True)))
    data = (text + "\n").encode() if count else b""
    return TableRows(table=table, columns=tuple(columns), count=count, data=data)


def escaped(value: str | None) -> str:
    """One field of COPY text."""
    return NULL if value is None else value.translate(_ESCAPES)


def pool(values: Iterable[str | None]) -> Pool:
    """Escaped fields to draw from."""
    fields = [escaped(value) for value in values]
    result = np.empty(len(fields), dtype=object)
    result[:] = fields
    return result


def json_pool(values: Iterable[Any]) -> Pool:
    return pool(json.dumps(value, ensure_ascii=False) for value in values)


def array_pool(values: Iterable[Sequence[str | None]]) -> Pool:
    """PostgreSQL array literals, every element quoted."""
    return pool(
        "{"
        + ",".join(
            "NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
            for item in value
        )
        + "}"
        for value in values
    )


def take(source: Pool, indices: Integers) -> list[str]:
    """Fields of a pool by index, wrapping round."""
    picked: list[str] = source[indices % len(source)].tolist()
    return picked


def numbers(values: npt.NDArray[Any]) -> list[str]:
    return list(map(str, values.tolist()))


def cents(values: Integers) -> list[str]:
    """Integers of hundredths as decimals."""
    return [f"{value / 100:.2f}" for value in values.tolist()]


def _day_pool() -> Pool:
    return (_EPOCH + np.arange(_DAYS)).astype(str).astype(object)


_DAY_POOL = _day_pool()


def days(offsets: Integers) -> list[str]:
    """Dates from days since 1900-01-01 (0 to 79,999)."""
    picked: list[str] = _DAY_POOL[offsets].tolist()
    return picked


def day_number(day: str) -> int:
    """Days from 1900-01-01 to an ISO date."""
    return int((np.datetime64(day, "D") - _EPOCH).astype(int))


def moments(offsets: Integers, seconds: Integers) -> list[str]:
    """Timestamps without zone from days since 1900-01-01 and seconds (0 to 86,399)."""
    clock = [f" {s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(0, 86_400, 7)]
    picked = np.array(clock, dtype=object)[seconds % len(clock)]
    result: list[str] = (_DAY_POOL[offsets] + picked).tolist()
    return result


def uuids(generator: np.random.Generator, count: int) -> list[str]:
    """Version 4 UUIDs."""
    raw = np.frombuffer(generator.bytes(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    raw[:, 6] = (raw[:, 6] & 0x0F) | 0x40
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    text = raw.tobytes().hex()
    return [
        f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
        for h in (text[at : at + 32] for at in range(0, 32 * count, 32))
    ]


def byte_fields(generator: np.random.Generator, count: int, width: int) -> list[str]:
    """bytea fields of `width` random bytes, in hex form."""
    text = generator.bytes(width * count).hex()
    step = 2 * width
    return ["\\\\x" + text[at : at + step] for at in range(0, step * count, step)]


def plant(column: list[str], every: int, values: Sequence[str | None]) -> None:
    """Overwrite each `every`-th field with special values in turn; the first row gets one too."""
    fields = [escaped(value) for value in values]
    for turn, at in enumerate(range(0, len(column), every)):
        column[at] = fields[turn % len(fields)]
