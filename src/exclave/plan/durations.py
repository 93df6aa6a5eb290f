"""Durations and sizes as people write them in configuration files."""

from __future__ import annotations

import re
from typing import Annotated

from exclave.shapes import Parsed

__all__ = ["Duration", "Size", "parse_duration", "parse_size"]

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]+) ?(s|min|h|d|w)")
_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"([0-9]+) ?(KiB|MiB|GiB|TiB)")


def parse_duration(value: object) -> int:
    """`"15min"`, `"24h"`, `"7d"` as seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a duration such as "15min", "24h" or "7d"')
    return int(match[1]) * _SECONDS[match[2]]


def parse_size(value: object) -> int:
    """`"20GiB"`, `"500MiB"` as bytes."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a size such as "500MiB" or "20GiB"')
    return int(match[1]) * _BYTES[match[2]]


Duration = Annotated[int, Parsed(parse_duration)]
Size = Annotated[int, Parsed(parse_size)]
