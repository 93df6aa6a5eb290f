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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exclave.authority.envelope import Envelope, envelope_for
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
from exclave.deposit.dispatch import SeatLine, TooFewSeats
from exclave.deposit.spool import Spool
from exclave.encoding import parse_canonical_json
from exclave.errors import IntegrityError, VaultError
from exclave.ids import DepositId, PackRoot, Seat, StatementHash
from exclave.journal.store import Journal, PackRow, RecordRow
from exclave.ledger.receipt import parse_receipt, verify_receipt
from exclave.sealing.pack import PackKind
from exclave.signer.interface import sign_envelope
from exclave.vault.interface import State

__all__ = ["Lodged", "build_record", "catch_up_seat", "lodge", "require_lodged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lodged:
    """What the seats said to a record."""

    receipts: Mapping[Seat, str]
    reasons: Mapping[Seat, str]  # of seats that have not lodged it


def build_record(
    party: DepositorParty,
    journal: Journal,
    *,
    deposit: DepositId,
    live: Sequence[PackRow],
    manifest_packs: Sequence[PackRoot],
    now: datetime,
) -> DepositRecord:
    """The next record of this depositor: the change of the live set since the last one."""
    before = journal.newest_record()
    sequence = 1 if before is None else before.sequence + 1
    old = journal.live_packs()
    # Nothing live: a new epoch, or a chain that goes on with a new journal.
    full = sequence % FULL_EVERY == 1 or not old
    old = [] if full else old
    old_roots = {pack.root for pack in old}
    roots = {pack.root for pack in live}
    added = sorted((p for p in live if p.root not in old_roots), key=lambda p: p.root)
    secrets, old_secrets = {p.secret for p in live}, {p.secret for p in old}
    return DepositRecord(
        mission=party.mission,
        charter=party.charter.statement_hash,
        depositor=party.id,
        deposit=deposit,
        epoch=party.epoch,
        sequence=sequence,
        previous=None if before is None else StatementHash(before.statement),
        full=full,
        secrets_added=tuple(
            SealedSecret(deposit=made_for, sealed=sealed)
            for made_for, sealed in map(journal.sealed_secret, sorted(secrets - old_secrets))
        ),
        secrets_dropped=tuple(sorted(old_secrets - secrets)),
        packs_added=tuple(_record_pack(pack) for pack in added),
        packs_dropped=tuple(sorted(old_roots - roots)),
        set_root=set_root(roots),
        manifest_packs=tuple(manifest_packs),
        claimed_time=now.replace(microsecond=0),
    )


def sign_record(record: DepositRecord, party: DepositorParty) -> Envelope:
    """The record's envelope, signed by both keys of the depositor."""
    payload = parse_canonical_json(record_payload(record))
    assert isinstance(payload, dict)
    return sign_envelope(envelope_for(payload), party.signers)


async def lodge(row: RecordRow, lines: Iterable[SeatLine], journal: Journal) -> Lodged:
    """Send a record to all given seats at once; a seat's refusal is its reason."""
    lines = list(lines)
    answers = await asyncio.gather(*(_lodge_at(row, line) for line in lines))
    receipts: dict[Seat, str] = {}
    reasons: dict[Seat, str] = {}
    for line, (receipt, reason) in zip(lines, answers, strict=True):
        if receipt is None:
            reasons[line.seat] = reason
        else:
            receipts[line.seat] = receipt
            await asyncio.to_thread(journal.mark_lodged, row.sequence, line.seat, receipt)
    return Lodged(receipts=receipts, reasons=reasons)


def require_lodged(
    lodged: Iterable[Seat], party: DepositorParty, reasons: Mapping[Seat, str]
) -> None:
    """Raise `TooFewSeats` unless seats in h distinct states lodged the record."""
    states = {party.states[seat] for seat in lodged if seat in party.states}
    h = party.charter.dispersal.h
    if len(states) < h:
        why = "; ".join(f"seat {seat}: {reason}" for seat, reason in sorted(reasons.items()))
        raise TooFewSeats(
            f"deposit: lodged in {len(states)} states, {h} required ({why})",
            hint="the record is kept and will be sent again by the next run",
        )


async def catch_up_seat(line: SeatLine, journal: Journal, spool: Spool) -> tuple[int, str | None]:
    """Send a seat what it lacks: spooled shards, then records in order.

    Returns the shards delivered and, if the newest record is still not lodged there, the reason.
    An older record that cannot be completed any more (its spool was lost) keeps nothing back.
    """
    delivered, reason = 0, None
    try:
        for _, root in await asyncio.to_thread(journal.late_shards, line.seat):
            sealed = await asyncio.to_thread(spool.get, line.seat, root)
            if sealed is None:
                reason = f"shard {root.hex()[:16]} is neither there nor in the spool"
                continue
            await line.store.put_sealed_shard(root, [sealed])
            await asyncio.to_thread(journal.mark_held, line.seat, root)
            await asyncio.to_thread(spool.delivered, line.seat, root)
            delivered += 1
        for row in reversed(await asyncio.to_thread(journal.records)):
            reason = None
            if line.seat not in row.lodged:
                outcome = await lodge(row, [line], journal)
                reason = outcome.reasons.get(line.seat)
    except VaultError as error:
        return delivered, error.message
    return delivered, reason


async def _lodge_at(row: RecordRow, line: SeatLine) -> tuple[str | None, str]:
    try:
        answer = await line.record.submit(row.envelope)
        if answer.state is not State.LODGED:
            return None, f"record is {answer.state.value} there"
        name = hashlib.sha256(row.envelope).digest()
        receipt = await line.record.receipt("lodged", name)
        entry = verify_receipt(parse_receipt(receipt.encode()), line.log_verifier)
        if entry.hash != name:
            raise IntegrityError(f"receipt of seat {line.seat}: for another record")
    except (VaultError, IntegrityError) as error:
        return None, error.message
    return receipt, ""


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
