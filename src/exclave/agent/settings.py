"""`agent.toml`: what runs when, read strictly and made into orders.

Relative paths start at the file's own folder. Names of registers are those of the plan that
`deposit.toml` names; a job that names none deposits all of it. A calendar that never comes again is
refused: a job that nobody runs is what this program is against.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Final, Literal

from exclave.agent.jobs import Hooks, Job, JobKind, Orders, spread
from exclave.calendar import Calendar, parse_calendar
from exclave.config import ConfigurationInvalid, load_toml
from exclave.plan import Duration, Plan, load_plan
from exclave.plan.sources import Slug
from exclave.shapes import Between, Length, Parsed, Unfit
from exclave.signals.settings import AlertsTable
from exclave.toml_lines import read_places
from exclave.values import dataclass
from exclave.wiring.settings import load_deposit_settings

__all__ = ["AgentSettings", "load_agent_settings"]

_WATCH: Final = "watch"
_EARLIEST: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _calendar(value: object) -> Calendar:
    if not isinstance(value, str):
        raise ValueError('expected a text such as "*-*-* 02:00"')
    return parse_calendar(value)


_Schedule = Annotated[Calendar, Parsed(_calendar)]
_Command = Annotated[tuple[str, ...], Length(least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """`[[job]]`."""

    id: Slug
    kind: Literal["deposit", "prove", "catch-up", "monitor", "check"]
    schedule: Annotated[tuple[_Schedule, ...], Length(least=1)]
    registers: tuple[Slug, ...] = ()
    jitter: Duration = 0
    limit: Duration = 6 * 3600
    tries: Annotated[int, Between(1, 100)] = 3
    first_pause: Duration = 60
    longest_pause: Duration = 3600
    before: _Command | None = None
    after: _Command | None = None
    hook_limit: Duration = 300

    def __post_init__(self) -> None:
        if self.registers and self.kind not in {"deposit", "prove"}:
            raise Unfit({"registers": f"expected none for a job of kind {self.kind}, got some"})
        for name in ("limit", "first_pause", "longest_pause", "hook_limit"):
            if getattr(self, name) < 1:
                raise Unfit({name: "expected at least a second, got none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _AgentFile:
    """All of `agent.toml`."""

    deposit: str = "deposit.toml"
    state: str = "state/agent"
    late_after: Duration = 86_400
    metrics: str | None = None
    unsafe_public_metrics: bool = False
    alerts: AlertsTable = AlertsTable()
    job: Annotated[tuple[_Job, ...], Length(least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """`agent.toml` with absolute paths, and the command of each job."""

    path: Path
    deposit: Path
    state: Path
    orders: Orders
    commands: Mapping[str, tuple[str, ...]]
    alerts: AlertsTable
    metrics: str | None  # address of /metrics
    unsafe_public_metrics: bool


def load_agent_settings(path: Path, *, machine: str, now: datetime, local: tzinfo) -> AgentSettings:
    """Read `agent.toml` and the plan; raises `ConfigurationError` with every error found."""
    parsed = load_toml(path, _AgentFile)
    folder = path.parent.resolve()
    deposit = folder / parsed.deposit
    settings = load_deposit_settings(deposit)
    plan = load_plan(settings.plan)
    wrong = [*_wrong(parsed, plan, now, local)]
    if wrong:
        places = read_places(path)
        raise ConfigurationInvalid(
            tuple(f"{places.at(('job', number, key))}: {said}" for number, key, said in wrong)
        )
    state = folder / parsed.state
    charter = settings.depositor / "charter.json"
    return AgentSettings(
        path=path,
        deposit=deposit,
        state=state,
        orders=_orders(parsed, plan, machine, local),
        commands={job.id: _command(job, deposit, charter, state) for job in parsed.job},
        alerts=parsed.alerts,
        metrics=parsed.metrics,
        unsafe_public_metrics=parsed.unsafe_public_metrics,
    )


def _wrong(
    parsed: _AgentFile, plan: Plan, now: datetime, local: tzinfo
) -> Iterator[tuple[int, str, str]]:
    known = {register.id for register in plan.registers}
    seen: set[str] = set()
    for number, job in enumerate(parsed.job):
        if job.id in seen:
            yield number, "id", f"expected another name for each job, got {job.id!r} twice"
        seen.add(job.id)
        for name in job.registers:
            if name not in known:
                yield number, "registers", f"expected registers of the plan, got {name!r}"
        for calendar in job.schedule:
            if calendar.next_after(now, local=local) is None:
                ever = calendar.next_after(_EARLIEST, local=local) is not None
                why = "lies in the past" if ever else "never comes"
                said = f"expected a calendar that comes again, got {calendar.text!r}, which {why}"
                yield number, "schedule", said


def _orders(parsed: _AgentFile, plan: Plan, machine: str, local: tzinfo) -> Orders:
    jobs = tuple(_job(item, plan, machine) for item in parsed.job)
    served = {name for job in jobs for name in job.registers}
    return Orders(
        jobs=jobs,
        rpo={register.id: register.rpo for register in plan.registers if register.id in served},
        unserved=tuple(r.id for r in plan.registers if r.id not in served),
        late_after=parsed.late_after,
        local=local,
    )


def _job(item: _Job, plan: Plan, machine: str) -> Job:
    kind = JobKind(item.kind)
    captures = kind in {JobKind.DEPOSIT, JobKind.PROVE}
    registers = tuple(r.id for r in plan.select(item.registers)) if captures else ()
    return Job(
        id=item.id,
        kind=kind,
        schedule=item.schedule,
        registers=registers,
        spread=spread(machine, item.id, item.jitter),
        limit=item.limit,
        tries=item.tries,
        first_pause=item.first_pause,
        longest_pause=max(item.longest_pause, item.first_pause),
        hooks=Hooks(before=item.before or (), after=item.after or (), limit=item.hook_limit),
    )


def _command(job: _Job, deposit: Path, charter: Path, state: Path) -> tuple[str, ...]:
    """The same program once more: whatever finds it on a path may find another."""
    program = (sys.executable, "-m", "exclave", "--json", "--quiet")
    config = ("--config", str(deposit))
    match JobKind(job.kind):
        case JobKind.DEPOSIT:
            return (*program, "deposit", *job.registers, *config)
        case JobKind.PROVE:
            return (*program, "deposit", *job.registers, *config, "--prove")
        case JobKind.CATCH_UP:
            return (*program, "deposit", "--catch-up", *config)
        case JobKind.CHECK:
            return (*program, "check", *config)
        case JobKind.MONITOR:
            seen = str(state / _WATCH)
            return (*program, "monitor", "--charter", str(charter), "--state", seen)
