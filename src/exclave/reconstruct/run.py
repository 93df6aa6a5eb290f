"""Restore and compare the registers of one deposit.

Registers are taken in the manifest's order, each after those that it depends on. A register
whose comparison was finished by an earlier, interrupted run is not restored again but
compared again. One that was begun, but whose target is no longer known for unfinished, was restored
before the program could note it: it is compared, and an error unless it is as it was captured.
Expected values come from the sealed manifest alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from exclave import __version__
from exclave.archive.manifest import Manifest, Register
from exclave.authority.record import DepositRecord
from exclave.clock import Clock, format_time
from exclave.engine.durable import replace_file
from exclave.errors import ConfigurationError, ExclaveError, TargetError
from exclave.ids import StatementHash
from exclave.reconstruct.fetch import PackFetcher
from exclave.reconstruct.findings import Findings
from exclave.reconstruct.report import ReconstructionReport, RegisterOutcome
from exclave.reconstruct.service import restore_service
from exclave.reconstruct.supply import ReconstructSupply, read_manifest
from exclave.source.interface import ArchiveSupply, Compared, Progress, Target, TargetOccupied
from exclave.values import dataclass

__all__ = ["ReconstructProgress", "Scope", "reconstruct"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What to reconstruct; empty means everything."""

    registers: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()  # "database.schema.table" or paths, within one register

    def select(self, manifest: Manifest) -> tuple[Register, ...]:
        """The registers concerned, in the manifest's order."""
        known = [register.id for register in manifest.registers]
        unknown = sorted(set(self.registers) - set(known))
        if unknown:
            raise ConfigurationError(
                f"deposit: no register {', '.join(unknown)}", hint="it holds: " + ", ".join(known)
            )
        if self.objects and len(self.registers) != 1:
            raise ConfigurationError(
                "scope: single tables need the one register that they belong to",
                hint="name it with --register",
            )
        return tuple(r for r in manifest.registers if not self.registers or r.id in self.registers)


def reconstruct(
    record: DepositRecord,
    *,
    fetcher: PackFetcher,
    target_for: Callable[[Register], Target],
    scope: Scope,
    state: Path,
    service: Path,
    clock: Clock,
    progress: ReconstructProgress,
    warrant: StatementHash | None,
    warrant_delay: int,
    findings: Findings | None = None,
) -> ReconstructionReport:
    """Restore and compare.

    `state` is a folder (0700) that makes an interrupted run resumable; runbooks and artefacts go
    below `service`. `findings` of the survey go into the report.
    """
    started, begun = clock(), time.monotonic()
    with fetcher:
        manifest = read_manifest(
            fetcher, record.manifest_packs, mission=record.mission, deposit=record.deposit
        )
        registers = scope.select(manifest)
        supply = ReconstructSupply(
            fetcher=fetcher,
            packs=manifest.packs,
            manifest_packs=record.manifest_packs,
            scratch=state,
        )
        done = _Done(state / "restored.json", record.deposit.hex(), scope)
        targets = _empty_targets(registers, target_for, done)
        outcomes = [
            _one(
                register,
                target,
                supply=supply,
                scope=scope,
                done=done,
                service=service,
                progress=progress,
            )
            for register, target in zip(registers, targets, strict=True)
        ]
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


def _empty_targets(
    registers: Sequence[Register], target_for: Callable[[Register], Target], done: _Done
) -> list[Target]:
    """Where each goes; all are looked at before the first is written to."""
    targets = [target_for(register) for register in registers]
    for register, target in zip(registers, targets, strict=True):
        if not done.has(register.id) and not done.began(register.id):
            target.check_empty(register)
    return targets


def _one(
    register: Register,
    target: Target,
    *,
    supply: ReconstructSupply,
    scope: Scope,
    done: _Done,
    service: Path,
    progress: ReconstructProgress,
) -> RegisterOutcome:
    progress.register_started(register.id, register.title)

    def restored(what: str, units: int, size: int) -> None:
        progress.restored(register.id, what, units, size)

    def compared(what: str, units: int, size: int) -> None:
        progress.compared(register.id, what, units, size)

    try:
        begun = time.monotonic()
        occupied = _restore(register, target, supply, restored, scope=scope, done=done)
        loaded = time.monotonic()
        result = _compare(register, target, supply, compared, scope=scope, occupied=occupied)
        done.mark(register.id, finished=True)
        # A single table is looked at, not put into service.
        beside = () if scope.objects else (restore_service(register, supply, service),)
        ended = time.monotonic()
    except ExclaveError as error:
        error.message = f"register {register.id}: {error.message}"
        error.args = (error.message,)
        raise
    outcome = RegisterOutcome(
        id=register.id,
        title=register.title,
        rows=result.rows,
        files=result.files,
        objects=result.objects,
        differences=(*result.differences, *(d for part in beside for d in part.differences)),
        not_compared=(*result.not_compared, *(n for part in beside for n in part.not_compared)),
        notes=register.notes,
        restore_ms=int((loaded - begun) * 1000),
        compare_ms=int((ended - loaded) * 1000),
        rpo=register.rpo,
        rto=register.rto,
        captured=format_time(register.started),
    )
    progress.register_ended(outcome)
    return outcome


def _restore(
    register: Register,
    target: Target,
    supply: ArchiveSupply,
    progress: Progress,
    *,
    scope: Scope,
    done: _Done,
) -> TargetOccupied | None:
    """Restore unless that was done; returns why not when an earlier run may have finished it."""
    if done.has(register.id):
        return None
    began = done.began(register.id)
    done.mark(register.id, finished=False)
    try:
        target.restore(register, supply, progress, only=scope.objects)
    except TargetOccupied as error:
        if began:
            return error
        raise
    done.mark(register.id, finished=True)
    return None


def _compare(
    register: Register,
    target: Target,
    supply: ArchiveSupply,
    progress: Progress,
    *,
    scope: Scope,
    occupied: TargetOccupied | None,
) -> Compared:
    """Compare; what occupies a target must be the register itself, or that is the error."""
    try:
        result = target.compare(register, supply, progress, only=scope.objects)
    except TargetError as error:
        raise (occupied or error) from error
    if occupied is not None and result.differences:
        raise occupied
    return result


class _Done:
    """Which registers an earlier run of the same reconstruction began and finished."""

    def __init__(self, file: Path, deposit: str, scope: Scope) -> None:
        self._file = file
        self._key = [deposit, *scope.objects]
        self._registers: dict[str, bool] = {}
        if file.exists():
            value = json.loads(file.read_text())
            if value.get("key") == self._key:
                self._registers = dict(value["registers"])

    def has(self, register: str) -> bool:
        """Whether its restore was finished."""
        return self._registers.get(register, False)

    def began(self, register: str) -> bool:
        """Whether its restore was begun."""
        return register in self._registers

    def mark(self, register: str, *, finished: bool) -> None:
        """Note it durably."""
        self._registers[register] = finished
        state: Mapping[str, object] = {"key": self._key, "registers": self._registers}
        replace_file(self._file, [json.dumps(state).encode()], mode=0o600)
