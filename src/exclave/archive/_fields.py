"""Strict reading of a JSON object's fields, shared by the manifest's types.

Each way to be wrong has its own error: a field missing, unknown, of another type, or with a
value that the specification does not allow (spec/conventions.md 2, 7).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

from exclave.clock import parse_time
from exclave.encoding import MAX_INTEGER, JsonObject, JsonValue, hex_decode
from exclave.errors import MalformedData
from exclave.values import dataclass

__all__ = [
    "FieldMissing",
    "FieldTypeWrong",
    "FieldUnknown",
    "FieldValueInvalid",
    "Fields",
    "require",
    "require_integer",
    "require_slug",
]

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class FieldMissing(MalformedData):
    """An object lacks a field that the specification demands."""


class FieldUnknown(MalformedData):
    """An object has a field that the specification does not know."""


class FieldTypeWrong(MalformedData):
    """A field holds another JSON type than the specified one."""


class FieldValueInvalid(MalformedData):
    """A field has the right type but a value that is not allowed."""


def require(condition: bool, message: str) -> None:
    """Raise `FieldValueInvalid` with the message unless the condition holds."""
    if not condition:
        raise FieldValueInvalid(message)


def require_integer(value: int, name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER) -> None:
    """Raise `FieldValueInvalid` unless minimum <= value <= maximum."""
    if not minimum <= value <= maximum:
        raise FieldValueInvalid(f"{name}: expected {minimum} to {maximum}, got {value}")


def require_slug(value: str, name: str) -> None:
    """Raise `FieldValueInvalid` unless the text is a slug (spec/archive.md 5)."""
    if not _SLUG.fullmatch(value):
        raise FieldValueInvalid(f"{name}: expected [a-z0-9][a-z0-9_-]{{0,62}}, got {value[:80]!r}")


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object with exactly the expected fields."""

    value: JsonObject
    subject: str

    @classmethod
    def of(cls, value: JsonValue, subject: str, names: Collection[str]) -> Fields:
        """Take a JSON value that must be an object with exactly these fields."""
        if not isinstance(value, dict):
            raise FieldTypeWrong(f"{subject}: expected an object, got {type(value).__name__}")
        for name in names:
            if name not in value:
                raise FieldMissing(f"{subject}: expected field {name!r}, got none")
        for name in value:
            if name not in names:
                raise FieldUnknown(f"{subject}: expected no field {name!r}, got one")
        return cls(value, subject)

    def _wrong(self, name: str, expected: str) -> FieldTypeWrong:
        got = type(self.value[name]).__name__
        return FieldTypeWrong(f"{self.subject}: expected {name} to be {expected}, got {got}")

    def text(self, name: str) -> str:
        """A string."""
        value = self.value[name]
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string or null."""
        return None if self.value[name] is None else self.text(name)

    def choice(self, name: str, allowed: Collection[str]) -> str:
        """A string out of a few."""
        value = self.text(name)
        if value not in allowed:
            names = ", ".join(sorted(allowed))
            raise FieldValueInvalid(
                f"{self.subject}: expected {name} to be one of {names}, got {value[:40]!r}"
            )
        return value

    def integer(self, name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
        """An integer within bounds."""
        value = self.value[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer")
        require_integer(value, f"{self.subject}: {name}", minimum=minimum, maximum=maximum)
        return value

    def boolean(self, name: str) -> bool:
        """True or false."""
        value = self.value[name]
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def hex(self, name: str, length: int) -> bytes:
        """Bytes in lower-case hex."""
        return hex_decode(self.text(name), length=length, subject=f"{self.subject}: {name}")

    def time(self, name: str) -> datetime:
        """A moment in UTC."""
        return parse_time(self.text(name))

    def items(self, name: str) -> list[JsonValue]:
        """A list of anything."""
        value = self.value[name]
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        found: list[str] = []
        for item in self.items(name):
            if not isinstance(item, str):
                raise self._wrong(name, "a list of strings")
            found.append(item)
        return tuple(found)

    def text_pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """A list of [string, string]."""
        found: list[tuple[str, str]] = []
        for item in self.items(name):
            match item:
                case [str(first), str(second)]:
                    found.append((first, second))
                case _:
                    raise self._wrong(name, "a list of pairs of strings")
        return tuple(found)
