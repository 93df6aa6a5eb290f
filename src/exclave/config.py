"""Reading TOML files strictly: every error at once, with file, line and key.

Each role defines the shape of its own file (`exclave.shapes`); this module reads the file, checks
it against the shape and turns what is wrong into lines `file:line: key: expected ..., got ...`. It
neither looks for files nor knows defaults. Rule: unknown keys are refused, and guessed at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from exclave.errors import ConfigurationError
from exclave.shapes import Fault, FaultKind, ShapeWrong, read_shape

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Shape = TypeVar("Shape", bound=DataclassInstance)

__all__ = ["ConfigurationInvalid", "ConfigurationUnreadable", "load_toml", "parse_toml"]

_MAX_FILE = 4 * 2**20


class ConfigurationUnreadable(ConfigurationError):
    """A file cannot be read, or is not TOML."""


class ConfigurationInvalid(ConfigurationError):
    """A file does not say what it must; `errors` has one line for each fault."""

    def __init__(self, errors: tuple[str, ...], *, hint: str | None = None) -> None:
        super().__init__("\n".join(errors), hint=hint)
        self.errors = errors


def load_toml(path: Path, shape: type[Shape]) -> Shape:
    """Read a file as `shape`; raises `ConfigurationInvalid` with every error found."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationUnreadable(f"{path}: cannot be read: {error.strerror}") from error
    return parse_toml(data, shape, name=str(path))


def parse_toml(data: bytes, shape: type[Shape], *, name: str) -> Shape:
    """Read TOML bytes as `shape`; `name` stands for the file in messages."""
    if len(data) > _MAX_FILE:
        raise ConfigurationUnreadable(f"{name}: expected at most 4 MiB, got {len(data)} bytes")
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigurationUnreadable(f"{name}: expected UTF-8, got other bytes") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error)
        raise ConfigurationUnreadable(f"{name}: not TOML: {said[:1].lower()}{said[1:]}") from error
    try:
        return read_shape(shape, values)
    except ShapeWrong as error:
        raise _invalid(name, text, error.faults) from None


def _invalid(name: str, text: str, faults: Sequence[Fault]) -> ConfigurationInvalid:
    from exclave.toml_lines import find_places

    places = find_places(text, name=name)
    found = sorted((places.line(f.place), f"{places.at(f.place)}: {f.said}") for f in faults)
    return ConfigurationInvalid(tuple(message for _, message in found), hint=_typing_hint(faults))


def _typing_hint(faults: Sequence[Fault]) -> str | None:
    """Unknown keys that look like missing ones."""
    import difflib

    missing = [str(f.place[-1]) for f in faults if f.kind is FaultKind.MISSING]
    unknown = [str(f.place[-1]) for f in faults if f.kind is FaultKind.UNKNOWN]
    pairs = [
        f"{match[0]} for {key}"
        for key in unknown
        if (match := difflib.get_close_matches(key, missing, n=1))
    ]
    return "did you mean " + ", ".join(pairs) if pairs else None
