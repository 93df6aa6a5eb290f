"""The few encodings that every stored or sent thing uses (spec/conventions.md).

Canonical JSON is RFC 8785 narrowed to what Exclave needs: integers only, ASCII
keys. Base64 is RFC 4648 section 4 with padding. Each value has exactly one
encoding; readers refuse all others, so that re-encoding gives the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TypeAlias

from exclave.errors import MalformedData, NonCanonicalData

__all__ = [
    "MAX_INTEGER",
    "JsonObject",
    "JsonValue",
    "b64decode",
    "b64encode",
    "canonical_json",
    "hex_decode",
    "parse_canonical_json",
]

JsonValue: TypeAlias = (
    "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"  # recursive
)
JsonObject: TypeAlias = dict[str, JsonValue]

MAX_INTEGER = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly (RFC 8785 section 3.2.2.3)."""

_KEY = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_MAX_DEPTH = 32


def canonical_json(value: JsonValue) -> bytes:
    """Encode a value in its one form; raises `MalformedData` for values that have none."""
    _check(value, 0)
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedData("json: a string holds a lone surrogate") from error


def parse_canonical_json(data: bytes, *, subject: str = "json") -> JsonValue:
    """Decode bytes that must be the canonical encoding of what they say."""
    try:
        value: JsonValue = json.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise MalformedData(f"{subject}: not JSON in UTF-8") from error
    try:
        again = canonical_json(value)
    except MalformedData as error:
        raise MalformedData(f"{subject}: {error.message.removeprefix('json: ')}") from error
    if again != data:
        raise NonCanonicalData(
            f"{subject}: not in canonical form",
            hint="keys sorted, no spaces, no duplicate keys, integers only (spec/conventions.md 2)",
        )
    return value


def _check(value: object, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise MalformedData(f"json: nested deeper than {_MAX_DEPTH}")
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise MalformedData("json: integer beyond 2^53-1")
        return
    if isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise MalformedData(f"json: key {str(key)[:40]!r} is not [A-Za-z0-9_.:/-]{{1,128}}")
            _check(item, depth + 1)
        return
    raise MalformedData(f"json: no canonical form for {type(value).__name__}")


def b64encode(data: bytes) -> str:
    """Standard Base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: str, *, length: int | None = None, subject: str = "base64") -> bytes:
    """Decode strict Base64; `length` is the exact number of bytes expected."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise MalformedData(f"{subject}: not base64") from error
    if b64encode(data) != text:
        raise NonCanonicalData(f"{subject}: base64 with stray bits or missing padding")
    if length is not None and len(data) != length:
        raise MalformedData(f"{subject}: expected {length} bytes, got {len(data)}")
    return data


def hex_decode(text: str, *, length: int | None = None, subject: str = "hex") -> bytes:
    """Decode lower-case hex; `length` is the exact number of bytes expected."""
    if not re.fullmatch(r"(?:[0-9a-f]{2})*", text):
        raise MalformedData(f"{subject}: not lower-case hex")
    data = bytes.fromhex(text)
    if length is not None and len(data) != length:
        raise MalformedData(f"{subject}: expected {length} bytes, got {len(data)}")
    return data
