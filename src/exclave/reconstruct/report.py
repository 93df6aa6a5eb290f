"""The report of a reconstruction: what was restored, compared, how long it took.

The JSON form is a statement of kind `report` (spec/report.md), signed by the reader key that
the warrant names; the text form says the same to people.
"""

from __future__ import annotations

from collections.abc import Sequence

from exclave.archive.manifest import Register
from exclave.authority.record_chain import Fork
from exclave.clock import format_time
from exclave.encoding import JsonObject
from exclave.ids import DepositId, MissionId, Seat, StatementHash
from exclave.reconstruct.findings import Findings
from exclave.source.interface import Compared, Difference
from exclave.values import dataclass, replace

__all__ = [
    "ReconstructionReport",
    "RegisterOutcome",
    "SourceOutcome",
    "fork_json",
    "register_outcome",
    "report_payload",
    "report_text",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOutcome:
    """One source of a register, restored and compared."""

    name: str
    kind: str
    label: str  # what stands before its objects' names: nothing where there is no other source
    compared: Compared
    restore_ms: int
    compare_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOutcome:
    """One register, restored and compared."""

    id: str
    title: str
    rows: int
    files: int
    objects: int
    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...]
    notes: tuple[str, ...]  # of the capture
    restore_ms: int
    compare_ms: int
    rpo: int  # seconds, as planned
    rto: int
    captured: str  # time at which the register's capture began
    sources: tuple[SourceOutcome, ...]  # restored, in the order of their capture

    @property
    def proven(self) -> bool:
        """Everything that was compared is as it was captured."""
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionReport:
    """A whole reconstruction."""

    mission: MissionId
    deposit: DepositId
    record: StatementHash
    warrant: StatementHash | None
    software: str
    scope: tuple[str, ...]  # names asked for; empty: everything
    started: str
    ended: str
    elapsed_ms: int
    warrant_delay: int  # seconds of the read delay: part of the RTO
    registers: tuple[RegisterOutcome, ...]
    fetched: tuple[tuple[Seat, int], ...]  # bytes by seat
    packs: int
    faults: tuple[tuple[Seat, str], ...]
    findings: Findings

    @property
    def proven(self) -> bool:
        """Every register is."""
        return all(register.proven for register in self.registers)


def register_outcome(
    register: Register,
    sources: Sequence[SourceOutcome],
    beside: Sequence[Compared],
    *,
    beside_ms: int,
) -> RegisterOutcome:
    """What became of a register: its sources, and its runbook and artefacts beside them."""
    named = [(item.label, item.compared) for item in sources]
    named += [("", item) for item in beside]
    return RegisterOutcome(
        id=register.id,
        title=register.title,
        rows=sum(item.compared.rows for item in sources),
        files=sum(item.compared.files for item in sources),
        objects=sum(item.compared.objects for item in sources),
        differences=tuple(
            replace(found, subject=label + found.subject)
            for label, compared in named
            for found in compared.differences
        ),
        not_compared=tuple(
            label + what for label, compared in named for what in compared.not_compared
        ),
        notes=register.notes,
        restore_ms=sum(item.restore_ms for item in sources),
        compare_ms=sum(item.compare_ms for item in sources) + beside_ms,
        rpo=register.rpo,
        rto=register.rto,
        captured=format_time(register.started),
        sources=tuple(sources),
    )


def report_payload(report: ReconstructionReport) -> JsonObject:
    """As in spec/report.md."""
    return {
        "kind": "report",
        "mission": report.mission.hex(),
        "deposit": report.deposit.hex(),
        "record": report.record.hex(),
        "warrant": None if report.warrant is None else report.warrant.hex(),
        "software": report.software,
        "scope": list(report.scope),
        "started": report.started,
        "ended": report.ended,
        "elapsed_ms": report.elapsed_ms,
        "warrant_delay": report.warrant_delay,
        "proven": report.proven,
        "registers": [_register(item) for item in report.registers],
        "fetched": [[seat, size] for seat, size in report.fetched],
        "packs": report.packs,
        "faults": [[seat, what] for seat, what in report.faults],
        "problems": [[seat, what] for seat, what in report.findings.problems],
        "passed_over": [[item.hex(), why] for item, why in report.findings.passed_over],
        "forks": [fork_json(item) for item in report.findings.forks],
        "doubt": report.findings.doubt,
    }


