"""Proves one deposit: in the proving process, from what the depositing one kept.

1. Every pack of this deposit is opened, every chunk decoded and compared with its id.
2. The manifest is read from these packs.
3. Each register is restored into quarantine, compared with the manifest, and cleared away.

Rules
- What goes wrong with one register is its finding and leaves the others alone.
- A register with a chunk that nobody has is not restored: what is missing is counted.
- Adapters are imported when a register needs them: starting takes most of a small proof.
- A register for which the quarantine has no place is read from its first chunk to its last, and
  is `decoded`, not proven.
"""

from __future__ import annotations

import errno
import hmac
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from exclave.archive.manifest import Register, register_streams
from exclave.archive.pack import chunk_id, make_decompressor, parse_directory, read_chunk
from exclave.archive.reference import StreamRef
from exclave.authority.envelope import Kind as StatementKind
from exclave.authority.envelope import parse_envelope
from exclave.authority.record import DepositRecord, PackKindName, parse_record
from exclave.clock import format_time
from exclave.dispersal.placement import seats_kept
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import PackRoot
from exclave.lines import LoopThread
from exclave.proof.places import Places, has_places, open_places
from exclave.proof.sent import OlderChunks, SentShards
from exclave.proof.task import Task
from exclave.proof.values import RegisterFindings, Share, Verdict
from exclave.proof.wire import Channel
from exclave.quarantine.folder import QuarantineFull, require_room
from exclave.reconstruct.fetch import PackFetcher, PackPlan
from exclave.reconstruct.report import SourceOutcome, register_outcome
from exclave.reconstruct.scope import Part, Scope
from exclave.reconstruct.service import restore_service
from exclave.reconstruct.supply import ReconstructSupply, read_manifest
from exclave.sealing.pack import PackKind
from exclave.source.interface import Difference
from exclave.values import replace

__all__ = ["ChunkDiffers", "DepositProver"]

_KINDS: Final = {PackKindName.DATA: PackKind.DATA, PackKindName.MANIFEST: PackKind.MANIFEST}
_AT_ONCE: Final = 4096
"""Places asked about in one question."""
_NAMED: Final = 20
"""Differences that are named; the rest are counted."""
_ROOM: Final = "make room, or name another folder under [quarantine]"


class ChunkDiffers(IntegrityError):
    """A chunk decodes to other content than its id says."""


class DepositProver:
    """One proof; a context that lets go of packs and threads."""

    def __init__(
        self, task: Task, *, secret: bytes, dedup_key: bytes, channel: Channel, loop: LoopThread
    ) -> None:
        envelope = parse_envelope(task.record, kinds=[StatementKind.RECORD])
        self._record = parse_record(envelope)
        self._folder = task.folder
        self._server = task.server
        self._assertions = task.assertions
        self._dedup_key = dedup_key
        self._plans = _plans(self._record, task.secret)
        seats = {seat for plan in self._plans.values() for seat, _ in plan.shards}
        self._older = OlderChunks(channel, own=self._plans.keys(), dedup_key=dedup_key)
        self._fetcher = PackFetcher(
            loop=loop,
            plans=self._plans,
            stores={seat: SentShards(seat, channel) for seat in sorted(seats)},
            secrets={task.secret: secret},
        )
        self.packs = self.pack_bytes = 0
        self.faults: list[str] = []

    def prove(self, begun: Callable[[str], None]) -> Iterator[RegisterFindings]:
        """Check the packs, then each register in the manifest's order."""
        with self._fetcher:
            self._check_packs()
            manifest = read_manifest(
                self._fetcher,
                self._record.manifest_packs,
                mission=self._record.mission,
                deposit=self._record.deposit,
            )
            scratch = self._folder / "scratch"
            scratch.mkdir(mode=0o700)
            supply = ReconstructSupply(
                fetcher=self._fetcher,
                packs=manifest.packs,
                manifest_packs=self._record.manifest_packs,
                scratch=scratch,
                elsewhere=self._older,
            )
            for register in manifest.registers:
                begun(register.id)
                yield self._register(register, supply)

    def _check_packs(self) -> None:
        decompressor = make_decompressor()
        roots = list(self._plans)
        for number, root in enumerate(roots):
            try:
                plaintext = self._fetcher.plaintext(root)
                if number + 1 < len(roots):
                    self._fetcher.prefetch(roots[number + 1])
                for entry in parse_directory(plaintext, kind=self._plans[root].kind):
                    plain = read_chunk(plaintext, entry, decompressor)
                    if not hmac.compare_digest(chunk_id(self._dedup_key, plain), entry.chunk_id):
                        raise ChunkDiffers(
                            f"pack {root.hex()[:16]}: the chunk at {entry.offset} decodes to other "
                            "content than its id says"
                        )
            except ExclaveError as error:
                self.faults.append(error.message)
            self.packs += 1
            self.pack_bytes += self._plans[root].length

    def _register(self, register: Register, supply: ReconstructSupply) -> RegisterFindings:
        started = time.monotonic()
        findings = RegisterFindings(
            id=register.id,
            title=register.title,
            captured=format_time(register.started),
            verdict=Verdict.FAILED,
        )
        try:
            streams = list(register_streams(register))
            findings = self._shares(findings, streams, supply)
            if findings.lacking.chunks:
                problem = (
                    f"{findings.lacking.chunks} chunks of older packs, {findings.lacking.bytes} "
                    "bytes, are no longer in the source as they were captured"
                )
                findings = replace(findings, problem=problem)
            else:
                findings = self._restored(findings, register, streams, supply)
        except ExclaveError as error:
            findings = replace(findings, verdict=Verdict.FAILED, problem=error.message)
        except OSError as error:
            findings = replace(findings, verdict=Verdict.FAILED, problem=_of_the_system(error))
        return replace(findings, seconds=round(time.monotonic() - started, 3))

    def _shares(
        self, findings: RegisterFindings, streams: Sequence[StreamRef], supply: ReconstructSupply
    ) -> RegisterFindings:
        sums = [Share(), Share(), Share()]  # of this deposit's packs, of the source, of nobody
        references = (item for stream in streams for item in supply.references(stream))
        while some := list(islice(references, _AT_ONCE)):
            older = [item for item in some if supply.is_elsewhere(item)]
            there = dict(zip(older, self._older.hold(older), strict=True)) if older else {}
            for item in some:
                at = 0 if item not in there else 1 if there[item] else 2
                sums[at] = sums[at].with_chunk(item.plain)
        packs, source, lacking = sums
        return replace(findings, from_packs=packs, from_source=source, lacking=lacking)

    def _restored(
        self,
        findings: RegisterFindings,
        register: Register,
        streams: Sequence[StreamRef],
        supply: ReconstructSupply,
    ) -> RegisterFindings:
        if not has_places(register, self._server):
            _read_all(streams, supply)
            return replace(
                findings,
                verdict=Verdict.DECODED,
                problem="decoded chunk by chunk, but not restored: the quarantine has no server",
            )
        with open_places(register, self._folder, self._server) as places:
            require_room(self._folder, self._needed(register, streams), hint=_ROOM)
            findings = _compared(findings, register, places, supply)
            return self._asserted(findings, register, places)

    def _needed(self, register: Register, streams: Sequence[StreamRef]) -> int:
        """Bytes in the quarantine's folder; a database takes about twice its rows' text."""
        size = sum(stream.length for stream in streams)
        if self._server is None or "postgresql" not in register.kind:
            return size
        return 2 * size if self._server.own else 0

    def _asserted(
        self, findings: RegisterFindings, register: Register, places: Places
    ) -> RegisterFindings:
        stated = self._assertions.get(register.id, ())
        if not stated:
            return findings
        from exclave.reconstruct.assertions import run_assertions

        outcomes = run_assertions(stated, places.restored(), quarantine=places.folder)
        held = all(outcome.held for outcome in outcomes)
        verdict = findings.verdict if held else Verdict.FAILED
        return replace(findings, verdict=verdict, assertions=outcomes)


