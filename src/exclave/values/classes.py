"""How value classes are made; what they promise stands in `exclave.values`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

__all__ = ["MISSING", "asdict", "dataclass", "field", "fields", "replace"]

Any_ = TypeVar("Any_")
Names = dict[str, Any]


class _Missing:
    """No default; and in a signature: what the factory makes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


class _Field:
    """One field of a class; also what `field` says of it in the class's body."""

    __slots__ = ("compare", "default", "default_factory", "init", "kw_only", "name", "repr")

    def __init__(
        self,
        default: object,
        default_factory: Any,
        init: bool = True,
        repr: bool = True,
        compare: bool = True,
    ) -> None:
        self.name = ""
        self.kw_only = False
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.compare = compare


def field(
    *,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    init: bool = True,
    repr: bool = True,
    compare: bool = True,
) -> Any:
    """A field about which more is to be said than its type and default."""
    return _Field(default, default_factory, init, repr, compare)


def dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False, order: bool = False
) -> Callable[[type[Any_]], type[Any_]]:
    """Make a class of values from the annotations in its body."""

    def made(cls: type[Any_]) -> type[Any_]:
        own = tuple(_own_fields(cls, kw_only))
        known = tuple({item.name: item for item in (*_inherited(cls), *own)}.values())
        put = _namespace(cls, known, frozen=frozen)
        if order:
            put.update(__lt__=_less, __le__=_at_most, __gt__=_more, __ge__=_at_least)
        # With slots it is another class in the end: known only once its methods are in it.
        ends_as = list[type]()
        for name in _WRITERS:
            if _wanted(cls, name, frozen):
                put[name] = _first(ends_as, name)
        cls = _slotted(cls, own, put) if slots else _filled(cls, own, put)
        ends_as.append(cls)
        return cls

    return made


def _own_fields(cls: type, kw_only: bool) -> Iterator[_Field]:
    # As they stand there: what they mean is nobody's business here, and their bases' is not asked.
    for name, kind in cls.__dict__.get("__annotations__", {}).items():  # noqa: RUF063
        if kind.startswith("ClassVar["):
            continue
        given = cls.__dict__.get(name, MISSING)
        item = given if isinstance(given, _Field) else _Field(given, MISSING)
        item.name, item.kw_only = name, kw_only
        yield item


def _inherited(cls: type) -> Iterator[_Field]:
    for base in cls.__mro__[-1:0:-1]:
        if "__dataclass_fields__" in base.__dict__ and "__value_fields__" not in base.__dict__:
            raise TypeError(f"{cls.__name__}: expected no base of dataclasses, got {base.__name__}")
        yield from base.__dict__.get("__value_fields__", ())


def _set_default(cls: type, item: _Field) -> None:
    if item.default is not MISSING:
        type.__setattr__(cls, item.name, item.default)
    elif isinstance(cls.__dict__.get(item.name), _Field):
        type.__delattr__(cls, item.name)


def _namespace(cls: type, known: tuple[_Field, ...], *, frozen: bool) -> dict[str, Any]:
    """What is put into the class; a method of its own stays."""
    body = cls.__dict__
    put: dict[str, Any] = {
        "__value_fields__": known,
        "__value_frozen__": frozen,
        "__dataclass_fields__": _FIELDS,
        "__dataclass_params__": _PARAMS,
    }
    if "__match_args__" not in body:
        names = (item.name for item in known if item.init and not item.kw_only)
        put["__match_args__"] = tuple(names)
    if "__repr__" not in body:
        put["__repr__"] = _shown
    if not frozen and _wanted(cls, "__hash__", frozen=True):
        put["__hash__"] = None
    if frozen:
        put["__setattr__"], put["__delattr__"] = _refuse_to_set, _refuse_to_delete
        put["__getstate__"], put["__setstate__"] = _state, _set_state
    return put


def _wanted(cls: type, name: str, frozen: bool) -> bool:
    if name == "__hash__":
        # As Python itself does, a class with `==` of its own and no hash has None there.
        return frozen and cls.__dict__.get(name) is None
    return name not in cls.__dict__


def _filled(cls: type[Any_], own: Sequence[_Field], put: Mapping[str, Any]) -> type[Any_]:
    """The class itself, with defaults where `field` stood."""
    for item in own:
        _set_default(cls, item)
    for name, value in put.items():
        type.__setattr__(cls, name, value)
    return cls


