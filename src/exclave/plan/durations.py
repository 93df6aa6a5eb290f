"""Durations and sizes as people write them in configuration files."""

from __future__ import annotations

import re
from typing import Annotated

from exclave.shapes import Parsed

__all__ = ["Duration", "Size", "parse_duration", "parse_size"]

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]+) ?(s|min|h|d|w)")
_LONGEST = 36_525 * 86_400  # beyond what times of clocks can be added to
_DIGITS = 12
_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_TOO_LARGE = 2**63  # for the calls that ask a disk
_SIZE = re.compile(r"([0-9]+) ?(KiB|MiB|GiB|TiB)")


def parse_duration(value: object) -> int:
    """`"15min"`, `"24h"`, `"7d"` as seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a duration such as "15min", "24h" or "7d"')
    seconds = int(match[1][:_DIGITS]) * _SECONDS[match[2]]
    if len(match[1]) > _DIGITS or seconds > _LONGEST:
        raise ValueError("expected a duration of at most 100 years")
    return seconds


def parse_size(value: object) -> int:
    """`"20GiB"`, `"500MiB"` as bytes."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a size such as "500MiB" or "20GiB"')
    size = int(match[1][:_DIGITS]) * _BYTES[match[2]]
    if len(match[1]) > _DIGITS or size >= _TOO_LARGE:
        raise ValueError("expected a size below 8 EiB")
    return size


Duration = Annotated[int, Parsed(parse_duration)]
Size = Annotated[int, Parsed(parse_size)]