def fork_json(item: Fork) -> JsonObject:
    """A fork as the report and the commands name it."""
    return {
        "depositor": item.depositor,
        "sequence": item.sequence,
        "records": [statement.hex() for statement in item.records],
    }


def _register(item: RegisterOutcome) -> JsonObject:
    return {
        "id": item.id,
        "title": item.title,
        "proven": item.proven,
        "rows": item.rows,
        "files": item.files,
        "objects": item.objects,
        "restore_ms": item.restore_ms,
        "compare_ms": item.compare_ms,
        "rpo": item.rpo,
        "rto": item.rto,
        "captured": item.captured,
        "differences": [_difference(d) for d in item.differences],
        "not_compared": list(item.not_compared),
        "notes": list(item.notes),
        "sources": [_source(source) for source in item.sources],
    }


def _source(item: SourceOutcome) -> JsonObject:
    return {
        "name": item.name,
        "kind": item.kind,
        "rows": item.compared.rows,
        "files": item.compared.files,
        "objects": item.compared.objects,
        "restore_ms": item.restore_ms,
        "compare_ms": item.compare_ms,
    }


def _difference(item: Difference) -> JsonObject:
    return {
        "subject": item.subject,
        "what": item.what,
        "keys": list(item.keys),
        "expected": item.expected,
        "got": item.got,
    }


def report_text(report: ReconstructionReport) -> str:
    """The report for people."""
    verdict = "PROVEN" if report.proven else "DIFFERENCES FOUND"
    lines = [
        f"Reconstruction of deposit {report.deposit.hex()}: {verdict}",
        f"mission {report.mission.hex()}",
        f"from {report.started} to {report.ended}, {report.elapsed_ms / 1000:.1f} s",
        f"after a read delay of {report.warrant_delay} s",
        *(f"fetched {size} bytes from seat {seat}" for seat, size in report.fetched),
        "",
    ]
    for item in report.registers:
        lines += _register_lines(item)
    if report.faults:
        lines += ["", "Faults of seats, all overcome:"]
        lines += [f"  seat {seat}: {what}" for seat, what in report.faults]
    if report.findings.lines:
        lines += ["", "Found by the survey before:"]
        lines += [f"  {line}" for line in report.findings.lines]
    return "".join(_printable(line) + "\n" for line in lines)


def _printable(line: str) -> str:
    """Keys and names come from registers: no line break or terminal code of theirs is printed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _register_lines(item: RegisterOutcome) -> Sequence[str]:
    verdict = "proven" if item.proven else "DIFFERS"
    total = (item.restore_ms + item.compare_ms) / 1000
    counts = f"{item.rows:>10} rows {item.files:>7} files"
    times = f"restore {item.restore_ms / 1000:.1f} s, compare {item.compare_ms / 1000:.1f} s"
    rto = f"{total:.1f} s of RTO {item.rto} s"
    lines = [f"{item.id:32} {verdict:8} {counts}  {times}, {rto}  {item.title}"]
    for difference in item.differences:
        keys = f" [{'; '.join(difference.keys)}]" if difference.keys else ""
        values = (
            f": expected {difference.expected}, got {difference.got}"
            if difference.expected or difference.got
            else ""
        )
        lines.append(f"    {difference.subject}: {difference.what}{keys}{values}")
    lines += [f"    not compared: {what}" for what in item.not_compared]
    lines += [f"    note: {what}" for what in item.notes]
    return lines
