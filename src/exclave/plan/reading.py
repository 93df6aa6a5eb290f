"""Reads `registers.toml`, strictly: all errors at once, with file, line and key.

A plan is read in two places. At home (`load_plan`) paths are made absolute, relative ones starting
at the plan's folder. From a deposit (`parse_plan`) they are left as they were written there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from exclave.config import (
    ConfigurationInvalid,
    ConfigurationUnreadable,
    parse_toml,
)
from exclave.plan.durations import Duration
from exclave.plan.secrets import refuse_secrets
from exclave.plan.sources import PlannedSource, PostgresqlSource, Slug, SqliteSource
from exclave.plan.values import Assertion, Plan, RegisterPlan
from exclave.shapes import Between, Checked, Length, Location, Told
from exclave.values import dataclass

__all__ = ["PlanInconsistent", "load_plan", "parse_plan"]

_TAKEN = frozenset({"artefacts", "runbook"})


class PlanInconsistent(ConfigurationInvalid):
    """Parts of a plan contradict each other."""


def _one_or_several(value: object) -> Any:
    return tuple[PlannedSource, ...] if isinstance(value, list) else PlannedSource


def _some(value: object) -> None:
    if value == ():
        raise ValueError("expected at least one source")


def _line(value: str) -> None:
    """Titles and owners stand on terminals and in reports of those who restore."""
    if not value.isprintable():
        raise ValueError("expected one line of printable text")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Register:
    """`[[register]]`."""

    id: Slug
    title: Annotated[str, Length(least=1), Checked(_line)]
    owner: Annotated[str, Checked(_line)]
    classification: Annotated[str, Checked(_line)]
    rpo: Annotated[Duration, Between(1)]
    rto: Annotated[Duration, Between(1)]
    depends_on: tuple[Slug, ...] = ()
    runbook: str | None = None
    artefacts: str | None = None
    source: Annotated[
        PlannedSource | tuple[PlannedSource, ...], Told(_one_or_several), Checked(_some)
    ]
    assertion: tuple[Assertion, ...] = ()

    @property
    def sources(self) -> tuple[PlannedSource, ...]:
        """In the order in which they stand."""
        return self.source if isinstance(self.source, tuple) else (self.source,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlanFile:
    """All of `registers.toml`."""

    register: Annotated[tuple[_Register, ...], Length(least=1)]


def load_plan(path: Path) -> Plan:
    """Read and check a plan; raises `ConfigurationError` with every error found."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationUnreadable(f"{path}: cannot be read: {error.strerror}") from error
    # First: what is wrong otherwise may be told with the text that stands there.
    refuse_secrets(data, name=str(path))
    registers = _read(data, str(path))
    folder = path.parent.resolve()
    return Plan(
        path=path, text=data, registers=tuple(_register(item, folder) for item in registers)
    )


def parse_plan(data: bytes, *, name: str = "plan") -> Plan:
    """The plan of a deposit: paths as they were written, which may name nothing on this machine."""
    registers = tuple(_register(item, None) for item in _read(data, name))
    return Plan(path=Path(name), text=data, registers=registers)


def _read(data: bytes, name: str) -> tuple[_Register, ...]:
    """The registers, each after those that it depends on."""
    parsed = parse_toml(data, _PlanFile, name=name).register
    faults = [*_doubled(parsed), *_unconnected(parsed), *_parts(parsed)]
    if not faults:
        faults += _cycles(parsed)
    if faults:
        from exclave.toml_lines import find_places

        places = find_places(data.decode("utf-8").replace("\r\n", "\n"), name=name)
        found = sorted((places.line(at), f"{places.at(at)}: {said}") for at, said in faults)
        raise PlanInconsistent(tuple(said for _, said in found))
    return _in_order(parsed)


def _register(item: _Register, folder: Path | None) -> RegisterPlan:
    def place(text: str | None) -> Path | None:
        return None if text is None else Path(text) if folder is None else folder / text

    return RegisterPlan(
        id=item.id,
        title=item.title,
        owner=item.owner,
        classification=item.classification,
        rpo=item.rpo,
        rto=item.rto,
        depends_on=item.depends_on,
        runbook=place(item.runbook),
        artefacts=place(item.artefacts),
        sources=tuple(s if folder is None else s.in_folder(folder) for s in item.sources),
        assertions=item.assertion,
    )


Faults = Iterator[tuple[Location, str]]


def _doubled(registers: Iterable[_Register]) -> Faults:
    seen: set[str] = set()
    for at, item in enumerate(registers):
        if item.id in seen:
            yield ("register", at, "id"), f"register {item.id} is declared twice"
        seen.add(item.id)


def _unconnected(registers: tuple[_Register, ...]) -> Faults:
    known = {item.id for item in registers}
    for at, item in enumerate(registers):
        for name in item.depends_on:
            if name not in known:
                said = f"register {item.id} depends on {name!r}, which is not in the plan"
                yield ("register", at, "depends_on"), said


def _parts(registers: tuple[_Register, ...]) -> Faults:
    for at, item in enumerate(registers):
        place: Location = ("register", at)
        yield from _sources(item, (*place, "source"))
        seen: set[str] = set()
        for number, assertion in enumerate(item.assertion):
            key: Location = (*place, "assertion", number)
            if assertion.name in seen:
                yield (*key, "name"), f"assertion {assertion.name} is declared twice"
            seen.add(assertion.name)
            yield from _assertion(item, assertion, key)


def _sources(item: _Register, place: Location) -> Faults:
    seen: set[str] = set()
    for number, source in enumerate(item.sources):
        key = (*place, number, "name") if isinstance(item.source, tuple) else (*place, "name")
        if source.name in _TAKEN:
            yield key, f"expected a name of its own, got {source.name!r}"
        if source.name in seen:
            yield key, f"expected distinct names, got {source.name!r} twice"
        seen.add(source.name)


def _assertion(item: _Register, assertion: Assertion, key: Location) -> Faults:
    names = [source.name for source in item.sources]
    name = assertion.source or names[0]
    if name not in names:
        yield (*key, "source"), f"expected one of {', '.join(names)}, got {name!r}"
        return
    source = item.sources[names.index(name)]
    database = assertion.database
    if isinstance(source, PostgresqlSource):
        if database is not None and database not in source.databases:
            yield (*key, "database"), f"expected a database of {name}, got {database!r}"
    else:
        if database is not None:
            yield (*key, "database"), f"expected none, since source {name} is no server, got one"
        if assertion.sql is not None and not isinstance(source, SqliteSource):
            yield (*key, "sql"), f"expected a source that takes SQL, got {name} ({source.kind})"


def _cycles(registers: tuple[_Register, ...]) -> Faults:
    by_id = {item.id: item for item in registers}
    settled: set[str] = set()

    def visit(item: _Register, trail: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if item.id in trail:
            yield (*trail[trail.index(item.id) :], item.id)
        elif item.id not in settled:
            for name in item.depends_on:
                yield from visit(by_id[name], (*trail, item.id))
            settled.add(item.id)

    for at, item in enumerate(registers):
        for circle in visit(item, ()):
            said = f"registers depend on each other: {' -> '.join(circle)}"
            yield ("register", at, "depends_on"), said


def _in_order(registers: tuple[_Register, ...]) -> tuple[_Register, ...]:
    by_id = {item.id: item for item in registers}
    ordered: dict[str, _Register] = {}

    def visit(item: _Register) -> None:
        if item.id in ordered:
            return
        for name in item.depends_on:
            visit(by_id[name])
        ordered[item.id] = item

    for item in registers:
        visit(item)
    return tuple(ordered.values())
