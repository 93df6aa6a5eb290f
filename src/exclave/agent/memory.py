"""The agent's memory as bytes (spec/agent.md 2): canonical JSON and LF, read and written whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from exclave.agent.state import AgentState, JobState, Result
from exclave.authority.fields import FormatTooNew, Node, require_ascending
from exclave.clock import format_time
from exclave.encoding import JsonObject, JsonValue, canonical_json, parse_canonical_json
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import Seat
from exclave.signals.cause import Cause

__all__ = ["MemoryBroken", "memory_bytes", "parse_memory"]

_KIND: Final = "agent-memory"
_VERSION: Final = 1
_JOB: Final = (
    "id",
    "done",
    "fired",
    "running",
    "failures",
    "retry",
    "started",
    "ended",
    "result",
    "said",
    "good",
    "causes",
)


class MemoryBroken(IntegrityError):
    """What the agent remembers cannot be read."""


def memory_bytes(state: AgentState) -> bytes:
    """The state as canonical JSON and LF; fractions of seconds are dropped."""
    payload: JsonObject = {
        "kind": _KIND,
        "version": _VERSION,
        "seen": format_time(state.seen),
        "back": _time(state.back),
        "jobs": [_job_json(name, job) for name, job in sorted(state.jobs.items())],
        "captured": _pairs(state.captured),
        "late": [[seat, format_time(since)] for seat, since in sorted(state.late.items())],
    }
    return canonical_json(payload) + b"\n"


def parse_memory(data: bytes) -> AgentState:
    """The inverse; raises `MemoryBroken`, or `FormatTooNew`."""
    try:
        return _parse(data)
    except FormatTooNew:
        raise
    except ExclaveError as error:
        raise MemoryBroken(
            f"agent's memory: {error.message}",
            hint="find out why, then move the file away: every job begins with its next slot",
        ) from error


def _job_json(name: str, job: JobState) -> JsonObject:
    causes: list[JsonValue] = [
        {"key": c.key, "severity": c.severity, "summary": c.summary, "hint": c.hint}
        for c in job.causes
    ]
    return {
        "id": name,
        "done": format_time(job.done),
        "fired": [format_time(slot) for slot in job.fired],
        "running": _time(job.running),
        "failures": job.failures,
        "retry": _time(job.retry),
        "started": _time(job.started),
        "ended": _time(job.ended),
        "result": None if job.result is None else job.result.value,
        "said": job.said,
        "good": _time(job.good),
        "causes": causes,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _pairs(moments: Mapping[str, datetime]) -> list[JsonValue]:
    return [[name, format_time(moment)] for name, moment in sorted(moments.items())]


def _parse(data: bytes) -> AgentState:
    value = parse_canonical_json(data.removesuffix(b"\n"), subject="memory")
    names = ("seen", "back", "jobs", "captured", "late")
    fields = Node(value, "memory").versioned(_KIND, _VERSION, *names)
    jobs = fields["jobs"].each(_job)
    captured = fields["captured"].each(_captured)
    late = fields["late"].each(_late)
    require_ascending("memory.jobs", [name for name, _ in jobs])
    require_ascending("memory.captured", [name for name, _ in captured])
    require_ascending("memory.late", [seat for seat, _ in late])
    state = AgentState(
        seen=fields["seen"].time(),
        back=fields["back"].optional(Node.time),
        jobs=dict(jobs),
        captured=dict(captured),
        late=dict(late),
    )
    if memory_bytes(state) != data:
        raise IntegrityError("not in canonical form")
    return state


def _job(node: Node) -> tuple[str, JobState]:
    fields = node.fields(*_JOB)
    result = fields["result"].optional(lambda n: n.literal(*(item.value for item in Result)))
    job = JobState(
        done=fields["done"].time(),
        fired=fields["fired"].each(Node.time),
        running=fields["running"].optional(Node.time),
        failures=fields["failures"].integer(),
        retry=fields["retry"].optional(Node.time),
        started=fields["started"].optional(Node.time),
        ended=fields["ended"].optional(Node.time),
        result=None if result is None else Result(result),
        said=fields["said"].text(),
        good=fields["good"].optional(Node.time),
        causes=fields["causes"].each(_cause),
    )
    return fields["id"].slug(), job


def _cause(node: Node) -> Cause:
    fields = node.fields("key", "severity", "summary", "hint")
    severity = fields["severity"].literal("warning", "critical")
    return Cause(
        key=fields["key"].text(),
        severity="critical" if severity == "critical" else "warning",
        summary=fields["summary"].text(),
        hint=fields["hint"].optional(Node.text),
    )


def _captured(node: Node) -> tuple[str, datetime]:
    name, moment = node.items(least=2, most=2)
    return name.slug(), moment.time()


def _late(node: Node) -> tuple[Seat, datetime]:
    seat, since = node.items(least=2, most=2)
    return Seat(seat.integer(1, 255)), since.time()
