"""Make a lost journal again from the depositor's catalogue; go on when that is lost as well.

The records and the packs that the newest one names come back, so the next deposit shares
chunks as before. Which seat acknowledged what is not remembered: seats for which the spool
still has a shard count as late, the others as holding it; lodging is asked again anyway.

Without a catalogue nothing can be shared with earlier packs, but the chain of records must go
on where it ended, or the vaults would name a fork: `adopt_chain` asks them for its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record import DepositRecord, parse_record
from exclave.authority.record_chain import live_set
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.dispatch import SeatLine
from exclave.deposit.spool import Spool
from exclave.errors import IntegrityError, VaultError
from exclave.ids import MissionId, Seat, ShardRoot, StatementHash
from exclave.journal.store import Journal, RecordRow, SafePack, ShardRow
from exclave.vault.survey import MissionNotFound, survey

__all__ = ["adopt_chain", "rebuild_journal"]


def rebuild_journal(catalogue: Catalogue, journal: Journal, spool: Spool) -> int:
    """Fill an empty journal; returns the number of packs brought back."""
    entries = catalogue.entries()
    if not entries:
        return 0
    known: dict[StatementHash, DepositRecord] = {}
    newest = None
    for entry in entries:
        newest = parse_record(
            parse_envelope(catalogue.envelope(entry.sequence), kinds=[Kind.RECORD])
        )
        known[newest.statement_hash] = newest
    assert newest is not None
    live = live_set(newest, known)
    for root in live.roots:
        journal.add_safe_pack(_with_late_shards(catalogue.pack(root), spool))
    for entry in entries:
        row = RecordRow(
            sequence=entry.sequence,
            statement=entry.statement,
            deposit=entry.deposit,
            envelope=catalogue.envelope(entry.sequence),
            lodged=frozenset(),
        )
        journal.store_record(row, live.roots if entry is entries[-1] else ())
    if entries[-1].statement != newest.statement_hash:
        raise IntegrityError(f"catalogue: deposit {entries[-1].sequence} names another record")
    return len(live.roots)


async def adopt_chain(
    mission: MissionId,
    depositor: str,
    lines: Mapping[Seat, SeatLine],
    journal: Journal,
    spool: Spool,
) -> int | None:
    """Enter the newest record that the seats show of this depositor; its sequence, if any.

    Spooled shards are sent first: an empty journal does not know what they are for.
    """
    for seat, root in spool.shards():
        await _send_spooled(lines, seat, root, journal, spool)
    try:
        view = await survey([line.record for line in lines.values()], mission)
    except MissionNotFound:
        return None  # nobody answers: the deposit itself will say so
    mine = [item for item in view.deposits if item.record.depositor == depositor]
    if not mine:
        return None
    # A record that is lodged nowhere takes up its number all the same.
    newest = max(mine, key=lambda item: (item.record.sequence, len(item.lodged)))
    row = RecordRow(
        sequence=newest.record.sequence,
        statement=newest.statement,
        deposit=newest.deposit,
        envelope=newest.envelope.to_bytes(),
        lodged=frozenset(),
    )
    journal.store_record(row, ())
    return row.sequence


async def _send_spooled(
    lines: Mapping[Seat, SeatLine], seat: Seat, root: ShardRoot, journal: Journal, spool: Spool
) -> None:
    sealed = spool.get(seat, root)
    if seat not in lines or sealed is None:
        return
    try:
        await lines[seat].store.put_sealed_shard(root, [sealed])
    except VaultError:
        return  # still late
    # A journal without records may know the shard all the same: of an attempt that was killed.
    journal.mark_held(seat, root)
    spool.delivered(seat, root)


def _with_late_shards(pack: SafePack, spool: Spool) -> SafePack:
    shards = tuple(
        ShardRow(seat=s.seat, root=s.root, held=not spool.has(s.seat, s.root)) for s in pack.shards
    )
    return replace(pack, shards=shards)
