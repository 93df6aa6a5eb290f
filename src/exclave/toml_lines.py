"""Where tables and keys of a TOML file begin: for what is found wrong in it, with its line.

The text is known to be TOML, since `tomllib` has read it, so this can be simple: it follows tables,
assignments and the brackets and quotes that hide them, and nothing else. Only needed for messages.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from exclave.shapes import Location
from exclave.values import dataclass

__all__ = ["Places", "find_places", "read_places"]

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


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys of a file stand."""

    name: str
    lines: Mapping[Location, int]

    def at(self, place: Location) -> str:
        """`file:line: key`, of the innermost table that the file has."""
        return f"{self.name}:{self.line(place)}: {_dotted(place)}"

    def line(self, place: Location) -> int:
        """The line of a key, or of what it lies in."""
        for end in range(len(place), 0, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return 1


def find_places(text: str, *, name: str) -> Places:
    """The places of a text that is TOML; `name` stands for the file in messages."""
    return Places(name=name, lines=dict(_line_numbers(text)))


def read_places(path: Path) -> Places:
    """The places of a file that `exclave.config` has taken."""
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    return find_places(text, name=str(path))


def _dotted(place: Location) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "file"


def _line_numbers(text: str) -> Iterator[tuple[Location, int]]:
    """Each table and key, with the number of its line."""
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
