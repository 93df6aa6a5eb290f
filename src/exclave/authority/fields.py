"""Reading fields of a payload strictly, each refusal with its path in the JSON.

A `Node` is a JSON value and where it stands (`charter.seats[2].log_key`). Its methods give the
value as what it must be or raise. Rules: missing, unknown and wrong fields are three errors; the
message shows at most forty characters of what was found; nothing is converted silently, so an
accepted payload has one meaning and one encoding (spec/conventions.md 2).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from exclave.clock import parse_time
from exclave.encoding import MAX_INTEGER, JsonObject, JsonValue, b64decode, hex_decode
from exclave.errors import MalformedData
from exclave.values import dataclass

__all__ = [
    "FieldInvalid",
    "FieldMissing",
    "FieldUnknown",
    "Fields",
    "FormatTooNew",
    "Node",
    "OrderBroken",
    "breaks_line",
    "require_ascending",
]

T = TypeVar("T")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_STATE = re.compile(r"[A-Z]{2}")
_MAX_TEXT = 1024
_SHOWN = 40


class FieldMissing(MalformedData):
    """A payload lacks a field that must be there."""


class FieldUnknown(MalformedData):
    """A payload has a field that no page of the specification names."""


class FieldInvalid(MalformedData):
    """A field's value is of the wrong type, form or range."""


class FormatTooNew(MalformedData):
    """A later version of the program made it (spec/versions.md 3)."""


class OrderBroken(MalformedData):
    """A list that must ascend without repetition does not."""


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON value and its path."""

    value: JsonValue
    path: str

    def refuse(self, expected: str) -> FieldInvalid:
        """The error for a value that is not `expected`."""
        return FieldInvalid(f"{self.path}: expected {expected}, got {_shown(self.value)}")

    def fields(self, *names: str) -> Fields:
        """The value as an object with exactly these fields."""
        if not isinstance(self.value, dict):
            raise self.refuse("an object")
        for name in names:
            if name not in self.value:
                raise FieldMissing(f"{self.path}.{name}: expected a value, got nothing")
        unknown = sorted(set(self.value) - set(names))
        if unknown:
            raise FieldUnknown(
                f"{self.path}.{unknown[0]}: expected no such field, got one",
                hint="known: " + ", ".join(sorted(names)),
            )
        return Fields(self.value, self.path)

    def versioned(self, kind: str, version: int, *names: str) -> Fields:
        """The value as a file of ours of this kind and version, with exactly these further fields.

        A later version is named before anything else of it is read: it may have other fields.
        """
        fields = self.value if isinstance(self.value, dict) else {}
        got = fields.get("version")
        if fields.get("kind") == kind and isinstance(got, int) and got > version:
            raise FormatTooNew(
                f"{self.path}: expected version {version} of {kind}, got version {got}",
                hint="a later version of exclave made it: use that one; nothing was touched",
            )
        known = self.fields("kind", "version", *names)
        known["kind"].literal(kind)
        known["version"].integer(version, version)
        return known

    def items(self, *, least: int = 0, most: int = MAX_INTEGER) -> tuple[Node, ...]:
        """The value as a list of `least` to `most` items."""
        if not isinstance(self.value, list):
            raise self.refuse("a list")
        if not least <= len(self.value) <= most:
            raise FieldInvalid(
                f"{self.path}: expected {least} to {most} items, got {len(self.value)}"
            )
        return tuple(Node(item, f"{self.path}[{i}]") for i, item in enumerate(self.value))

    def each(
        self, read: Callable[[Node], T], *, least: int = 0, most: int = MAX_INTEGER
    ) -> tuple[T, ...]:
        """The value as a list, each item read by `read`."""
        return tuple(read(item) for item in self.items(least=least, most=most))

    def optional(self, read: Callable[[Node], T]) -> T | None:
        """None for null, else the value read by `read`."""
        return None if self.value is None else read(self)

    def string(self) -> str:
        """The value as any string."""
        if not isinstance(self.value, str):
            raise self.refuse("a string")
        return self.value

    def text(self) -> str:
        """The value as text for people: one line, at most 1,024 characters."""
        text = self.string()
        if len(text) > _MAX_TEXT or any(breaks_line(character) for character in text):
            raise self.refuse(f"one line of at most {_MAX_TEXT} characters")
        return text

    def literal(self, *choices: str) -> str:
        """The value as one of `choices`."""
        if not isinstance(self.value, str) or self.value not in choices:
            raise self.refuse(" or ".join(repr(choice) for choice in choices))
        return self.value

    def pattern(self, pattern: re.Pattern[str], expected: str) -> str:
        """The value as a string that matches whole."""
        if not isinstance(self.value, str) or not pattern.fullmatch(self.value):
            raise self.refuse(expected)
        return self.value

    def slug(self) -> str:
        """The value as a slug (spec/authority.md 1)."""
        return self.pattern(_SLUG, "a slug [a-z0-9][a-z0-9-]{0,62}")

    def state(self) -> str:
        """The value as a state code (spec/authority.md 1)."""
        return self.pattern(_STATE, "a state code of two upper-case letters")

    def boolean(self) -> bool:
        """The value as true or false."""
        if not isinstance(self.value, bool):
            raise self.refuse("true or false")
        return self.value

    def integer(self, least: int = 0, most: int = MAX_INTEGER) -> int:
        """The value as an integer between `least` and `most`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.refuse("an integer")
        if not least <= self.value <= most:
            raise self.refuse(f"an integer from {least} to {most}")
        return self.value

    def hex(self, length: int) -> bytes:
        """The value as hex of `length` bytes."""
        return hex_decode(self.string(), length=length, subject=self.path)

    def base64(self, length: int | None = None) -> bytes:
        """The value as Base64, of `length` bytes when given."""
        return b64decode(self.string(), length=length, subject=self.path)

    def time(self) -> datetime:
        """The value as a stored time."""
        try:
            return parse_time(self.string())
        except MalformedData as error:
            raise self.refuse("a time YYYY-MM-DDTHH:MM:SSZ") from error


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an object, known to be complete."""

    _value: JsonObject
    _path: str

    def __getitem__(self, name: str) -> Node:
        return Node(self._value[name], f"{self._path}.{name}")


def require_ascending(path: str, values: Sequence[Any], shown: Iterable[str] | None = None) -> None:
    """Check that values ascend without repetition; raises `OrderBroken`."""
    names = list(shown) if shown is not None else [str(value) for value in values]
    for index in range(1, len(values)):
        if not values[index - 1] < values[index]:
            raise OrderBroken(
                f"{path}[{index}]: expected a value above {names[index - 1]}, got {names[index]}"
            )


def breaks_line(character: str) -> bool:
    """Whether a character ends or spoils a line of text (spec/authority.md 1)."""
    return unicodedata.category(character) in {"Cc", "Zl", "Zp"}


def _shown(value: JsonValue) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)[:_SHOWN]
