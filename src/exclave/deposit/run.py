"""One deposit from beginning to end.

1. Late seats are caught up and a record that was made but not lodged is sent again.
2. Registers are captured; packs are sealed, reopened, dispersed, sent, journalled.
3. The manifest follows in packs of its own.
4. The record makes it a deposit; the catalogue remembers it.
5. Where that was asked for, it is proven from the packs as sent, before its secret is forgotten.

Killed at any point, the next run adopts the packs that are safe and seals the rest again
under a new deposit secret.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave import __version__
from exclave.archive.manifest import Manifest, manifest_to_bytes
from exclave.archive.reference import Reference
from exclave.clock import format_time
from exclave.deposit.capture import (
    CapturedRegister,
    RegisterTask,
    capture_register,
    store_bytes,
)
from exclave.deposit.catalogue import CatalogueEntry
from exclave.deposit.catching_up import catch_up
from exclave.deposit.depositor import DepositorParty
from exclave.deposit.dispatch import Dispatcher
from exclave.deposit.left_out import packs_of
from exclave.deposit.lodging import (
    Lodged,
    build_record,
    lodge,
    require_lodged,
    sign_record,
)
from exclave.deposit.memory import PackMemory
from exclave.deposit.outline import outline_of
from exclave.deposit.outlines import KEPT, seal_outline
from exclave.deposit.packing import Packer, PackTable
from exclave.deposit.sealing import PackSealer, SealedPack
from exclave.deposit.stages import SealingStage
from exclave.deposit.streams import DepositSink, Keeping, Tally
from exclave.deposit.workplace import Workplace
from exclave.ids import DepositId, PackRoot, Seat
from exclave.journal.store import RecordRow
from exclave.sealing.pack import PackKind
from exclave.source.interface import Unread
from exclave.values import dataclass, field, replace

if TYPE_CHECKING:
    from exclave.deposit.kept import Kept
    from exclave.proof.values import ProofFindings

__all__ = ["DepositOutcome", "Workplace", "catch_up", "deposit"]

_KEEP: Final = 1
"""Pieces of memory to fill that may wait: a pack is filled while one before it is sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositOutcome:
    """A lodged deposit."""

    entry: CatalogueEntry
    lodged: tuple[Seat, ...]
    late: Mapping[Seat, str]  # seats that do not hold it yet, with the reason
    unread: Mapping[str, Unread] = field(default_factory=dict)  # by register: what was not read
    proof: ProofFindings | None = None  # where it was asked for
    certificate: Path | None = None  # of the proof, where it was kept
    attested: tuple[Seat, ...] = ()  # seats that logged its hash
    unattested: Mapping[Seat, str] = field(default_factory=dict)  # and those that did not, why

    @property
    def partial(self) -> bool:
        """Whether some seat does not hold it yet."""
        return bool(self.late)


def deposit(
    tasks: Sequence[RegisterTask],
    *,
    party: DepositorParty,
    place: Workplace,
    plan_text: bytes,
    declared: Collection[str] = (),
) -> DepositOutcome:
    """Capture the registers and lodge them; raises when fewer than h states hold the deposit.

    `declared` are all registers of the plan: what those hold that are left out stays shared.
    """
    place.progress.phase("catch up")
    catch_up(party, place)
    left_out = frozenset(declared) - {task.plan.id for task in tasks}
    attempt = _Attempt(party, place, left_out)
    try:
        return attempt.run(tasks, plan_text)
    finally:
        attempt.close()