def _compared(
    findings: RegisterFindings, register: Register, places: Places, supply: ReconstructSupply
) -> RegisterFindings:
    sources = [_source(part, places, supply) for part in Scope().parts(register)]
    beside = restore_service(register, supply, places.folder / "service")
    outcome = register_outcome(register, sources, (beside,), beside_ms=0)
    differences = tuple(map(_words, outcome.differences[:_NAMED]))
    return replace(
        findings,
        verdict=Verdict.FAILED if differences else Verdict.PROVEN,
        rows=outcome.rows,
        files=outcome.files,
        objects=outcome.objects,
        differing=len(outcome.differences),
        differences=differences,
        not_compared=outcome.not_compared,
    )


def _source(part: Part, places: Places, supply: ReconstructSupply) -> SourceOutcome:
    target, begun = places.target(part.source), time.monotonic()
    target.check_empty(part.alone)
    target.restore(part.alone, supply, _silent)
    loaded = time.monotonic()
    return SourceOutcome(
        name=part.source.name,
        kind=part.source.kind,
        label=part.label,
        compared=target.compare(part.alone, supply, _silent),
        restore_ms=int((loaded - begun) * 1000),
        compare_ms=int((time.monotonic() - loaded) * 1000),
    )


def _plans(record: DepositRecord, secret: bytes) -> dict[PackRoot, PackPlan]:
    """The packs that this deposit's secret opens, by the signed record, with the shards kept."""
    return {
        pack.root: PackPlan(
            root=pack.root,
            length=pack.length,
            k=pack.k,
            secret=pack.secret,
            kind=_KINDS[pack.kind],
            epoch=record.epoch,
            mission=record.mission,
            shards=tuple(sorted(seats_kept(pack.root, pack.shards, pack.k))),
        )
        for pack in record.packs_added
        if pack.secret == secret
    }


def _read_all(streams: Iterable[StreamRef], supply: ReconstructSupply) -> None:
    for stream in streams:
        size = sum(map(len, supply.read_stream(stream)))
        if size != stream.length:
            raise IntegrityError(f"stream: expected {stream.length} bytes, got {size}")


def _words(item: Difference) -> str:
    values = f": expected {item.expected}, got {item.got}" if item.expected or item.got else ""
    keys = f" [{'; '.join(item.keys)}]" if item.keys else ""
    return f"{item.subject}: {item.what}{keys}{values}"


def _of_the_system(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return QuarantineFull(f"quarantine: expected room, got: {error.strerror}").message
    return f"quarantine: expected to be written, got: {error.strerror}"


def _silent(what: str, units: int, size: int) -> None:
    del what, units, size
