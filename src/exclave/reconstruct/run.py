"""Restore and compare the registers of one deposit.

Registers are taken in the manifest's order, each after those that it depends on, and the sources of
a register in the order of their capture. A source that an earlier, interrupted run finished is not
restored again but compared again. One that was begun, but whose target is no longer known for
unfinished, was restored before the program could note it: it is compared, and an error unless it is
as it was captured.
Expected values come from the sealed manifest alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from exclave import __version__
from exclave.archive.manifest import Manifest, Register, RegisterSource
from exclave.authority.record import DepositRecord
from exclave.clock import Clock, format_time
from exclave.durable import replace_file
from exclave.errors import ExclaveError, TargetError
from exclave.ids import StatementHash
from exclave.reconstruct.fetch import PackFetcher
from exclave.reconstruct.findings import Findings
from exclave.reconstruct.report import (
    ReconstructionReport,
    RegisterOutcome,
    SourceOutcome,
    register_outcome,
)
from exclave.reconstruct.scope import Part, Scope
from exclave.reconstruct.service import restore_service
from exclave.reconstruct.supply import ReconstructSupply, read_manifest
from exclave.source.interface import ArchiveSupply, Compared, Progress, Target, TargetOccupied
from exclave.values import dataclass

__all__ = ["Opened", "ReconstructProgress", "Scope", "TargetFor", "reconstruct"]

TargetFor: TypeAlias = Callable[[Register, RegisterSource], Target]
"""Where a source of a register is restored to."""
Opened: TypeAlias = Callable[[Manifest], None]
"""Told of a manifest that was read."""


class ReconstructProgress(Protocol):
    """Where a reconstruction says how far it is; must not raise."""

    def register_started(self, register: str, title: str) -> None:
        """A register's restore begins."""

    def restored(self, register: str, what: str, units: int, size: int) -> None:
        """So many more rows or files, and bytes, were restored."""

    def compared(self, register: str, what: str, units: int, size: int) -> None:
        """So many more rows or files, and bytes, were compared."""

    def register_ended(self, outcome: RegisterOutcome) -> None:
        """A register is restored and compared."""


def reconstruct(
    record: DepositRecord,
    *,
    fetcher: PackFetcher,
    target_for: TargetFor,
    scope: Scope,
    state: Path,
    service: Path,
    clock: Clock,
    progress: ReconstructProgress,
    warrant: StatementHash | None,
    warrant_delay: int,
    findings: Findings | None = None,
    opened: Opened = lambda _: None,
) -> ReconstructionReport:
    """Restore and compare; `opened` hears what all the deposit holds, before the first write.

    `state` is a folder (0700) that makes an interrupted run resumable; runbooks and artefacts go
    below `service`. `findings` of the survey go into the report.
    """
    started, begun = clock(), time.monotonic()
    with fetcher:
        manifest = read_manifest(
            fetcher, record.manifest_packs, mission=record.mission, deposit=record.deposit
        )
        opened(manifest)
        registers = scope.select(manifest)
        supply = ReconstructSupply(
            fetcher=fetcher,
            packs=manifest.packs,
            manifest_packs=record.manifest_packs,
            scratch=state,
        )
        done = _Done(state / "restored.json", record.deposit.hex(), scope)
        parts = [part for register in registers for part in scope.parts(register)]
        run = _Run(
            supply=supply,
            scope=scope,
            done=done,
            service=service,
            progress=progress,
            targets=_empty_targets(parts, target_for, done),
        )
        outcomes = [run.register(register) for register in registers]
    return ReconstructionReport(
        mission=record.mission,
        deposit=record.deposit,
        record=record.statement_hash,
        warrant=warrant,
        software=f"exclave/{__version__}",
        scope=(*scope.registers, *scope.objects),
        started=format_time(started),
        ended=format_time(clock()),
        elapsed_ms=int((time.monotonic() - begun) * 1000),
        warrant_delay=warrant_delay,
        registers=tuple(outcomes),
        fetched=tuple(sorted((s, n) for s, n in fetcher.bytes_fetched.items() if n)),
        packs=fetcher.packs_fetched,
        faults=tuple((fault.seat, fault.what) for fault in fetcher.faults),
        findings=findings or Findings(),
    )


