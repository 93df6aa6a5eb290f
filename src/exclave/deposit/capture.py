"""Capture the registers of a plan into an archive and describe them in a manifest.

Registers are captured one after the other, each after those that it depends on; within a
register the source works in parallel. Each is one consistent state, or the deposit stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from exclave.archive.manifest import FilesTree, Register
from exclave.archive.reference import StreamRef
from exclave.clock import Clock
from exclave.deposit.catalogue import RegisterSummary
from exclave.errors import ExclaveError, SourceError
from exclave.plan import RegisterPlan
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
    source: Source
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
        captured = task.source.capture(sink, _reporter(plan.id, progress))
    except SourceError as error:
        raise type(error)(f"register {plan.id}: {error.message}", hint=error.hint) from error
    progress.register_ended(plan.id, captured.rows, captured.files)
    return CapturedRegister(
        register=Register(
            id=plan.id,
            title=plan.title,
            kind=plan.source.kind,
            owner=plan.owner,
            classification=plan.classification,
            rpo=plan.rpo,
            rto=plan.rto,
            depends_on=plan.depends_on,
            runbook=runbook,
            artefacts=artefacts,
            started=started.replace(microsecond=0),
            ended=clock().replace(microsecond=0),
            source=captured.facts,
            notes=(*captured.notes, *_unread(captured.unread), *_gaps(plan)),
            objects=captured.objects,
        ),
        summary=_summary(plan, captured),
        unread=captured.unread,
    )


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


def _gaps(plan: RegisterPlan) -> Sequence[str]:
    missing = [
        name
        for name, value in (("runbook", plan.runbook), ("artefacts", plan.artefacts))
        if value is None
    ]
    if not missing:
        return ()
    return (f"not reconstructible as a service: no {' and no '.join(missing)}",)


def _unread(unread: Unread | None) -> Sequence[str]:
    if unread is None or not unread.files:
        return ()
    text = (
        f"{unread.files} files of {unread.bytes} bytes were not read again: inode, size, times and "
        "mode are those that they had when they were read for an earlier deposit"
    )
    return (text,)


def _summary(plan: RegisterPlan, captured: Captured) -> RegisterSummary:
    return RegisterSummary(
        id=plan.id,
        title=plan.title,
        kind=plan.source.kind,
        rpo=plan.rpo,
        rto=plan.rto,
        rows=captured.rows,
        files=captured.files,
        bytes=captured.bytes_read,
    )


def _reporter(register: str, progress: DepositProgress) -> Progress:
    def report(what: str, units: int, size: int) -> None:
        progress.captured(register, what, units, size)

    return report


def _no_progress(what: str, units: int, size: int) -> None:
    del what, units, size
