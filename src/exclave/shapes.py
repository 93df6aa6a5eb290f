"""Values as TOML has them, read into frozen dataclasses: every fault at once, none by its secret.

A *shape* is a frozen dataclass whose annotations say what a table may hold:

    str, int, bool                     just that: `true` is no number, `"1"` is none either
    Literal["a", "b"]                  one of these
    tuple[X, ...]                      a list
    dict[str, X]                       a table with free keys
    another shape                      a table with its keys and no others
    Shape | Shape                      told apart by `kind`, a `Literal` of each
    X | None                           what may be left out, with `None` as its default
    Annotated[X, rule, ...]            rules, in their order, once it is an X

Rules: `Between`, `Length`, `Matches`, `Checked`, and two that stand first: `Parsed` makes a value
of a text, `Told` says which shape a table is meant to have. What values of one table say together
is for its class to refuse, by `Unfit` from `__post_init__`: only once each of them is good.

A text that was found is shown only where the choices are public: it may be a password that stands
in the wrong place. Nothing is converted, guessed or stripped. Files and lines: `exclave.config`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from functools import cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from exclave.values import MISSING, dataclass, fields

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Shape = TypeVar("Shape", bound=DataclassInstance)

__all__ = [
    "Between",
    "Checked",
    "Fault",
    "FaultKind",
    "Length",
    "Location",
    "Matches",
    "Parsed",
    "ShapeWrong",
    "Told",
    "Unfit",
    "read_shape",
]

Location = tuple[str | int, ...]
_NAMES = {str: "string", int: "integer", bool: "boolean"}


class FaultKind(Enum):
    """What is wrong, as far as another fault may explain it."""

    MISSING = auto()
    UNKNOWN = auto()
    WRONG = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be: where, and `expected ..., got ...`."""

    place: Location
    said: str
    kind: FaultKind = FaultKind.WRONG