class _Attempt:
    """One attempt at a deposit: the stages joined, and what they count."""

    def __init__(self, party: DepositorParty, place: Workplace, left_out: frozenset[str]) -> None:
        self._party = party
        self._place = place
        self._left_out = left_out
        self._deposit = DepositId(place.random(16))
        self._begun = time.monotonic()
        self._manifest_bytes = 0
        self._tables = {kind: PackTable() for kind in PackKind}
        self._kept = _keep_for(place)
        memory = PackMemory(keep=_KEEP)
        self._sealer = PackSealer(
            mission=party.mission,
            deposit=self._deposit,
            epoch=party.epoch,
            recovery=party.recovery,
            k=party.charter.dispersal.k,
            seats=party.seats,
            dedup_key=party.dedup_key,
            memory=memory,
            random=place.random,
        )
        self._dispatcher = Dispatcher(
            loop=place.loop,
            lines=place.lines,
            h=party.charter.dispersal.h,
            spool=place.spool,
            journal=place.journal,
            on_safe=self._on_safe,
            remember=place.catalogue.add_pack,
            seat_keys={seat.seat: seat.seat_key.xwing for seat in party.charter.active_seats},
            keep=None if self._kept is None else self._kept.keep_pack,
        )
        self._stage = SealingStage(self._sealer, self._dispatcher)
        self._packers = {
            kind: Packer(
                kind,
                table=self._tables[kind],
                hand_on=self._stage.take,
                memory=memory,
                journal=place.journal if kind is PackKind.DATA else None,
            )
            for kind in PackKind
        }
        self._sink = DepositSink(
            data=self._packers[PackKind.DATA],
            manifest=self._packers[PackKind.MANIFEST],
            dedup_key=party.dedup_key,
            scratch=place.scratch,
            remembering=place.remembering,
            keeping=None
            if self._kept is None
            else Keeping(is_older=self._tables[PackKind.DATA].is_older, keep=self._kept.keep_chunk),
        )

    def run(self, tasks: Sequence[RegisterTask], plan_text: bytes) -> DepositOutcome:
        """Capture, seal, lodge."""
        place = self._place
        started = format_time(place.clock())
        place.progress.phase("capture")
        captured = [self._capture(task) for task in tasks]
        place.progress.phase("manifest")
        root = self._store_manifest(captured, plan_text)
        self._stage.drain()
        place.progress.phase("lodge")
        outcome = self._lodge(captured, root, started)
        return replace(outcome, proof=self._prove(outcome.entry, tasks))

    def _capture(self, task: RegisterTask) -> CapturedRegister:
        """One register, with what it added. All its streams are finished when its capture ends."""
        before, begun = replace(self._sink.tally), time.monotonic()
        captured = capture_register(
            task,
            self._sink.of_register(task.plan.id),
            clock=self._place.clock,
            progress=self._place.progress,
        )
        tally = self._sink.tally
        summary = replace(
            captured.summary,
            new=tally.new - before.new,
            stored=tally.stored - before.stored,
            capture_ms=_ms(begun),
        )
        return replace(captured, summary=summary)

    def close(self) -> None:
        """End the threads and forget the deposit secret, whatever happened."""
        self._sink.close()
        self._stage.close()
        self._dispatcher.wait()
        self._sealer.wipe()
        if self._kept is not None:
            self._kept.close()
        if self._place.remembering is not None:
            self._place.remembering.discard()

    def _store_manifest(self, captured: Sequence[CapturedRegister], plan_text: bytes) -> Reference:
        plan = store_bytes(self._sink, plan_text)
        # The last data pack must be sealed before the manifest can name its root.
        self._packers[PackKind.DATA].close()
        self._stage.drain()
        manifest = Manifest(
            mission=self._party.mission,
            deposit=self._deposit,
            epoch=self._party.epoch,
            started=captured[0].register.started,
            ended=self._place.clock().replace(microsecond=0),
            software=f"exclave/{__version__}",
            plan=plan,
            packs=self._tables[PackKind.DATA].roots(),
            registers=tuple(item.register for item in captured),
        )
        reference = self._sink.store_root(manifest_to_bytes(manifest))
        self._packers[PackKind.MANIFEST].close()
        return reference

    def _lodge(
        self, captured: Sequence[CapturedRegister], root: Reference, started: str
    ) -> DepositOutcome:
        party, place = self._party, self._place
        manifest_packs = self._tables[PackKind.MANIFEST].roots()
        roots = {*manifest_packs, *self._tables[PackKind.DATA].roots()}
        record = build_record(
            party,
            place.journal,
            deposit=self._deposit,
            live=roots,
            manifest_packs=manifest_packs,
            now=place.clock(),
        )
        signed = sign_record(record, party)
        row = RecordRow(
            sequence=record.sequence,
            statement=signed.statement_hash,
            deposit=self._deposit,
            envelope=signed.to_bytes(),
            lodged=frozenset(),
        )
        del record, signed
        entry = self._entry(captured, row, root, manifest_packs, started)
        place.catalogue.add(entry, row.envelope, self._outline(captured))
        place.catalogue.forget_outlines(KEPT)
        others = packs_of(place.catalogue, self._left_out, epoch=party.epoch)
        place.journal.store_record(row, roots, others=others)
        reachable = [
            line for seat, line in place.lines.items() if seat not in self._dispatcher.late
        ]
        outcome: Lodged = place.loop.run(lodge(row, reachable, place.journal, place.spool))
        late = {**self._dispatcher.late, **outcome.reasons}
        require_lodged(outcome.receipts, party, late)
        if place.remembering is not None:
            place.remembering.keep()
        return DepositOutcome(
            entry=entry,
            lodged=tuple(sorted(outcome.receipts)),
            late=late,
            unread={c.register.id: c.unread for c in captured if c.unread is not None},
        )

    def _outline(self, captured: Sequence[CapturedRegister]) -> bytes:
        """What later deposits are told apart from this one by."""
        return seal_outline(
            [outline_of(item.register, self._sink.outlines) for item in captured],
            mission=self._party.mission,
            deposit=self._deposit,
            dedup_key=self._party.dedup_key,
            random=self._place.random,
        )

    def _prove(self, entry: CatalogueEntry, tasks: Sequence[RegisterTask]) -> ProofFindings | None:
        """Lodged already: what comes of this changes nothing about the deposit."""
        place = self._place
        if place.prover is None or self._kept is None:
            return None
        from exclave.proof.serving import ToProve

        place.progress.phase("prove")
        what = ToProve(
            record=place.journal.record(entry.sequence).envelope,
            secret_id=self._sealer.secret_id,
            secret=self._sealer.secret,
            dedup_key=self._party.dedup_key,
            registers=tuple(item.id for item in entry.registers),
            wants_server=any(
                source.kind == "postgresql" for task in tasks for source in task.plan.sources
            ),
            assertions={task.plan.id: task.plan.assertions for task in tasks},
        )

        def begun(register: str) -> None:
            place.progress.phase(f"prove {register}")

        return place.prover.prove(what, self._kept, begun)

    def _entry(
        self,
        captured: Sequence[CapturedRegister],
        row: RecordRow,
        root: Reference,
        manifest_packs: tuple[PackRoot, ...],
        started: str,
    ) -> CatalogueEntry:
        tally: Tally = self._sink.tally
        return CatalogueEntry(
            deposit=self._deposit,
            sequence=row.sequence,
            statement=row.statement,
            started=started,
            ended=format_time(self._place.clock()),
            registers=tuple(item.summary for item in captured),
            read=tally.read,
            new=tally.new,
            stored=tally.stored,
            sent=tuple(sorted(self._dispatcher.bytes_sent.items())),
            elapsed_ms=_ms(self._begun),
            manifest_root=root,
            manifest_packs=manifest_packs,
            manifest_bytes=self._manifest_bytes,
        )

    def _on_safe(self, pack: SealedPack, number: int) -> None:
        self._tables[pack.full.kind].set_root(pack.full.number, pack.root)
        self._packers[pack.full.kind].forget_in_flight(pack.full, number)
        if pack.full.kind is PackKind.MANIFEST:
            self._manifest_bytes += pack.length
        self._sealer.sent(pack)


def _ms(since: float) -> int:
    return int((time.monotonic() - since) * 1000)


def _keep_for(place: Workplace) -> Kept | None:
    """Where a proof's material goes; a deposit that is not proven is spared the imports."""
    if place.prover is None:
        return None
    from exclave.deposit.kept import Kept

    return Kept(place.scratch, limit=place.prover.limit)
