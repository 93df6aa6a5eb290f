"""Secrets in clear text are refused, wherever in a plan they stand.

A plan goes into every deposit as it is, comments included, and is read by whoever restores: it
names where a secret lies, never the secret. What is found is told by file, line and key, and not
shown.
This finds what looks like a secret; it cannot know that nothing is one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from exclave.config import ConfigurationInvalid
from exclave.shapes import Location

__all__ = ["PlanHoldsSecret", "refuse_secrets"]

_WORDS: Final = r"(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key)"
_KEY: Final = re.compile(rf"(?i)(?:\w*[_-])?{_WORDS}")
_ASSIGNED: Final = re.compile(rf"(?i)\b[\w-]*{_WORDS}\s*[=:]\s*['\"]?[^\s'\"$]")
# In SQL a name on the right is a column; only a literal can be the secret itself.
_LITERAL: Final = re.compile(rf"(?i)\b\w*{_WORDS}\s*=\s*'[^']")
_OPTION: Final = re.compile(rf"(?i)--?{_WORDS}")
_USER: Final = re.compile(r"(?:-u|--user|--proxy-user)")  # curl and wget: user:password
_NAMED: Final = re.compile(r"[^\s:/]+:[^\s:/]+")
_ORACLE: Final = re.compile(r"[\w$#]+/[^\s/@]+@[\w.:/-]+")  # user/password@service
_ORACLES: Final = frozenset({"exp", "expdp", "sqlplus", "sql", "rman"})
_GLUED: Final = re.compile(r"-p.+")  # mysqldump takes it without a space
_SHAPES: Final = (
    ("a connection URL with a password", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1")),
    ("credentials", re.compile(r"(?i)\bauthorization:\s*(?:basic|bearer|token)\s+[^\s$]")),
    ("a signed token", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.")),
    (
        "an access key",
        re.compile(
            r"\b(?:A(?:KIA|SIA)[0-9A-Z]{16}|AIza[\w-]{35}|gh[opsur]_\w{36}|github_pat_\w{22}"
            r"|glpat-[\w-]{20}|xox[abprs]-[\w-]{10}|[rs]k_live_\w{16}|hvs\.[\w-]{20})"
        ),
    ),
)
_HINT: Final = (
    "the plan goes into every deposit; for PostgreSQL name a password_file (libpq's .pgpass "
    "format, mode 0600), for a command let its program read a file of its own that only this user "
    "may read: .pgpass, my.cnf, a credentials file"
)


class PlanHoldsSecret(ConfigurationInvalid):
    """Something in a plan looks like a password, a key or a token."""


def refuse_secrets(data: bytes, *, name: str) -> None:
    """Raise `PlanHoldsSecret` for all that is found; what is not TOML is for others to refuse."""
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
        content = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return
    values, comments = list(_values(content)), list(_comments(text))
    if values or comments:
        raise PlanHoldsSecret(tuple(_told(text, name, values, comments)), hint=_HINT)


def _told(
    text: str,
    name: str,
    values: Sequence[tuple[Location, str]],
    comments: Iterable[tuple[int, str]],
) -> Iterator[str]:
    """One line for each, in the order of the file; a value with `#` in it is no comment."""
    from exclave.toml_lines import find_places

    places = find_places(text, name=name)
    found = {(places.line(at), places.at(at), what) for at, what in values}
    known = {line for line, _, _ in found}
    found |= {
        (line, f"{name}:{line}: comment", what) for line, what in comments if line not in known
    }
    for _, where, what in sorted(found):
        yield f"{where}: expected no secret in clear text, got {what}"


def _values(value: object, place: Location = ()) -> Iterator[tuple[Location, str]]:
    match value:
        case str():
            said = _looks(value, sql=bool(place) and place[-1] == "sql")
            named = bool(place) and _KEY.fullmatch(str(place[-1])) is not None
            if said or named:
                yield place, said or "a password"
        case list():
            yield from ((place, said) for said in _arguments(value))
            for number, item in enumerate(value):
                yield from _values(item, (*place, number))
        case dict():
            for key, item in _pairs(value):
                yield from _values(item, (*place, key))


def _pairs(value: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    return ((str(key), item) for key, item in value.items())


def _looks(text: str, *, sql: bool = False) -> str | None:
    for what, shape in _SHAPES:
        if shape.search(text):
            return what
    return "a password" if (_LITERAL if sql else _ASSIGNED).search(text) else None


def _arguments(words: Sequence[object]) -> Iterator[str]:
    """What a list says as a command: an option and its value are two words, or one."""
    texts = [word for word in words if isinstance(word, str)]
    for option, value in pairwise(texts):
        if _OPTION.fullmatch(option) and not value.startswith(("-", "$")):
            yield "a password as an argument"
        if _USER.fullmatch(option) and _NAMED.fullmatch(value) and not value.startswith("$"):
            yield "a password as an argument"
    program = PurePosixPath(texts[0]).name if texts else ""
    if program.startswith(("mysql", "mariadb")) and any(map(_GLUED.fullmatch, texts[1:])):
        yield "a password as an argument"
    if program in _ORACLES and any(map(_ORACLE.fullmatch, texts[1:])):
        yield "a password as an argument"


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        said = _looks(line.partition("#")[2])
        if said:
            yield number, said
