"""Reading TOML files strictly: every error at once, with file, line and key.

Each role defines the shape of its own file as a pydantic model; this module reads the file, checks
it against the model and turns what is wrong into lines `file:line: key: expected ..., got ...`.
It neither looks for files nor knows defaults. Rules: unknown keys are refused (the models say
`extra="forbid"`); a string that was found is shown only where the choices are public, since it may
be a password in the wrong place.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from exclave.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "ConfigurationInvalid",
    "ConfigurationUnreadable",
    "Places",
    "load_toml",
    "parse_toml",
    "read_places",
]

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]

_MAX_FILE = 4 * 2**20
_SHOWS_TEXT = frozenset(
    {"literal_error", "enum", "union_tag_invalid", "string_pattern_mismatch", "extra_forbidden"}
)
_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_TABLE = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")
_PARTS = re.compile(_KEY)
# What opens, closes or hides brackets inside a value.
_TOKENS = re.compile(
    r"""\"{3}|'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}]|\\.|.""",
    re.DOTALL,
)


class ConfigurationUnreadable(ConfigurationError):
    """A file cannot be read, or is not TOML."""


class ConfigurationInvalid(ConfigurationError):
    """A file does not say what it must; `errors` has one line for each fault."""

    def __init__(self, errors: tuple[str, ...], *, hint: str | None = None) -> None:
        super().__init__("\n".join(errors), hint=hint)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys of a file stand, for what is found wrong only after it was read."""

    name: str
    lines: Mapping[Location, int]

    def at(self, place: Location) -> str:
        """`file:line: key`, of the innermost table that the file has."""
        return f"{self.name}:{self.line(place)}: {_dotted(place)}"

    def line(self, place: Location) -> int:
        """The line of a key, or of what it lies in."""
        return _line_of(self.lines, place)


def read_places(path: Path) -> Places:
    """The places of a file that `load_toml` has taken."""
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    return Places(name=str(path), lines=dict(_line_numbers(text)))


def load_toml(path: Path, model: type[Model]) -> Model:
    """Read a file as `model`; raises `ConfigurationInvalid` with every error found."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationUnreadable(f"{path}: cannot be read: {error.strerror}") from error
    return parse_toml(data, model, name=str(path))


def parse_toml(data: bytes, model: type[Model], *, name: str) -> Model:
    """Read TOML bytes as `model`; `name` stands for the file in messages."""
    if len(data) > _MAX_FILE:
        raise ConfigurationUnreadable(f"{name}: expected at most 4 MiB, got {len(data)} bytes")
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigurationUnreadable(f"{name}: expected UTF-8, got other bytes") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationUnreadable(f"{name}: not TOML: {_first_lower(str(error))}") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise _invalid(name, text, values, details) from None


def _invalid(
    name: str, text: str, values: Mapping[str, object], details: Sequence[ErrorDetails]
) -> ConfigurationInvalid:
    lines = dict(_line_numbers(text))
    found: list[tuple[int, str]] = []
    for detail in details:
        place = _place(values, detail["loc"])
        line = _line_of(lines, place)
        found.append((line, f"{name}:{line}: {_dotted(place)}: {_explain(detail)}"))
    unknown = [str(item["loc"][-1]) for item in details if item["type"] == "extra_forbidden"]
    missing = [str(item["loc"][-1]) for item in details if item["type"] == "missing"]
    return ConfigurationInvalid(
        tuple(message for _, message in sorted(found)), hint=_typing_hint(unknown, missing)
    )


def _typing_hint(unknown: Sequence[str], missing: Sequence[str]) -> str | None:
    pairs = [
        f"{match[0]} for {key}"
        for key in unknown
        if (match := difflib.get_close_matches(key, missing, n=1))
    ]
    return "did you mean " + ", ".join(pairs) if pairs else None


def _explain(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "expected a value, got nothing"
    if detail["type"] == "extra_forbidden":
        return "expected no such key, got one"
    message = detail["msg"].removeprefix("Value error, ")
    message = message.replace("Input should be ", "expected ").replace(
        "Input should", "expected to"
    )
    return f"{_first_lower(message)}, got {_shown(detail)}"


def _shown(detail: ErrorDetails) -> str:
    value: object = detail["input"]
    if isinstance(value, str):
        return repr(value)[:60] if detail["type"] in _SHOWS_TEXT else "a string"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "a table"
    return f"a list of {len(value)}" if isinstance(value, list) else "another type"


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _place(values: Mapping[str, object], location: Location) -> Location:
    """The error's path as it stands in the file: without the tags of unions."""
    place: list[str | int] = []
    node: object = values
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(node, Mapping) and isinstance(part, str) and (part in node or last):
            place.append(part)
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            place.append(part)
            node = node[part]
    return tuple(place)


def _line_of(lines: Mapping[Location, int], place: Location) -> int:
    for end in range(len(place), 0, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return 1


def _dotted(place: Location) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "file"


def _line_numbers(text: str) -> Iterator[tuple[Location, int]]:
    """Where each table and key begins. The text is known to be TOML, so this can be simple."""
    table: Location = ()
    counts: dict[Location, int] = {}
    end = 0
    for number, start, line in _lines(text):
        if start < end:
            continue
        if match := _TABLE.fullmatch(line):
            table = _table_path(_parts(match[2]), counts, repeated=match[1] == "[[")
            yield table, number
        elif match := _ASSIGNMENT.match(line):
            place: Location = table
            for part in _parts(match[1]):
                place = (*place, part)
                yield place, number
            end = _value_end(text, start + match.end())


def _lines(text: str) -> Iterator[tuple[int, int, str]]:
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        yield number, start, line
        start += len(line) + 1


def _parts(dotted: str) -> list[str]:
    parts: list[str] = []
    for piece in _PARTS.findall(dotted):
        # A quoted key is a TOML value of its own: let the parser undo its escapes.
        quoted = piece[0] in "\"'"
        parts.append(str(tomllib.loads(f"k = {piece}")["k"]) if quoted else piece)
    return parts


def _table_path(parts: Sequence[str], counts: dict[Location, int], *, repeated: bool) -> Location:
    place: Location = ()
    for index, part in enumerate(parts):
        place = (*place, part)
        if repeated and index == len(parts) - 1:
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = (*place, counts[place] - 1)
    return place


def _value_end(text: str, start: int) -> int:
    """Index just after a value: brackets closed, long strings ended."""
    depth, position = 0, start
    while match := _TOKENS.match(text, position):
        piece, position = match[0], match.end()
        if piece in {'"""', "'''"}:
            position = _long_string_end(text, position, piece)
        elif piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        elif piece == "\n" and depth <= 0:
            return position
    return position


def _long_string_end(text: str, start: int, quotes: str) -> int:
    position = start
    while (found := text.find(quotes, position)) >= 0:
        escaped = quotes == '"""' and (found - len(text[:found].rstrip("\\"))) % 2 == 1
        position = found + (1 if escaped else len(quotes))
        if not escaped:
            break
    return position
