"""Make packs a deposit: build the record, send it, catch up late seats, keep receipts.

Rules
- The record is durable in the journal before the first seat sees it; what was sent is sent
  again byte for byte, so a crash never forks the chain.
- A deposit is lodged when seats in at least h distinct states say so with a receipt that
  verifies; it is *partial* until all seats do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Final

from exclave.authority.envelope import Envelope, Kind
from exclave.authority.record import (
    FULL_EVERY,
    DepositRecord,
    PackKindName,
    RecordPack,
    SealedSecret,
    record_payload,
)
from exclave.authority.record_chain import set_root
from exclave.deposit.depositor import DepositorParty
from exclave.deposit.dispatch import TooFewSeats
from exclave.deposit.seat_line import SeatLine
from exclave.deposit.spool import Spool
from exclave.errors import ExclaveError, IntegrityError, VaultError
from exclave.ids import DepositId, PackRoot, Seat, ShardRoot, StatementHash
from exclave.journal.store import Journal, PackRow, RecordRow
from exclave.ledger.receipt import parse_receipt, verify_receipt
from exclave.plain_words import of_seat
from exclave.sealing.pack import PackKind
from exclave.signer.interface import sign_envelope
from exclave.values import dataclass
from exclave.vault.interface import State, StatementState, VaultRefused

__all__ = [
    "CaughtUp",
    "Lodged",
    "build_record",
    "catch_up_seat",
    "lodge",
    "require_lodged",
    "unknown_at",
]

_PASSING: Final = frozenset({"rate", "unavailable", "no-space"})
"""Causes of a refusal that say nothing about the record: it is sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lodged:
    """What the seats said to a record."""

    receipts: Mapping[Seat, str]
    reasons: Mapping[Seat, str]  # of seats that have not lodged it


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """How a seat stands to the newest record after everything was sent that could be."""

    reason: str | None  # why it is late; None: it has lodged the record
    pending: bool = False  # it has the record but cannot lodge it
    refused: str | None = None  # it refused the record for good
    unshared: int = 0  # packs that are no longer shared, since it lost their shards


def build_record(
    party: DepositorParty,
    journal: Journal,
    *,
    deposit: DepositId,
    live: Set[PackRoot],
    manifest_packs: Sequence[PackRoot],
    now: datetime,
) -> DepositRecord:
    """The next record of this depositor: the change of the live set since the last one."""
    before = journal.newest_record()
    sequence = 1 if before is None else before.sequence + 1
    old = journal.live_roots()
    # Nothing live: a new epoch, or a chain that goes on with a new journal.
    full = sequence % FULL_EVERY == 1 or not old or journal.full_wanted
    old_secrets = journal.live_secrets()
    if full:
        old, old_secrets = frozenset(), frozenset()
    secrets = journal.secrets_of(live)
    return DepositRecord(
        mission=party.mission,
        charter=party.charter.statement_hash,
        depositor=party.id,
        deposit=deposit,
        epoch=party.epoch,
        sequence=sequence,
        previous=journal.begun_after if before is None else StatementHash(before.statement),
        full=full,
        secrets_added=tuple(
            SealedSecret(deposit=made_for, sealed=sealed)
            for made_for, sealed in map(journal.sealed_secret, sorted(secrets - old_secrets))
        ),
        secrets_dropped=tuple(sorted(old_secrets - secrets)),
        packs_added=tuple(map(_record_pack, journal.packs_by_root(sorted(live - old)))),
        packs_dropped=tuple(sorted(old - live)),
        set_root=set_root(live),
        manifest_packs=tuple(manifest_packs),
        claimed_time=now.replace(microsecond=0),
    )


def sign_record(record: DepositRecord, party: DepositorParty) -> Envelope:
    """The record's envelope, signed by both keys of the depositor."""
    return sign_envelope(Envelope(payload=record_payload(record), kind=Kind.RECORD), party.signers)


async def lodge(
    row: RecordRow, lines: Iterable[SeatLine], journal: Journal, spool: Spool
) -> Lodged:
    """Send a record to all given seats at once; a seat's refusal is its reason."""
    lines = list(lines)
    answers = await asyncio.gather(*(_lodge_at(row, line, journal, spool) for line in lines))
    receipts: dict[Seat, str] = {}
    reasons: dict[Seat, str] = {}
    for line, answer in zip(lines, answers, strict=True):
        if answer.receipt is None:
            reasons[line.seat] = answer.reason
        else:
            receipts[line.seat] = answer.receipt
            await asyncio.to_thread(journal.mark_lodged, row.sequence, line.seat, answer.receipt)
    return Lodged(receipts=receipts, reasons=reasons)


def require_lodged(
    lodged: Iterable[Seat], party: DepositorParty, reasons: Mapping[Seat, str]
) -> None:
    """Raise `TooFewSeats` unless seats in h distinct states lodged the record."""
    states = {party.states[seat] for seat in lodged if seat in party.states}
    h = party.charter.dispersal.h
    if len(states) < h:
        why = "; ".join(of_seat(seat, reason) for seat, reason in sorted(reasons.items()))
        raise TooFewSeats(
            f"deposit: expected states in which it is lodged: {h}, got {len(states)} ({why})",
            hint="the next run sends the record again, or makes it anew if no seat has it",
        )


