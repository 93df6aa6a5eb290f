"""Keys of rows as bytes that sort and as text for people, to name the rows that differ.

Integers sort by value, everything else by its text in COPY, escapes included: an order for walking
two tables side by side, not the server's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from exclave.errors import MalformedData

__all__ = ["KeyInvalid", "readable_key", "sortable_key"]

_NUMBER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_INTEGERS: Final = frozenset({"int2", "int4", "int8", "oid"})
_OFFSET: Final = 2**63
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class KeyInvalid(MalformedData):
    """A key column's field is null, missing, or not a value of its type."""


def sortable_key(line: bytes, types: Sequence[str]) -> bytes:
    """The first fields of a COPY line, one for each type; no key is the beginning of another."""
    fields = line.split(b"\t", len(types))
    if len(fields) < len(types):
        raise KeyInvalid(f"key: expected {len(types)} columns, got {len(fields)}")
    return b"".join(map(_encode, fields, types))


def _encode(field: bytes, kind: str) -> bytes:
    if field == b"\\N":
        raise KeyInvalid("key: expected a value, got null")
    if kind not in _INTEGERS:
        return field + b"\x00"  # which COPY text cannot hold
    if not _NUMBER.fullmatch(field) or not -_OFFSET <= int(field) < _OFFSET:
        raise KeyInvalid(f"key: expected {kind}, got {field[:40]!r}")
    return (int(field) + _OFFSET).to_bytes(8, "big")


def readable_key(key: bytes, types: Sequence[str]) -> str:
    """A sortable key as text."""
    parts: list[str] = []
    for kind in types:
        if kind in _INTEGERS:
            parts.append(str(int.from_bytes(key[:8], "big") - _OFFSET))
            key = key[8:]
        else:
            field, _, key = key.partition(b"\x00")
            plain = _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), field)
            parts.append(plain.decode("utf-8", errors="backslashreplace"))
    return ", ".join(parts)
