"""Small changes to bytes, as accidents and attackers make them; the same at every run."""

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any

from exclave.encoding import canonical_json

# What decoders stumble over: limits, signs, other spellings of the same value.
_PIECES = (
    b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x80", b" ", b"\n", b"\r\n", b"0", b"-", b"1e9",
    b"null", b"true", b"[]", b"{}", b'""', b"9007199254740992", b"\xc3\xb5", b"=", b"A", b",",
)  # fmt: skip
_NUMBER = re.compile(rb"\d+")


def mutated(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` variants of `data`, one or two changes each."""
    drawn = random.Random(seed)
    for _ in range(count):
        changed = data
        for _ in range(drawn.choice((1, 1, 1, 2))):
            changed = _change(changed, drawn)
        yield changed


def _change(data: bytes, drawn: random.Random) -> bytes:
    at = drawn.randrange(len(data) + 1)
    end = min(len(data), at + drawn.choice((1, 1, 2, 4, 32)))
    way = drawn.randrange(7)
    if way == 0 and at < len(data):
        return data[:at] + bytes([data[at] ^ (1 << drawn.randrange(8))]) + data[at + 1 :]
    if way == 1:
        return data[:at] + drawn.choice(_PIECES) + data[at:]
    if way == 2:
        return data[:at] + drawn.choice(_PIECES) + data[end:]
    if way == 3:
        return data[:at] + data[end:]
    if way == 4:
        return data[:at] + data[at:end] * 2 + data[end:]
    if way == 5:
        return data[:at]
    return _other_number(data, drawn)


def _other_number(data: bytes, drawn: random.Random) -> bytes:
    numbers = list(_NUMBER.finditer(data))
    if not numbers:
        return data + drawn.choice(_PIECES)
    found = drawn.choice(numbers)
    other = drawn.choice((b"0", b"1", b"2", b"255", b"256", b"4294967296", b"9007199254740991"))
    return data[: found.start()] + other + data[found.end() :]


_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, 255, 256, 2**31, 2**32, 2**53 - 1, -1, "", "a", "XA", "x-wing",
    "00" * 16, "00" * 32, "AAAA", "all", "p-0000000000000000", "2026-01-02T03:04:05Z", "\u00f5\n",
    [], {}, [[]], "\u2028", "A" * 1025, "-", "2024-02-30T00:00:00Z", "[::1]:1", "127.0.0.1:65536",
)  # fmt: skip


def mutated_json(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` variants of canonical JSON, canonical again: a value, key or order is another."""
    drawn = random.Random(seed)
    for _ in range(count):
        value = json.loads(data)
        places = list(_places(value))
        if places:
            _change_value(*drawn.choice(places), places, drawn)
        yield canonical_json(value)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in it, from the outside inwards."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _change_value(
    holder: Any, key: Any, places: list[tuple[Any, Any]], drawn: random.Random
) -> None:
    old, way = holder[key], drawn.randrange(8)
    other = drawn.choice(places)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[drawn.choice(("more", "kind", "z"))] = old
    elif way == 1:
        holder.insert(key, old)
    elif way == 2:
        alike = [h[k] for h, k in places if type(h[k]) is type(old)]
        holder[key] = copy.deepcopy(drawn.choice(alike))
    elif way == 3 and isinstance(holder, list):
        holder.reverse()
    elif way == 4 and isinstance(old, str) and old:
        at = drawn.randrange(len(old))
        holder[key] = old[:at] + drawn.choice("aA0.=-/ \u00f5") + old[at + drawn.randrange(2) :]
    elif way == 5 and type(old) is int:
        holder[key] = old + drawn.choice((-1, 1, 32))
    elif way == 6 and isinstance(other[0][other[1]], bool | int):
        other[0][other[1]] = not other[0][other[1]]
    else:
        holder[key] = drawn.choice(_VALUES)