async def catch_up_seat(line: SeatLine, journal: Journal, spool: Spool) -> CaughtUp:
    """Send a seat what it lacks: spooled shards, then records in order.

    An older record that cannot be completed any more (its spool was lost) keeps nothing back.
    """
    result = CaughtUp(reason=None)
    try:
        reason = await _deliver_spooled(line, journal, spool)
        result = CaughtUp(reason=reason)
        unshared = 0
        for sequence, lodged in (await asyncio.to_thread(journal.lodgings)).items():
            result = CaughtUp(reason=None, unshared=unshared)
            if line.seat not in lodged:
                row = await asyncio.to_thread(journal.record, sequence)
                answer = await _lodge_at(row, line, journal, spool)
                unshared += answer.unshared
                result = CaughtUp(
                    reason=None if answer.receipt is not None else answer.reason,
                    pending=answer.pending,
                    refused=answer.refused,
                    unshared=unshared,
                )
                if answer.receipt is not None:
                    await asyncio.to_thread(
                        journal.mark_lodged, row.sequence, line.seat, answer.receipt
                    )
    except VaultError as error:
        return CaughtUp(reason=error.message)
    if result.pending:
        # What is not lodged there cannot be changed by the next record, only replaced.
        await asyncio.to_thread(journal.want_full)
    return result


async def unknown_at(row: RecordRow, lines: Iterable[SeatLine]) -> frozenset[Seat] | None:
    """Seats that say they do not know a record; None if one knows it. The silent do not count."""
    lines = list(lines)
    answers = await asyncio.gather(*(_knows(row, line) for line in lines), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, ExclaveError):
            raise answer
    if any(answer is True for answer in answers):
        return None
    return frozenset(
        line.seat for line, known in zip(lines, answers, strict=True) if known is False
    )


async def _knows(row: RecordRow, line: SeatLine) -> bool | None:
    """Whether a seat knows a record; None when it refuses to say."""
    try:
        await line.record.statement(StatementHash(row.statement))
    except VaultRefused as error:
        return False if error.cause == "not-found" else None
    return True


async def _deliver_spooled(line: SeatLine, journal: Journal, spool: Spool) -> str | None:
    """Send all spooled shards of a seat, known to the journal or not."""
    reason = None
    late = [root for _, root in await asyncio.to_thread(journal.late_shards, line.seat)]
    others = {root for _, root in await asyncio.to_thread(spool.shards, line.seat)} - set(late)
    for root in [*late, *sorted(others)]:
        sealed = await asyncio.to_thread(spool.get, line.seat, root)
        if sealed is None:
            reason = f"shard {root.hex()[:16]} is neither there nor in the spool"
            continue
        try:
            await line.store.put_sealed_shard(root, [sealed])
        except VaultRefused as error:
            if root not in others:
                raise
            reason = error.message  # perhaps of a pack that never became safe
            continue
        await asyncio.to_thread(journal.mark_held, line.seat, root)
        await asyncio.to_thread(spool.delivered, line.seat, root)
    return reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one seat said to a record."""

    receipt: str | None = None
    reason: str = ""
    pending: bool = False
    refused: str | None = None  # for good: the same bytes will never be taken
    unshared: int = 0


async def _lodge_at(row: RecordRow, line: SeatLine, journal: Journal, spool: Spool) -> _Answer:
    try:
        # Asked first: a seat that is not there now was not sent the record either.
        if await _knows(row, line) is None:
            return _Answer(reason="does not say whether it has the record")
        await asyncio.to_thread(journal.note_asked, row.sequence, line.seat)
        try:
            answer = await line.record.submit(row.envelope)
        except VaultRefused as error:
            if error.cause in _PASSING:
                raise
            await asyncio.to_thread(journal.note_refused, row.sequence, line.seat)
            return _Answer(reason=error.message, refused=error.message)
        unshared = 0
        if answer.state is State.PENDING:
            answer, unshared = await _complete(row, line, journal, spool)
        if answer.state is State.LODGED:
            return _Answer(receipt=await _receipt(row, line))
    except (VaultError, IntegrityError) as error:
        return _Answer(reason=error.message)
    why = f"; {unshared} packs must be sealed again" if unshared else ""
    return _Answer(
        reason=f"record is {answer.state.value} there{why}",
        pending=answer.state is State.PENDING,
        unshared=unshared,
    )


async def _complete(
    row: RecordRow, line: SeatLine, journal: Journal, spool: Spool
) -> tuple[StatementState, int]:
    """Give a seat the shards that it lacks; of those that lie nowhere, share the packs no more."""
    statement = StatementHash(row.statement)
    lost: list[ShardRoot] = []
    for root in await line.store.missing(statement):
        sealed = await asyncio.to_thread(spool.get, line.seat, root)
        if sealed is None:
            lost.append(root)
            continue
        await line.store.put_sealed_shard(root, [sealed])
        await asyncio.to_thread(journal.mark_held, line.seat, root)
        await asyncio.to_thread(spool.delivered, line.seat, root)
    unshared = 0
    if lost:
        unshared = await asyncio.to_thread(journal.mark_lost, line.seat, lost)
    return await line.record.statement(statement), unshared


async def _receipt(row: RecordRow, line: SeatLine) -> str:
    name = hashlib.sha256(row.envelope).digest()
    receipt = await line.record.receipt("lodged", name)
    entry = verify_receipt(parse_receipt(receipt.encode()), line.log_verifier)
    if entry.hash != name:
        raise IntegrityError(f"receipt of seat {line.seat}: for another record")
    return receipt


def _record_pack(pack: PackRow) -> RecordPack:
    manifest = pack.kind == PackKind.MANIFEST
    return RecordPack(
        root=pack.root,
        length=pack.length,
        k=pack.k,
        secret=pack.secret,
        kind=PackKindName.MANIFEST if manifest else PackKindName.DATA,
        shards=pack.shards,
    )
