"""A line of words for a command, read without cyclopts while nothing about it is in question.

To load cyclopts and to ask it for one line takes as long as all that `status` does. Rules: a line
is read here as a whole or not at all. What is not plain is left to cyclopts, which words every
error, explains every command and has the last word on what a line means: an unknown word, an option
given twice or without its value, `--name=value`, `--`, anything else with a dash that is no option
of the command, and every command whose parameters are of other types than those below. What is read
here means the same there; `tests/unit/cli/test_plain.py` asks both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Final

from exclave.cli.app import COMMANDS
from exclave.cli.terminal import Terminal
from exclave.values import dataclass

__all__ = ["PlainCall", "plain_call"]

_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "str": str,
    "str | None": str,
    "Path": Path,
    "Path | None": Path,
    "DepositConfigFile": Path,
    "EitherConfigFile": Path,
}
"""How one word becomes a value, by the annotation as it stands in the command's module."""
_SHORT: Final[Mapping[str, tuple[str, ...]]] = {
    "DepositConfigFile": ("-c",),
    "EitherConfigFile": ("-c",),
}
_HAS_REST: Final = 0x04  # of a code object's flags: the function has `*words`


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainCall:
    """A command and what it is called with."""

    command: Callable[..., object]
    given: tuple[object, ...]
    named: Mapping[str, object]

    def run(self) -> object:
        """What the command says: an exit code or nothing."""
        return self.command(*self.given, **self.named)


def plain_call(words: Sequence[str]) -> PlainCall | None:
    """The command that a line means; nothing where cyclopts has to look."""
    left = list(words)
    json, quiet = _taken(left, "--json"), _taken(left, "--quiet")
    if not left or left[0] not in COMMANDS or not all(_may_be_plain(word) for word in left):
        return None
    module, _, name = COMMANDS[left[0]][0].partition(":")
    command = getattr(import_module(f"{__package__}.{module}"), name)
    if not isinstance(command, FunctionType):
        return None
    return _bound(command, left[1:], Terminal(json=json, quiet=quiet))


def _taken(words: list[str], flag: str) -> bool:
    """Whether it stands there; once, it is taken out."""
    there = flag in words
    if there:
        words.remove(flag)
    return there


def _may_be_plain(word: str) -> bool:
    return word not in ("", "-", "--", "-h", "--help", "--version") and "=" not in word


def _bound(command: FunctionType, words: Sequence[str], terminal: Terminal) -> PlainCall | None:
    code, kinds = command.__code__, command.__annotations__
    first, named = code.co_varnames[: code.co_argcount], _names(command)
    rest = code.co_varnames[len(named)] if code.co_flags & _HAS_REST else None
    options = _options(named, kinds)
    if options is None or (rest is not None and kinds[rest] != "str"):
        return None
    read = _read(words, options, kinds)
    if read is None:
        return None
    found, places = read
    # By their places: where one of them is named, cyclopts says what the others are.
    if not found.keys().isdisjoint(first) or len(places) < len(first):
        return None
    if rest is None and len(places) > len(first):
        return None
    given = [_READ[kinds[name]](word) for name, word in zip(first, places, strict=False)]
    if "terminal" in named:
        found["terminal"] = terminal
    missing = set(named) - set(first) - found.keys() - (command.__kwdefaults__ or {}).keys()
    if missing:
        return None
    return PlainCall(command=command, given=(*given, *places[len(first) :]), named=found)


def _names(command: FunctionType) -> tuple[str, ...]:
    code = command.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _read(
    words: Sequence[str], options: Mapping[str, str], kinds: Mapping[str, str]
) -> tuple[dict[str, object], list[str]] | None:
    """Values by the parameters that options name, and the words between them."""
    found, places, left = dict[str, object](), list[str](), list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            places.append(word)
            continue
        name = options.get(word)
        if name is None or name in found:
            return None
        if kinds[name] == "Flag":
            found[name] = True
        elif not left or left[0].startswith("-"):
            return None
        else:
            found[name] = _READ[kinds[name]](left.pop(0))
    return found, places


def _options(named: Sequence[str], kinds: Mapping[str, str]) -> Mapping[str, str] | None:
    """By the word on the line, the parameter it names; nothing where one is of another type."""
    found = dict[str, str]()
    for name in named:
        kind = kinds[name]
        if kind == "Out":
            continue
        if kind != "Flag" and kind not in _READ:
            return None
        long = "config" if kind in _SHORT else name.replace("_", "-")
        found |= dict.fromkeys((f"--{long}", *_SHORT.get(kind, ())), name)
    return found
