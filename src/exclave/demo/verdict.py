"""From the report of a reconstruction and what home said before to a verdict a register.

Pure. A register counts as proven only if its report says so *and* it has exactly the rows that the
depositor counted: an empty restore that compares equal to nothing is no proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from exclave.clock import parse_time
from exclave.demo.narration import duration
from exclave.values import dataclass

__all__ = ["COLUMNS", "RegisterVerdict", "judge", "table_row"]

COLUMNS = ("register", "verdict", "rows", "files", "RPO (planned)", "RTO (planned)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterVerdict:
    """One register: what came back, and how old and how late it is; seconds."""

    id: str
    title: str
    rows: int
    files: int
    rpo: float
    planned_rpo: int
    rto: float
    planned_rto: int
    faults: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Everything is back as it was captured."""
        return not self.faults


def judge(
    report: Mapping[str, Any],
    rows: Mapping[str, int],
    *,
    lost: datetime,
    before: float,
) -> Sequence[RegisterVerdict]:
    """Verdicts in the order of restoring; a register that the report lacks is a fault too.

    `rows` are those that the depositor counted, `lost` the moment of the loss, `before` the
    seconds from then to the start of the restore.
    """
    found: list[RegisterVerdict] = []
    elapsed = before
    for item in report["registers"]:
        elapsed += (item["restore_ms"] + item["compare_ms"]) / 1000
        found.append(
            RegisterVerdict(
                id=item["id"],
                title=item["title"],
                rows=item["rows"],
                files=item["files"],
                rpo=max(0.0, (lost - parse_time(item["captured"])).total_seconds()),
                planned_rpo=item["rpo"],
                rto=elapsed,
                planned_rto=item["rto"],
                faults=tuple(_faults(item, rows.get(item["id"]))),
            )
        )
    missing = sorted(set(rows) - {item.id for item in found})
    return [*found, *(_missing(name) for name in missing)]


def table_row(item: RegisterVerdict) -> Sequence[str]:
    """A row for `COLUMNS`."""
    return (
        item.title,
        "proven" if item.good else "DIFFERS",
        f"{item.rows:,}",
        f"{item.files:,}",
        f"{duration(item.rpo)} ({duration(item.planned_rpo)})",
        f"{duration(item.rto)} ({duration(item.planned_rto)})",
    )


def _faults(item: Mapping[str, Any], rows: int | None) -> list[str]:
    faults = [
        f"{difference['subject']}: {difference['what']}"
        + (f" [{'; '.join(difference['keys'])}]" if difference["keys"] else "")
        for difference in item["differences"]
    ]
    if rows is None:
        faults.append("was never deposited")
    elif rows != item["rows"]:
        faults.append(f"expected {rows} rows as counted at home, got {item['rows']}")
    return faults


def _missing(name: str) -> RegisterVerdict:
    return RegisterVerdict(
        id=name,
        title=name,
        rows=0,
        files=0,
        rpo=0,
        planned_rpo=0,
        rto=0,
        planned_rto=0,
        faults=("was not reconstructed",),
    )