def _empty_targets(parts: Sequence[Part], target_for: TargetFor, done: _Done) -> dict[str, Target]:
    """Where each goes; all are looked at before the first is written to."""
    targets = {part.name: target_for(part.register, part.source) for part in parts}
    for part in parts:
        if not done.has(part.name) and not done.began(part.name):
            targets[part.name].check_empty(part.alone)
    return targets


@dataclass(slots=True)
class _Run:
    """What every register needs to be restored."""

    supply: ReconstructSupply
    scope: Scope
    done: _Done
    service: Path
    progress: ReconstructProgress
    targets: Mapping[str, Target]

    def register(self, register: Register) -> RegisterOutcome:
        """Restore and compare one; errors name it."""
        self.progress.register_started(register.id, register.title)
        try:
            parts = [self._part(part) for part in self.scope.parts(register)]
            begun = time.monotonic()
            # A single table is looked at, not put into service.
            beside = () if self.scope.objects else self._service(register)
            beside_ms = _ms(begun)
        except ExclaveError as error:
            error.message = f"register {register.id}: {error.message}"
            error.args = (error.message,)
            raise
        outcome = register_outcome(register, parts, beside, beside_ms=beside_ms)
        self.progress.register_ended(outcome)
        return outcome

    def _part(self, part: Part) -> SourceOutcome:
        register, target = part.alone, self.targets[part.name]

        def restored(what: str, units: int, size: int) -> None:
            self.progress.restored(register.id, what, units, size)

        def compared(what: str, units: int, size: int) -> None:
            self.progress.compared(register.id, what, units, size)

        begun = time.monotonic()
        try:
            occupied = _restore(part, target, self.supply, restored, done=self.done)
            loaded = time.monotonic()
            result = _compare(part, target, self.supply, compared, occupied=occupied)
        except ExclaveError as error:
            error.message = f"{part.label}{error.message}"
            error.args = (error.message,)
            raise
        self.done.mark(part.name, finished=True)
        return SourceOutcome(
            name=part.source.name,
            kind=part.source.kind,
            label=part.label,
            compared=result,
            restore_ms=int((loaded - begun) * 1000),
            compare_ms=_ms(loaded),
        )

    def _service(self, register: Register) -> tuple[Compared, ...]:
        return (restore_service(register, self.supply, self.service),)


def _ms(since: float) -> int:
    return int((time.monotonic() - since) * 1000)


def _restore(
    part: Part,
    target: Target,
    supply: ArchiveSupply,
    progress: Progress,
    *,
    done: _Done,
) -> TargetOccupied | None:
    """Restore unless that was done; returns why not when an earlier run may have finished it."""
    if done.has(part.name):
        return None
    began = done.began(part.name)
    done.mark(part.name, finished=False)
    try:
        target.restore(part.alone, supply, progress, only=part.objects)
    except TargetOccupied as error:
        if began:
            return error
        raise
    done.mark(part.name, finished=True)
    return None


def _compare(
    part: Part,
    target: Target,
    supply: ArchiveSupply,
    progress: Progress,
    *,
    occupied: TargetOccupied | None,
) -> Compared:
    """Compare; what occupies a target must be the register itself, or that is the error."""
    try:
        result = target.compare(part.alone, supply, progress, only=part.objects)
    except TargetError as error:
        raise (occupied or error) from error
    if occupied is not None and result.differences:
        raise occupied
    return result


class _Done:
    """Which parts an earlier run of the same reconstruction began and finished."""

    def __init__(self, file: Path, deposit: str, scope: Scope) -> None:
        self._file = file
        self._key = [deposit, *scope.objects]
        self._parts: dict[str, bool] = {}
        if file.exists():
            value = json.loads(file.read_text())
            if value.get("key") == self._key:
                self._parts = dict(value["parts"])

    def has(self, part: str) -> bool:
        """Whether its restore was finished."""
        return self._parts.get(part, False)

    def began(self, part: str) -> bool:
        """Whether its restore was begun."""
        return part in self._parts

    def mark(self, part: str, *, finished: bool) -> None:
        """Note it durably."""
        self._parts[part] = finished
        state: Mapping[str, object] = {"key": self._key, "parts": self._parts}
        replace_file(self._file, [json.dumps(state).encode()], mode=0o600)
