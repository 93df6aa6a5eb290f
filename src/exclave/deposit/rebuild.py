"""Make a lost journal again from the depositor's catalogue.

The records and the packs that the newest one names come back, so the next deposit shares
chunks as before. Which seat acknowledged what is not remembered: seats for which the spool
still has a shard count as late, the others as holding it; lodging is asked again anyway.
"""

from __future__ import annotations

from dataclasses import replace

from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record import DepositRecord, parse_record
from exclave.authority.record_chain import live_set
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.spool import Spool
from exclave.errors import IntegrityError
from exclave.ids import StatementHash
from exclave.journal.store import Journal, RecordRow, SafePack, ShardRow

__all__ = ["rebuild_journal"]


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


def _with_late_shards(pack: SafePack, spool: Spool) -> SafePack:
    shards = tuple(
        ShardRow(seat=s.seat, root=s.root, held=not spool.has(s.seat, s.root)) for s in pack.shards
    )
    return replace(pack, shards=shards)
