"""Capture the registers of a plan into an archive and describe them in a manifest.

Registers are captured one after the other, each after those that it depends on; within a
register its sources follow one another as the plan has them, after runbook and artefacts, and a
source works in parallel. Each source is one consistent state, or the deposit stops. What a later
source points at in an earlier one is there if it was there before: that is what the order is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from exclave.archive.manifest import FilesTree, Register, RegisterSource
from exclave.archive.reference import StreamRef
from exclave.clock import Clock
from exclave.deposit.catalogue import RegisterSummary
from exclave.errors import ExclaveError, SourceError
from exclave.plan import PlannedSource, RegisterPlan
from exclave.source.interface import (
    ArchiveSink,
    Captured,
    Progress,
    Source,
    StreamPurpose,
    Unread,
)
from exclave.values import dataclass

__all__ = ["CapturedRegister", "DepositProgress", "RegisterTask", "capture_register"]


class DepositProgress(Protocol):
    """Where a deposit says how far it is; must not raise."""

    def register_started(self, register: str, title: str) -> None:
        """A register's capture begins."""

    def captured(self, register: str, what: str, units: int, size: int) -> None:
        """So many more rows or files, and bytes, were read."""

    def register_ended(self, register: str, rows: int, files: int) -> None:
        """A register is captured."""

    def phase(self, name: str) -> None:
        """Another step begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTask:
    """One register with the adapters that read it."""

    plan: RegisterPlan
    sources: tuple[Source, ...]  # in the plan's order
    artefacts: Source | None
    runbook: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedRegister:
    """A register as the manifest and the catalogue keep it."""

    register: Register
    summary: RegisterSummary
    unread: Unread | None


def capture_register(
    task: RegisterTask, sink: ArchiveSink, *, clock: Clock, progress: DepositProgress
) -> CapturedRegister:
    """Capture one register; errors name it."""
    plan = task.plan
    progress.register_started(plan.id, plan.title)
    started = clock()
    try:
        runbook = None if task.runbook is None else store_bytes(sink, task.runbook)
        artefacts = _artefacts(task, sink)
        parts = _capture_sources(task, sink, clock, progress)
    except SourceError as error:
        raise type(error)(f"register {plan.id}: {error.message}", hint=error.hint) from error
    summary = _summary(plan, [part.captured for part in parts])
    progress.register_ended(plan.id, summary.rows, summary.files)
    return CapturedRegister(
        register=Register(
            id=plan.id,
            title=plan.title,
            owner=plan.owner,
            classification=plan.classification,
            rpo=plan.rpo,
            rto=plan.rto,
            depends_on=plan.depends_on,
            runbook=runbook,
            artefacts=artefacts,
            started=_second(started),
            ended=_second(clock()),
            notes=(*_notes(parts), *([] if plan.service_gap is None else [plan.service_gap])),
            sources=tuple(part.source for part in parts),
        ),
        summary=summary,
        unread=_unread(parts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One source, captured."""

    source: RegisterSource
    captured: Captured


def _capture_sources(
    task: RegisterTask, sink: ArchiveSink, clock: Clock, progress: DepositProgress
) -> list[_Part]:
    several = len(task.sources) > 1
    report = _reporter(task.plan.id, progress)
    parts = []
    for planned, source in zip(task.plan.sources, task.sources, strict=True):
        started = clock()
        try:
            captured = source.capture(sink, report)
        except SourceError as error:
            if several:
                message = f"source {planned.name}: {error.message}"
                raise type(error)(message, hint=error.hint) from error
            raise
        parts.append(_part(planned, captured, _second(started), _second(clock())))
    return parts


def _part(planned: PlannedSource, captured: Captured, started: datetime, ended: datetime) -> _Part:
    source = RegisterSource(
        name=planned.name,
        kind=planned.kind,
        started=started,
        ended=ended,
        facts=captured.facts,
        objects=captured.objects,
    )
    return _Part(source=source, captured=captured)


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def store_bytes(sink: ArchiveSink, data: bytes) -> StreamRef:
    """Store a small text as a stream of the manifest."""
    stream = sink.open_stream(StreamPurpose.MANIFEST, expected_size=len(data))
    if data:
        stream.write(data)
    return stream.finish()


def _artefacts(task: RegisterTask, sink: ArchiveSink) -> FilesTree | None:
    if task.artefacts is None:
        return None
    trees = [
        item
        for item in task.artefacts.capture(sink, _no_progress).objects
        if isinstance(item, FilesTree)
    ]
    if len(trees) != 1:
        raise ExclaveError(f"register {task.plan.id}: artefacts are not one file tree")
    return trees[0]


def _notes(parts: Sequence[_Part]) -> Iterator[str]:
    for part in parts:
        said = f"{part.source.name}: " if len(parts) > 1 else ""
        for note in part.captured.notes:
            yield said + note
        unread = part.captured.unread
        if unread is not None and unread.files:
            yield (
                f"{said}{unread.files} files of {unread.bytes} bytes were not read again: inode, "
                "size, times and mode are those that they had when they were read for an earlier "
                "deposit"
            )


def _unread(parts: Sequence[_Part]) -> Unread | None:
    """What all sources did not read."""
    found = [part.captured.unread for part in parts if part.captured.unread is not None]
    if not found:
        return None
    return Unread(
        files=sum(item.files for item in found),
        bytes=sum(item.bytes for item in found),
        unsettled=sum(item.unsettled for item in found),
        read_all=next((item.read_all for item in found if item.read_all is not None), None),
    )


def _summary(plan: RegisterPlan, captured: Sequence[Captured]) -> RegisterSummary:
    return RegisterSummary(
        id=plan.id,
        title=plan.title,
        kind=plan.kind,
        rpo=plan.rpo,
        rto=plan.rto,
        rows=sum(item.rows for item in captured),
        files=sum(item.files for item in captured),
        bytes=sum(item.bytes_read for item in captured),
    )


def _reporter(register: str, progress: DepositProgress) -> Progress:
    def report(what: str, units: int, size: int) -> None:
        progress.captured(register, what, units, size)

    return report


def _no_progress(what: str, units: int, size: int) -> None:
    del what, units, size
