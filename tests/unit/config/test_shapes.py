"""Values read into shapes: what each annotation takes, what it refuses, and in which words."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from exclave.shapes import (
    Between,
    Checked,
    Fault,
    FaultKind,
    Length,
    Matches,
    Parsed,
    ShapeWrong,
    Told,
    Unfit,
    read_shape,
)


def _odd(value: int) -> None:
    if value % 2 == 0:
        raise ValueError("expected an odd number")


def _doubled(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("expected something to double")
    return 2 * int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cat:
    kind: Literal["cat"]
    lives: Annotated[int, Between(1, 9)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dog:
    kind: Literal["dog"]
    good: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kennel:
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise Unfit({"low": f"expected at most high, {self.high}, got {self.low}"})


def _home(value: object) -> type[object]:
    return _Kennel if isinstance(value, dict) and "place" in value else _Dog


@dataclass(frozen=True, slots=True, kw_only=True)
class _All:
    text: str | None = None
    number: int | None = None
    truth: bool | None = None
    choice: Literal["a", "b", "c"] | None = None
    small: Annotated[int, Between(0, 5)] | None = None
    large: Annotated[int, Between(5)] | None = None
    odd: Annotated[int, Between(1), Checked(_odd)] | None = None
    twice: Annotated[int, Parsed(_doubled)] | None = None
    slug: Annotated[str, Matches("[a-z]+")] | None = None
    line: Annotated[str, Length(most=3), Matches("[a-z]*")] | None = None
    many: Annotated[tuple[Annotated[int, Between(1)], ...], Length(1, 3)] | None = None
    free: dict[Annotated[str, Matches("[a-z]+")], int] = field(default_factory=dict)
    pet: _Cat | _Dog | None = None
    home: Annotated[_Kennel | _Dog, Told(_home)] | None = None
    range: _Range | None = None


GOOD: list[tuple[dict[str, object], _All]] = [
    ({}, _All()),
    ({"text": "", "number": -1, "truth": False}, _All(text="", number=-1, truth=False)),
    ({"choice": "b", "small": 5, "large": 5**50}, _All(choice="b", small=5, large=5**50)),
    ({"odd": 3, "twice": "21", "slug": "ab"}, _All(odd=3, twice=42, slug="ab")),
    ({"many": [1, 2], "free": {"a": 1}}, _All(many=(1, 2), free={"a": 1})),
    ({"pet": {"kind": "cat", "lives": 9}}, _All(pet=_Cat(kind="cat", lives=9))),
    ({"pet": {"kind": "dog"}, "home": {"place": "x"}},
     _All(pet=_Dog(kind="dog"), home=_Kennel(place="x"))),
    ({"range": {"low": 1, "high": 1}}, _All(range=_Range(low=1, high=1))),
]  # fmt: skip

BAD: list[tuple[dict[str, object], str, str]] = [
    ({"text": 1}, "text", "expected a valid string, got 1"),
    ({"text": ["x"]}, "text", "expected a valid string, got a list of 1"),
    ({"number": True}, "number", "expected a valid integer, got true"),
    ({"number": 1.0}, "number", "expected a valid integer, got 1.0"),
    ({"number": "1"}, "number", "expected a valid integer, got a string"),
    ({"number": datetime.date(2026, 1, 2)}, "number", "expected a valid integer, got another type"),
    ({"truth": 1}, "truth", "expected a valid boolean, got 1"),
    ({"choice": "d"}, "choice", "expected 'a', 'b' or 'c', got 'd'"),
    ({"choice": ["a"]}, "choice", "expected 'a', 'b' or 'c', got a list of 1"),
    ({"small": -1}, "small", "expected greater than or equal to 0, got -1"),
    ({"small": 6}, "small", "expected less than or equal to 5, got 6"),
    ({"small": "6"}, "small", "expected a valid integer, got a string"),
    ({"large": 4}, "large", "expected greater than or equal to 5, got 4"),
    ({"odd": 0}, "odd", "expected greater than or equal to 1, got 0"),
    ({"odd": 2}, "odd", "expected an odd number, got 2"),
    ({"twice": 2}, "twice", "expected something to double, got 2"),
    ({"slug": "A"}, "slug", "expected a text like [a-z]+, got 'A'"),
    ({"slug": "a\n"}, "slug", r"expected a text like [a-z]+, got 'a\n'"),
    ({"slug": "X" * 99}, "slug", f"expected a text like [a-z]+, got '{'X' * 59}"),
    ({"line": "SECRET"}, "line", "expected 0 to 3 characters, got a string"),
    ({"many": 1}, "many", "expected a valid list, got 1"),
    ({"many": []}, "many", "expected 1 to 3 items, got a list of 0"),
    ({"many": [1] * 4}, "many", "expected 1 to 3 items, got a list of 4"),
    ({"many": [1, 0]}, "many.1", "expected greater than or equal to 1, got 0"),
    ({"free": {"A": 1}}, "free.A", "expected a text like [a-z]+, got 'A'"),
    ({"free": {"a": "x"}}, "free.a", "expected a valid integer, got a string"),
    ({"free": []}, "free", "expected a table, got a list of 0"),
    ({"pet": "cat"}, "pet", "expected a table, got a string"),
    ({"pet": {"kind": "cow"}}, "pet.kind", "expected 'cat' or 'dog', got 'cow'"),
    ({"pet": {"kind": 1}}, "pet.kind", "expected 'cat' or 'dog', got 1"),
    ({"pet": {}}, "pet.kind", "expected a value, got nothing"),
    ({"pet": {"kind": "cat"}}, "pet.lives", "expected a value, got nothing"),
    ({"pet": {"kind": "dog", "lives": 9}}, "pet.lives", "expected no such key, got one"),
    ({"home": {"place": 1}}, "home.place", "expected a valid string, got 1"),
    ({"home": {}}, "home.kind", "expected a value, got nothing"),
    ({"home": 1}, "home", "expected a table, got 1"),
    ({"range": {"low": 2, "high": 1}}, "range.low", "expected at most high, 1, got 2"),
    ({"else": 1}, "else", "expected no such key, got one"),
]


def _faults(value: object) -> tuple[Fault, ...]:
    with pytest.raises(ShapeWrong) as caught:
        read_shape(_All, value)
    assert all(fault.said in str(caught.value) for fault in caught.value.faults)
    return caught.value.faults


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_good_values_become_what_they_say(value: dict[str, object], expected: _All) -> None:
    assert read_shape(_All, value) == expected


@pytest.mark.parametrize(("value", "place", "said"), BAD)
def test_bad_values_are_named(value: dict[str, object], place: str, said: str) -> None:
    (fault,) = _faults(value)
    assert (".".join(map(str, fault.place)), fault.said) == (place, said)


def test_everything_is_named_at_once() -> None:
    value: dict[str, object] = {}
    for bad, _, _ in BAD:
        value |= bad
    assert {fault.place[0] for fault in _faults(value)} == set(value)
    deep = {"many": [0, "x"], "pet": {"kind": "cat", "name": 1}, "range": {"low": 2}}
    assert [(fault.place, fault.kind) for fault in _faults(deep)] == [
        (("many", 0), FaultKind.WRONG),
        (("many", 1), FaultKind.WRONG),
        (("pet", "lives"), FaultKind.MISSING),
        (("pet", "name"), FaultKind.UNKNOWN),
        (("range", "high"), FaultKind.MISSING),
    ]


def test_a_file_is_a_table() -> None:
    assert _faults([]) == (Fault((), "expected a table, got a list of 0"),)


def test_values_that_do_not_go_together_are_refused_wherever_they_are_made() -> None:
    with pytest.raises(Unfit, match="low: expected at most high, 1, got 2"):
        _Range(low=2, high=1)
