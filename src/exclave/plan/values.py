"""A plan as values: registers, their sources in order, and what must hold after a restore."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from exclave.errors import ConfigurationError
from exclave.plan.durations import Duration
from exclave.plan.sources import PlannedSource, Slug
from exclave.shapes import Between, Length, Unfit
from exclave.values import dataclass

__all__ = ["Assertion", "Plan", "RegisterPlan", "needs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What must hold once a register is restored: one value of SQL, or a program's exit code."""

    name: Slug
    source: Slug | None = None  # whose restored content is asked; None: the first source
    database: str | None = None  # of a server; None: its first
    sql: Annotated[str, Length(least=1)] | None = None
    command: Annotated[tuple[str, ...], Length(least=1)] | None = None  # no shell
    expect: str | None = None  # sql: None is true; command: None is any output
    timeout: Annotated[Duration, Between(1)] = 300  # seconds

    def __post_init__(self) -> None:
        if (self.sql is None) == (self.command is None):
            got = "neither" if self.sql is None else "both"
            raise Unfit({"name": f"expected either sql or command, got {got}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPlan:
    """One register of the plan."""

    id: str
    title: str
    owner: str
    classification: str
    rpo: int  # seconds
    rto: int  # seconds
    depends_on: tuple[str, ...]
    runbook: Path | None
    artefacts: Path | None
    sources: tuple[PlannedSource, ...]  # in the order of capture, with distinct names
    assertions: tuple[Assertion, ...] = ()

    @property
    def kind(self) -> str:
        """The kinds of its sources, in order, as people read it."""
        return "+".join(dict.fromkeys(source.kind for source in self.sources))

    @property
    def service_gap(self) -> str | None:
        """Why its data would come back and its service would not; None: nothing is missing."""
        parts = (("runbook", self.runbook), ("artefacts", self.artefacts))
        missing = " and ".join(f"no {name}" for name, value in parts if value is None)
        return f"not reconstructible as a service: {missing}" if missing else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The registers, each after those that it depends on."""

    path: Path
    text: bytes  # the file as read: goes into the manifest
    registers: tuple[RegisterPlan, ...]

    def select(self, names: tuple[str, ...]) -> tuple[RegisterPlan, ...]:
        """The named registers in the plan's order; all when no name is given."""
        unknown = sorted(set(names) - {register.id for register in self.registers})
        if unknown:
            raise ConfigurationError(
                f"{self.path}: no register {', '.join(unknown)}",
                hint="known: " + ", ".join(register.id for register in self.registers),
            )
        return tuple(r for r in self.registers if not names or r.id in names)


def needs(plan: RegisterPlan, plans: Iterable[RegisterPlan]) -> frozenset[str]:
    """All that a register depends on, also by way of others."""
    known = {item.id: item for item in plans}
    needed: set[str] = set()
    waiting = list(plan.depends_on)
    while waiting:
        name = waiting.pop()
        if name not in needed and name in known:
            needed.add(name)
            waiting += known[name].depends_on
    return frozenset(needed)
