"""`agent run | status | test-alerts`: Exclave by itself, by a calendar."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from exclave.cli.options import Out
from exclave.clock import format_time

if TYPE_CHECKING:
    from datetime import datetime

    from exclave.agent.overview import AgentOverview, JobView
    from exclave.agent.settings import AgentSettings
    from exclave.signals.trial import Tried

__all__ = ["NOT_AS_IT_SHOULD_BE", "agent"]

NOT_AS_IT_SHOULD_BE = 1
AgentConfigFile = Annotated[
    Path, Parameter(name=["--config", "-c"], help="The agent's agent.toml.")
]

agent = App(
    name="agent",
    help="Exclave by itself: deposits, proofs and checks by a calendar.",
    help_format="plaintext",
)


@agent.command(name="run")
def run(*, config: AgentConfigFile, terminal: Out) -> None:
    """Run the jobs of a configuration when they are due, until SIGTERM.

    SIGHUP reads the configuration again. Under systemd it tells when it is ready, what it does,
    and that it is alive.
    """
    from exclave.agent.serving import serve_agent

    terminal.show_log()
    serve_agent(lambda: _load(config), environment=os.environ)


@agent.command(name="status")
def status(*, config: AgentConfigFile, terminal: Out) -> int:
    """Show whether an agent is at work, the last and next run of each job, and what it tells.

    Ends with 1 when no agent is at work, or when something is to be told.
    """
    from exclave.agent.overview import agent_overview
    from exclave.clock import now

    found = agent_overview(_load(config), now())
    terminal.result(_json(found), _lines(found))
    good = found.process is not None and not found.causes
    return 0 if good else NOT_AS_IT_SHOULD_BE


@agent.command(name="test-alerts")
def test_alerts(*, config: AgentConfigFile, terminal: Out) -> int:
    """Send a test alert and its all-clear to every target, and say which took them.

    What the agent remembers stays as it is. Ends with 1 when a target did not take both.
    """
    from exclave.clock import now
    from exclave.errors import ConfigurationError
    from exclave.signals.settings import open_targets
    from exclave.signals.trial import try_targets

    settings = _load(config)
    targets = open_targets(settings.alerts, settings.path.parent.resolve())
    if not targets:
        raise ConfigurationError(
            f"{config}: expected a target of alerts to test, got none",
            hint="[[alerts.target]]: examples/alerts.toml shows every kind",
        )
    found = try_targets(targets, source=settings.alerts.source, clock=now)
    terminal.result(
        {
            "good": all(item.accepted for item in found),
            "targets": [
                {"name": i.name, "accepted": i.accepted, "alert": i.alert, "clear": i.clear}
                for i in found
            ],
        },
        [_tried_line(item) for item in found],
    )
    return 0 if all(item.accepted for item in found) else NOT_AS_IT_SHOULD_BE


def _tried_line(item: Tried) -> str:
    if item.alert is not None:
        return f"{item.name}: NOT ACCEPTED: {item.alert}"
    if item.clear is not None:
        return f"{item.name}: alert accepted, all-clear NOT ACCEPTED: {item.clear}"
    return f"{item.name}: alert and all-clear accepted"


def _load(config: Path) -> AgentSettings:
    from exclave.agent.machine import local_zone, machine_name
    from exclave.agent.settings import load_agent_settings
    from exclave.clock import now

    return load_agent_settings(
        config, machine=machine_name(), now=now(), local=local_zone(os.environ)
    )


def _json(found: AgentOverview) -> dict[str, object]:
    return {
        "process": found.process,
        "jobs": [_job_json(item) for item in found.jobs],
        "causes": [
            {"key": c.key, "severity": c.severity, "summary": c.summary, "hint": c.hint}
            for c in found.causes
        ],
    }


def _job_json(item: JobView) -> dict[str, object]:
    return {
        "id": item.job.id,
        "kind": item.job.kind.value,
        "registers": list(item.job.registers),
        "running": _time(item.kept.running),
        "started": _time(item.kept.started),
        "ended": _time(item.kept.ended),
        "result": None if item.kept.result is None else item.kept.result.value,
        "said": item.kept.said,
        "good": _time(item.kept.good),
        "failures": item.kept.failures,
        "next": _time(item.next),
    }


def _lines(found: AgentOverview) -> list[str]:
    at_work = (
        "no agent is at work" if found.process is None else f"agent {found.process} is at work"
    )
    lines = [at_work]
    for item in found.jobs:
        kept = item.kept
        last = "never ran"
        if kept.result is not None:
            said = f" ({kept.said})" if kept.said else ""
            last = f"{kept.result.value} at {_time(kept.ended)}{said}"
        coming = "comes no more" if item.next is None else f"next {_time(item.next)}"
        if kept.running is not None:
            coming = f"runs since {_time(kept.running)}"
        lines.append(f"{item.job.id:24} {item.job.kind.value:8}  {coming};  {last}")
    for cause in found.causes:
        lines.append(f"{cause.severity.upper():8}  {cause.summary}")
        lines += [] if cause.hint is None else [f"          hint: {cause.hint}"]
    return lines


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
