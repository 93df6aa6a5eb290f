"""Value classes do what those of `dataclasses` do; both are made here and asked the same."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from exclave import values
from exclave.values.classes import dataclass, field, fields, replace

T = TypeVar("T")
MAKERS = [
    pytest.param((values.classes.dataclass, values.classes.field), id="ours"),
    pytest.param((dataclasses.dataclass, dataclasses.field), id="dataclasses"),
]
Maker = tuple[Callable[..., Any], Callable[..., Any]]


def classes(maker: Maker) -> tuple[Any, Any, Any, Any]:
    """A frozen class, one that builds on it, one that changes and one with an order."""
    made, said = maker

    @made(frozen=True, slots=True, kw_only=True)
    class Base:
        kind: ClassVar[str] = "base"
        name: str
        size: int = 3
        secret: str = said(default="", repr=False)
        kept: list[int] = said(default_factory=list, compare=False)

        def __post_init__(self) -> None:
            if self.size < 0:
                raise ValueError("size")

    @made(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        size: int = 5
        more: tuple[int, ...]

    @made(slots=True)
    class Changing:
        one: int
        two: dict[str, int] = said(default_factory=dict)
        three: int = said(init=False)
        four: int = said(default=4, init=False)

    @made(frozen=True, slots=True, order=True)
    class Ordered(Generic[T]):
        first: T
        second: int = 0

    return Base, Derived, Changing, Ordered


@pytest.fixture(params=MAKERS)
def four(request: pytest.FixtureRequest) -> tuple[Any, Any, Any, Any]:
    return classes(request.param)


def test_made_and_read(four: Any) -> None:
    base, derived, changing, _ = four
    value = base(name="a")
    assert (value.name, value.size, value.secret, value.kept, value.kind) == (
        "a",
        3,
        "",
        [],
        "base",
    )
    assert base(name="a").kept is not value.kept
    assert derived(name="a", more=(1,)).size == 5
    assert changing(1, {"a": 1}).two == {"a": 1}
    assert changing(1).four == 4
    assert not hasattr(changing(1), "three")


@pytest.mark.parametrize(
    ("given", "named"), [((), {}), (("a",), {}), ((), {"name": "a", "other": 1})]
)
def test_wrong_arguments(four: Any, given: tuple[str, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        four[0](*given, **named)
    four[0](name="a")
    with pytest.raises(TypeError):
        four[0](*given, **named)


def test_checks_of_its_own(four: Any) -> None:
    for cls in (four[0], four[0]):
        with pytest.raises(ValueError, match="size"):
            cls(name="a", size=-1)


def test_slots_and_patterns(four: Any) -> None:
    base, derived, changing, ordered = four
    assert base.__slots__ == ("name", "size", "secret", "kept")
    assert derived.__slots__ == ("more",)
    assert not hasattr(base(name="a"), "__dict__")
    assert (base.__match_args__, ordered.__match_args__) == ((), ("first", "second"))
    assert changing.__match_args__ == ("one", "two")
    match ordered(1, 2):
        case ordered(first, second):
            assert (first, second) == (1, 2)


def test_frozen(four: Any) -> None:
    value = four[0](name="a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="name"):
        value.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError, match="name"):
        del value.name
    changing = four[2](1)
    changing.one = 2
    assert changing.one == 2


def test_equal_and_hashed(four: Any) -> None:
    base, derived, changing, ordered = four
    assert base(name="a", kept=[1]) == base(name="a", kept=[2])
    assert hash(base(name="a", kept=[1])) == hash(base(name="a"))
    assert base(name="a") != base(name="b")
    assert base(name="a") != derived(name="a", size=3, more=())
    assert base(name="a") != "a"
    assert changing.__hash__ is None
    nan = float("nan")
    assert ordered(nan) == ordered(nan)
    assert len({ordered(1), ordered(1), ordered(2)}) == 2


def test_ordered(four: Any) -> None:
    one, two = four[3](1, 5), four[3](2, 1)
    assert one < two
    assert one <= two
    assert two > one
    assert two >= one
    assert sorted([two, one]) == [one, two]
    with pytest.raises(TypeError):
        assert one < 3


def test_shown(four: Any) -> None:
    base, derived, changing, _ = four
    prefix = "classes.<locals>."
    assert repr(base(name="a", secret="x")) == f"{prefix}Base(name='a', size=3, kept=[])"
    assert repr(derived(name="a", more=(1,))).endswith(
        "Derived(name='a', size=5, kept=[], more=(1,))"
    )
    value = changing(1)
    value.three = 3
    assert repr(value) == f"{prefix}Changing(one=1, two={{}}, three=3, four=4)"


def test_copied(four: Any) -> None:
    value = four[0](name="a", kept=[1])
    again = copy.deepcopy(value)
    assert (again, again.kept) == (value, [1])
    assert again.kept is not value.kept
    assert copy.copy(value).kept is value.kept


def test_what_dataclasses_offers(four: Any) -> None:
    base, derived, changing, _ = four
    value = derived(name="a", more=(1,), kept=[7])
    assert dataclasses.is_dataclass(value)
    names = [item.name for item in dataclasses.fields(derived)]
    assert names == ["name", "size", "secret", "kept", "more"]
    assert [item.name for item in fields(value)] == names
    whole = {"name": "a", "size": 5, "secret": "", "kept": [7], "more": (1,)}
    assert dataclasses.asdict(value) == values.asdict(value) == whole
    for change in (dataclasses.replace, replace):
        assert change(value, size=6).size == 6
        with pytest.raises(ValueError, match="size"):
            change(value, size=-1)
        with pytest.raises(ValueError, match="three"):
            change(changing(1), three=2)
    assert [item.default for item in fields(base)][1] == 3


def test_methods_of_its_own_stay() -> None:
    @dataclass(frozen=True, slots=True)
    class Own:
        one: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 7

    assert (repr(Own(1)), Own(1) == Own(2), hash(Own(3))) == ("own", True, 7)


def test_without_slots() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Loose:
        one: int = 1
        two: list[int] = field(default_factory=list)

    assert Loose.one == 1
    assert not hasattr(Loose, "two")
    assert Loose(two=[3]).two == [3]


def test_one_of_dataclasses_may_build_on_ours_and_not_the_other_way_round() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Ours:
        one: int = 1

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Theirs(Ours):
        two: int

    assert Theirs(two=2) == Theirs(one=1, two=2)
    with pytest.raises(TypeError, match="expected no base of dataclasses, got Theirs"):

        @dataclass(frozen=True)
        class _Wrong(Theirs):
            three: int


@dataclass(frozen=True, slots=True)
class Pickled:
    """Found again by its name."""

    one: int


def test_pickled() -> None:
    assert pickle.loads(pickle.dumps(Pickled(1))) == Pickled(1)


def test_the_first_of_several_threads_writes_and_all_get_theirs() -> None:
    @dataclass(frozen=True, slots=True)
    class Raced:
        one: int

    start, made = threading.Barrier(4), list[Any]()

    def make() -> None:
        start.wait()
        made.append((Raced(1), hash(Raced(1)), Raced(1) == Raced(1)))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert len(made) == 4


def test_nothing_of_the_standard_library_is_loaded_for_it() -> None:
    program = "import sys, exclave.wiring.settings; print('dataclasses' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
