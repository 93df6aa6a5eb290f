"""Small changes to bytes, as accidents and attackers make them; the same at every run."""

import random
import re
from collections.abc import Iterator

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
