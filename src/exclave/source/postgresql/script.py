"""SQL scripts of an archive as libpq takes them: without psql's commands, or in statements.

The scripts are those of pg_dump and pg_dumpall, so COPY data, psql variables and
backslash commands other than `\\restrict` do not occur.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["plain_sql", "statements"]

_META: Final = re.compile(r"\\(un)?restrict [A-Za-z0-9]+")
# What may hold a semicolon that ends nothing; the last alternative is any single character.
_TOKEN: Final = re.compile(
    r"""
      --[^\n]*                                  # comment
    | /\*.*?\*/                                 # comment; pg_dump nests none
    | [eE]'(?:[^'\\]|\\.|'')*'                  # string with escapes
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | (\$(?:[A-Za-z_\x80-\uffff][A-Za-z0-9_\x80-\uffff]*)?\$).*?\1
    | [A-Za-z_\x80-\uffff][A-Za-z0-9_$\x80-\uffff]*
    | .
    """,
    re.DOTALL | re.VERBOSE,
)


def plain_sql(script: bytes) -> str:
    r"""The script without the `\restrict` lines that recent pg_dump writes around it."""
    lines = script.decode("utf-8").split("\n")
    marks = [index for index, line in enumerate(lines) if _META.fullmatch(line)]
    # Only the first and the last of them are pg_dump's; one between may be part of a string.
    for index in {marks[0], marks[-1]} if marks else set():
        lines[index] = ""
    return "\n".join(lines)


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, comments left out, each without its semicolon."""
    parts: list[str] = []
    depth = 0
    atomic = 0
    word = ""
    for match in _TOKEN.finditer(sql):
        piece = match[0]
        if piece.startswith(("--", "/*")):
            continue
        if piece == ";" and depth == 0 and atomic == 0:
            if text := "".join(parts).strip():
                yield text
            parts.clear()
            continue
        parts.append(piece)
        depth += (piece == "(") - (piece == ")")  # rules have several statements in parentheses
        if piece.isspace():
            continue
        atomic += _atomic_change(word, piece.upper(), atomic)
        word = piece.upper()
    if text := "".join(parts).strip():
        yield text


def _atomic_change(before: str, piece: str, atomic: int) -> int:
    """How the depth of BEGIN ATOMIC ... END changes; CASE has an END of its own."""
    if before == "BEGIN" and piece == "ATOMIC":
        return 1
    if atomic and piece == "CASE":
        return 1
    if atomic and piece == "END":
        return -1
    return 0