class ShapeWrong(ValueError):
    """A value that has not the shape; `faults` are in the order of the shape."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.place}: {fault.said}" for fault in faults))
        self.faults = faults


class Unfit(ValueError):
    """Values of one table do not go together; `faults` by key says what was expected and found."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {said}" for key, said in faults.items()))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `least` to `most`, both included."""

    least: int
    most: int | None = None

    def wrong(self, value: int) -> str | None:
        """What was expected, if it is not so."""
        if value < self.least:
            return f"expected greater than or equal to {self.least}"
        if self.most is not None and value > self.most:
            return f"expected less than or equal to {self.most}"
        return None


@dataclass(frozen=True, slots=True)
class Length:
    """A text of so many characters, or a list of so many items."""

    least: int = 0
    most: int | None = None

    def wrong(self, value: Sequence[object]) -> str | None:
        """What was expected, if it is not so."""
        if self.least <= len(value) and (self.most is None or len(value) <= self.most):
            return None
        what = "characters" if isinstance(value, str) else "items"
        range_ = f"{self.least} or more" if self.most is None else f"{self.least} to {self.most}"
        return f"expected {range_} {what}"


@dataclass(frozen=True, slots=True)
class Matches:
    """A text that fits a pattern as a whole; it is shown when it does not."""

    pattern: str

    def wrong(self, value: str) -> str | None:
        """What was expected, if it is not so."""
        good = re.fullmatch(self.pattern, value, re.ASCII) is not None
        return None if good else f"expected a text like {self.pattern}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a function does not refuse by `ValueError`, whose text says what was expected."""

    check: Callable[[Any], None]

    def wrong(self, value: object) -> str | None:
        """What was expected, if it is not so."""
        try:
            self.check(value)
        except ValueError as error:
            return str(error)
        return None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a function makes of the value that stands there; it refuses by `ValueError`."""

    parse: Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Told:
    """Which of several shapes a table is meant to have, as a function says."""

    choose: Callable[[object], type[object]]


def read_shape(shape: type[Shape], values: object) -> Shape:
    """`values` as a `shape`; raises `ShapeWrong` with all that is wrong."""
    reading = _Reading()
    found = reading.read(shape, values, ())
    if reading.faults:
        raise ShapeWrong(tuple(reading.faults))
    return cast("Shape", found)


class _Reading:
    """One value being read. What is wrong is noted; what is returned then is used for nothing."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def read(self, wanted: Any, value: object, place: Location) -> object:
        """The value as `wanted`."""
        origin = get_origin(wanted)
        if origin is Annotated:
            return self._ruled(wanted.__origin__, wanted.__metadata__, value, place)
        if origin in (Union, UnionType):
            return self._one_of(get_args(wanted), value, place)
        if origin is Literal:
            return self._choice(get_args(wanted), value, place)
        if origin is tuple:
            return self._list(get_args(wanted)[0], value, place)
        if origin is dict:
            return self._free_table(wanted, value, place)
        if wanted not in _NAMES:
            return self._table(wanted, value, place)
        # Not `isinstance`: `true` would be a number.
        if type(value) is not wanted:
            self._wrong(place, f"expected a valid {_NAMES[wanted]}", value)
        elif wanted is str and "\0" in cast("str", value):
            # No path, name or argument can hold it, and what is called with one only fails later.
            self._wrong(place, "expected text without a zero byte", value)
        return value

    def _ruled(
        self, wanted: Any, rules: Sequence[object], value: object, place: Location
    ) -> object:
        before, found = len(self.faults), value
        match rules[0]:
            case Parsed(parse=parse):
                try:
                    found = parse(value)
                except ValueError as error:
                    self._wrong(place, str(error), value)
            case Told(choose=choose):
                found = self.read(choose(value), value, place)
            case _:
                found = self.read(wanted, value, place)
        for rule in rules:
            if len(self.faults) > before:
                break
            if isinstance(rule, Between | Length | Matches | Checked):
                expected = rule.wrong(cast("Any", found))
                if expected is not None:
                    self._wrong(place, expected, value, public=isinstance(rule, Matches))
        return found

    def _one_of(self, shapes: tuple[Any, ...], value: object, place: Location) -> object:
        shapes = tuple(shape for shape in shapes if shape is not NoneType)
        if len(shapes) == 1:
            return self.read(shapes[0], value, place)
        if not isinstance(value, dict):
            return self._wrong(place, "expected a table", value)
        at, kinds = (*place, "kind"), {_kind(shape): shape for shape in shapes}
        if "kind" not in value:
            return self._missing(at)
        kind = self._choice(tuple(kinds), value["kind"], at)
        return self._table(kinds[kind], value, place) if kind in kinds else None

    def _choice(self, choices: tuple[object, ...], value: object, place: Location) -> object:
        if value in choices:
            return value
        *most, last = map(repr, choices)
        expected = f"{', '.join(most)} or {last}" if most else last
        return self._wrong(place, f"expected {expected}", value, public=True)

    def _list(self, wanted: Any, value: object, place: Location) -> object:
        if not isinstance(value, list):
            return self._wrong(place, "expected a valid list", value)
        return tuple(self.read(wanted, item, (*place, at)) for at, item in enumerate(value))

    def _free_table(self, wanted: Any, value: object, place: Location) -> object:
        if not isinstance(value, dict):
            return self._wrong(place, "expected a table", value)
        keys, items = get_args(wanted)
        return {
            self.read(keys, key, (*place, key)): self.read(items, item, (*place, key))
            for key, item in value.items()
        }

    def _table(self, shape: type[DataclassInstance], value: object, place: Location) -> object:
        if not isinstance(value, dict):
            return self._wrong(place, "expected a table", value)
        before, found = len(self.faults), {}
        wanted = _annotations(shape)
        for item in fields(shape):
            if item.name in value:
                at = (*place, item.name)
                found[item.name] = self.read(wanted[item.name], value[item.name], at)
            elif item.default is MISSING and item.default_factory is MISSING:
                self._missing((*place, item.name))
        for key in value:
            if key not in wanted:
                said = "expected no such key, got one"
                self.faults.append(Fault((*place, key), said, FaultKind.UNKNOWN))
        if len(self.faults) > before:
            return None
        try:
            return shape(**found)
        except Unfit as error:
            for key, said in error.faults.items():
                self.faults.append(Fault((*place, key), said))
            return None

    def _missing(self, place: Location) -> object:
        self.faults.append(Fault(place, "expected a value, got nothing", FaultKind.MISSING))
        return None

    def _wrong(
        self, place: Location, expected: str, value: object, *, public: bool = False
    ) -> object:
        got = repr(value)[:60] if public and isinstance(value, str) else _shown(value)
        said = expected if ", got " in expected else f"{expected}, got {got}"
        self.faults.append(Fault(place, said))
        return None


@cache
def _annotations(shape: Any) -> Mapping[str, Any]:
    return get_type_hints(shape, include_extras=True)


def _kind(shape: Any) -> object:
    return get_args(_annotations(shape)["kind"])[0]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return "a string"
    if isinstance(value, dict):
        return "a table"
    return f"a list of {len(value)}" if isinstance(value, list) else "another type"
