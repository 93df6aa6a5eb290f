"""What a job's command said, as an outcome: its exit code, its line of JSON, its last error. Pure.

What a command prints may be anything, also nothing: what cannot be read is a failure and no error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exclave.agent.jobs import Job, JobKind
from exclave.agent.state import Outcome, Result
from exclave.ids import Seat
from exclave.plain_words import of_seat
from exclave.signals.cause import Cause, Severity, one_line

__all__ = ["outcome_of"]

_STATEMENT: Final = re.compile(r"\b[0-9a-f]{16}\b")
_LEVELS: Final[Mapping[str, Severity]] = {
    "critical": "critical",
    "warning": "warning",
    "notice": "warning",
}
_DIFFERENT: Final = 1
_LOOKED: Final = (0, 1, 2, 3)


def outcome_of(job: Job, code: int, out: bytes, err: bytes) -> Outcome:
    """The outcome of a command that ended by itself."""
    value = _json(out)
    if job.kind is JobKind.MONITOR and code in _LOOKED and "findings" in value:
        return Outcome(result=Result.GOOD, causes=tuple(_findings(job, value)))
    if job.kind is JobKind.CHECK and code in _LOOKED and "checks" in value:
        return Outcome(result=Result.GOOD, causes=tuple(_checks(job, value)))
    unproven = job.kind is JobKind.PROVE and code == _DIFFERENT
    if (code != 0 and not unproven) or job.lane != "home" or "late" not in value:
        return _failed(code, err)
    late = _late(value)
    result = Result.LATE if late else Result.GOOD
    if job.kind is not JobKind.PROVE:
        return Outcome(result=result, late=late, said=_late_text(late))
    if not unproven:
        return Outcome(result=result, late=late, causes=(), said=_late_text(late))
    # It is lodged all the same, and would not come out otherwise if it were tried again.
    said = _said(code, err)
    return Outcome(result=result, late=late, causes=(_unproven(job, said),), said=said)


def _failed(code: int, err: bytes) -> Outcome:
    return Outcome(result=Result.FAILED, said=_said(code, err))


def _said(code: int, err: bytes) -> str:
    """The first line of the program's own error."""
    lines = err.decode("utf-8", "replace").splitlines()
    ours = [line.removeprefix("exclave: ") for line in lines if line.startswith("exclave: ")]
    return one_line(ours[0] if ours else f"exit code {code}, without a word that we know")


def _unproven(job: Job, said: str) -> Cause:
    return Cause(
        key=f"proof:{job.id}",
        severity="critical",
        summary=f"job {job.id}: {said}",
        hint="the certificate in evidence/ names what differs",
    )


def _json(out: bytes) -> Mapping[str, Any]:
    """The last line that is an object; an empty one where there is none."""
    for line in reversed(out.splitlines()):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return {}


def _late(value: Mapping[str, Any]) -> Mapping[Seat, str] | None:
    late, carried = value.get("late"), value.get("carried")
    if not isinstance(late, dict):
        return None
    # What a safe lacks waits for a bag: check looks after those.
    safes = {str(seat) for seat in carried} if isinstance(carried, list) else set()
    return {
        Seat(int(seat)): one_line(str(why))
        for seat, why in late.items()
        if seat.isdecimal() and 1 <= int(seat) <= 255 and seat not in safes
    }


def _late_text(late: Mapping[Seat, str] | None) -> str:
    return one_line(
        "; ".join(of_seat(int(seat), why) for seat, why in sorted((late or {}).items()))
    )


def _findings(job: Job, value: Mapping[str, Any]) -> Iterator[Cause]:
    for item in _objects(value["findings"]):
        severity = _LEVELS.get(str(item.get("level")))
        if severity is None:
            continue
        what, seat = one_line(str(item.get("what"))), item.get("seat")
        # Texts say how long something lasts, so they change; which statement it is about does not.
        statement = _STATEMENT.search(what)
        about = [str(item.get("cause")), "" if seat is None else str(seat)]
        about += [] if statement is None else [statement[0]]
        where = "" if item.get("vault") is None else f"{item['vault']}: "
        yield Cause(
            key=one_line(":".join([job.id, *about])),
            severity=severity,
            summary=one_line(f"{where}{what}"),
            hint="exclave monitor says everything; guide-auditor.md 5 explains it",
        )


def _checks(job: Job, value: Mapping[str, Any]) -> Iterator[Cause]:
    # Of one key the last counts: what is critical is not hidden behind what is less.
    items = sorted(_objects(value["checks"]), key=lambda item: item.get("severity") == "bad")
    for item in items:
        if item.get("severity") == "good":
            continue
        hint, about = item.get("hint"), item.get("about")
        named = [job.id, str(item.get("what")), *([] if about is None else [str(about)])]
        yield Cause(
            key=one_line(":".join(named)),
            severity="critical" if item.get("severity") == "bad" else "warning",
            summary=one_line(f"{item.get('what')}: {item.get('said')}"),
            hint=None if hint is None else one_line(str(hint)),
        )


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