def _slotted(cls: type[Any_], own: Sequence[_Field], put: Mapping[str, Any]) -> type[Any_]:
    """The class again: Python makes room for slots only as it makes a class."""
    namespace = dict(cls.__dict__)
    for name in ("__dict__", "__weakref__", *(item.name for item in own)):
        namespace.pop(name, None)
    taken = {name for base in cls.__mro__[1:] for name in base.__dict__.get("__slots__", ())}
    namespace.update(put)
    namespace["__slots__"] = tuple(item.name for item in own if item.name not in taken)
    metaclass: Any = type(cls)
    made: type[Any_] = metaclass(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    return made


# Methods that are written for each class, since they take time where values are many. Until the
# first call, a function stands there that writes them.


def _first(ends_as: Sequence[type], name: str) -> Callable[..., Any]:
    def first(self: Any, /, *given: object, **named: object) -> Any:
        (cls,) = ends_as
        written = _WRITERS[name](cls)
        type.__setattr__(cls, name, written)
        return written(self, *given, **named)

    return first


def _written(cls: Any, name: str, parameters: str, lines: Iterable[str], known: Names) -> Any:
    # Names of fields are identifiers, and nothing else of the class stands in the text.
    exec(f"def {name}({parameters}):\n  " + "\n  ".join(lines), known)  # noqa: S102
    method = known.pop(name)
    method.__qualname__, method.__module__ = f"{cls.__qualname__}.{name}", cls.__module__
    return method


def _written_init(cls: Any) -> Any:
    known: Names = {"_MISSING": MISSING, "_set": object.__setattr__}
    taken = [item for item in cls.__value_fields__ if item.init]
    words = ["self", *(_parameter(item, known) for item in taken if not item.kw_only)]
    named = [_parameter(item, known) for item in taken if item.kw_only]
    words += ["*", *named] if named else []
    lines = []
    for item in cls.__value_fields__:
        value = _value(item, known)
        if value is not None:
            set_ = f"_set(self, {item.name!r}, {value})"
            lines.append(set_ if cls.__value_frozen__ else f"self.{item.name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    return _written(cls, "__init__", ", ".join(words), lines or ["pass"], known)


def _value(item: _Field, known: Names) -> str | None:
    if item.default_factory is not MISSING:
        known[f"_make_{item.name}"] = item.default_factory
        made = f"_make_{item.name}()"
        return f"{made} if {item.name} is _MISSING else {item.name}" if item.init else made
    if item.init:
        return item.name
    if item.default is MISSING:
        return None
    known[f"_default_{item.name}"] = item.default
    return f"_default_{item.name}"


def _parameter(item: _Field, known: Names) -> str:
    if item.default_factory is not MISSING:
        return f"{item.name}=_MISSING"
    if item.default is MISSING:
        return item.name
    known[f"_default_{item.name}"] = item.default
    return f"{item.name}=_default_{item.name}"


def _written_equal(cls: Any) -> Any:
    mine, others = _compared(cls, "self"), _compared(cls, "other")
    lines = [f"if other.__class__ is self.__class__: return {mine} == {others}"]
    return _written(cls, "__eq__", "self, other", [*lines, "return NotImplemented"], {})


def _written_hash(cls: Any) -> Any:
    return _written(cls, "__hash__", "self", [f"return hash({_compared(cls, 'self')})"], {})


def _compared(cls: Any, value: str) -> str:
    # A tuple, also of one: it finds an item equal to itself.
    named = (f"{value}.{item.name}," for item in cls.__value_fields__ if item.compare)
    return f"({' '.join(named)})"


_WRITERS = {"__init__": _written_init, "__eq__": _written_equal, "__hash__": _written_hash}


# Shared by all classes.


def _shown(self: Any) -> str:
    shown = (
        f"{item.name}={getattr(self, item.name)!r}" for item in self.__value_fields__ if item.repr
    )
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _ordered(value: Any) -> tuple[object, ...]:
    return tuple(getattr(value, item.name) for item in value.__value_fields__ if item.compare)


def _less(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _ordered(self) < _ordered(other)


def _at_most(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _ordered(self) <= _ordered(other)


def _more(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _ordered(self) > _ordered(other)


def _at_least(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _ordered(self) >= _ordered(other)


def _refuse_to_set(self: object, name: str, value: object) -> None:
    from dataclasses import FrozenInstanceError

    del self, value
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    from dataclasses import FrozenInstanceError

    del self
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:
    return [getattr(self, item.name) for item in self.__value_fields__]


def _set_state(self: Any, state: Sequence[object]) -> None:
    for item, value in zip(self.__value_fields__, state, strict=True):
        object.__setattr__(self, item.name, value)


# What `dataclasses` offers for its values.


def fields(value: Any) -> tuple[_Field, ...]:
    """The fields of a class or a value, in their order."""
    if hasattr(value, "__value_fields__"):
        found: tuple[_Field, ...] = value.__value_fields__
        return found
    import dataclasses

    return tuple(_of_dataclasses(item) for item in dataclasses.fields(value))


def _of_dataclasses(item: Any) -> _Field:
    from dataclasses import MISSING as NOTHING

    default = MISSING if item.default is NOTHING else item.default
    factory = MISSING if item.default_factory is NOTHING else item.default_factory
    made = _Field(default, factory, item.init, item.repr, item.compare)
    made.name, made.kw_only = item.name, item.kw_only
    return made


def replace(value: Any_, /, **changes: object) -> Any_:
    """A value like this one but for some fields."""
    for item in fields(value):
        if not item.init:
            if item.name in changes:
                raise ValueError(f"{item.name}: expected no value for it, got one")
        elif item.name not in changes:
            changes[item.name] = getattr(value, item.name)
    return type(value)(**changes)


def asdict(value: Any) -> dict[str, Any]:
    """Names and values of fields, those inside as well."""
    import dataclasses

    return dataclasses.asdict(value)


class _ForDataclasses:
    """An attribute of the class that `dataclasses` looks for, made when it does."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, value: object, cls: Any) -> Any:
        import dataclasses

        made = []
        for item in cls.__value_fields__:
            given: dict[str, Any] = {
                name: getattr(item, name) for name in ("init", "repr", "compare", "kw_only")
            }
            if item.default is not MISSING:
                given["default"] = item.default
            if item.default_factory is not MISSING:
                given["default_factory"] = item.default_factory
            made.append((item.name, "object", dataclasses.field(**given)))
        like = dataclasses.make_dataclass(cls.__name__, made, frozen=cls.__value_frozen__)
        return getattr(like, self._name)


_FIELDS = _ForDataclasses("__dataclass_fields__")
_PARAMS = _ForDataclasses("__dataclass_params__")
