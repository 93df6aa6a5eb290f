"""From a look to what to say of it, and what to remember: everything of `exclave.monitor`, joined.

Rules: a log that contradicts what was seen leaves the memory of it as it was, so that it is named
again until it does not; service time that ran too fast is named once and then measured anew, since
a monitor's own clock may have been wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from exclave.clock import format_time
from exclave.ids import Seat
from exclave.monitor.agreement import Apart, agreement_findings, apart
from exclave.monitor.duties import duty_findings
from exclave.monitor.logs import log_findings, silent_key
from exclave.monitor.memory import Memory, SeatMemory
from exclave.monitor.news import alarm_findings, news, waiting
from exclave.monitor.values import Cause, Finding, Level, Sight
from exclave.values import dataclass

__all__ = ["Judgement", "judge"]

_CONTRADICTED = frozenset({Cause.ROLLBACK, Cause.FORK, Cause.WITHHELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What to say, the worst first, and what to remember."""

    findings: tuple[Finding, ...]
    memory: Memory

    @property
    def looked(self) -> str:
        """When, in the stored form."""
        assert self.memory.looked is not None
        return format_time(self.memory.looked)

    @property
    def level(self) -> Level:
        """The worst of it."""
        levels = [finding.level for finding in self.findings]
        return max(levels, key=lambda level: level.value, default=Level.INFO)


def judge(sight: Sight) -> Judgement:
    """Everything that is to be said about one look."""
    found = [item for view in sight.view.seats for item in log_findings(sight, view)]
    differences = apart(sight)
    found += agreement_findings(sight, differences)
    found += duty_findings(sight)
    found += alarm_findings(sight)
    found += waiting(sight)
    told = list(news(sight))
    found += [item.finding for item in told if item.key not in sight.memory.told]
    return Judgement(
        findings=tuple(sorted(found, key=lambda item: -item.level.value)),
        memory=Memory(
            mission=sight.memory.mission,
            looked=sight.now.replace(microsecond=0),
            seats=_seats(sight, found),
            told=sight.memory.told | {item.key for item in told},
            since=_since(sight, found, differences),
        ),
    )


def _seats(sight: Sight, found: Sequence[Finding]) -> dict[Seat, SeatMemory]:
    kept = dict(sight.memory.seats)
    for view in sight.view.seats:
        causes = {item.cause for item in found if item.seat == view.seat}
        if not view.verified or causes & _CONTRADICTED:
            continue
        behind = int(sight.now.timestamp() * 1000) - sight.service(view)
        before = kept.get(view.seat)
        if before is not None and Cause.CLOCK not in causes:
            behind = max(behind, before.behind)
        kept[view.seat] = SeatMemory(note=view.checkpoint, behind=behind)
    return kept


def _since(
    sight: Sight, found: Sequence[Finding], differences: Sequence[Apart]
) -> dict[str, datetime]:
    """Since when each thing that lasts has lasted; what is over is forgotten."""
    lasting = {item.key: item.since for item in differences}
    for item in found:
        if item.cause is Cause.SILENT and item.seat is not None:
            key = silent_key(item.seat)
            lasting[key] = sight.since(key)
    return {key: moment.replace(microsecond=0) for key, moment in lasting.items()}
