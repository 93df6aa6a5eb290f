"""Make a lost journal again from the depositor's catalogue; go on when that is lost as well.

The records and the packs that the newest one names come back, so the next deposit shares
chunks as before; so do packs that the spool still has shards of. Which seat acknowledged what
is not remembered: seats for which the spool still has a shard count as late, the others as
holding it; lodging is asked again anyway.

Without a catalogue nothing can be shared with earlier packs, but the chain of records must go
on where it ended, or the vaults would name a fork: `adopt_chain` asks them for its end.
So it does when the journal is an old one that came back from a backup. Records of other keys under
the same id are another's chain (spec/records.md 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Final

from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record import DepositRecord, parse_record
from exclave.authority.record_chain import author_of, live_set
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.depositor import DepositorParty
from exclave.deposit.left_out import packs_of
from exclave.deposit.seat_line import SeatLine
from exclave.deposit.spool import Spool
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import PackRoot, Seat, StatementHash
from exclave.journal.store import Journal, RecordRow, SafePack, ShardRow
from exclave.values import replace

if TYPE_CHECKING:
    from exclave.vault.survey.survey import MissionView

__all__ = ["adopt_chain", "is_behind", "rebuild_journal"]

_TOGETHER: Final = 64
"""Packs entered in one transaction: each waits for the disk."""


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
    # Nothing of another epoch is shared: its packs are remembered for seats that lack them.
    shared = newest.epoch == journal.epoch
    newest_has = {item.id for item in entries[-1].registers}
    ever = {item.id for entry in entries for item in entry.registers}
    others = packs_of(catalogue, ever - newest_has, epoch=newest.epoch) - live.packs.keys()
    roots = (*live.roots, *sorted(others))
    for start in range(0, len(roots), _TOGETHER):
        packs = map(catalogue.pack, roots[start : start + _TOGETHER])
        journal.add_safe_packs((_with_late_shards(p, spool) for p in packs), shared=shared)
    _bring_back_spooled(catalogue, journal, spool, frozenset(roots))
    for entry in entries:
        row = RecordRow(
            sequence=entry.sequence,
            statement=entry.statement,
            deposit=entry.deposit,
            envelope=catalogue.envelope(entry.sequence),
            lodged=frozenset(),
        )
        if shared and entry is entries[-1]:
            journal.store_record(row, live.roots, others=others)
        else:
            journal.store_record(row, ())
    if entries[-1].statement != newest.statement_hash:
        raise IntegrityError(f"catalogue: deposit {entries[-1].sequence} names another record")
    return len(roots)


async def adopt_chain(
    party: DepositorParty,
    lines: Mapping[Seat, SeatLine],
    journal: Journal,
) -> int | None:
    """Enter the newest record that the seats show of this author; its sequence, if any.

    A journal that knows this record, or a newer one, stays as it is. New keys, which have none yet,
    begin a chain of their own after the newest record of the keys that they replace which was not
    made after a declared compromise, by what the logs say (spec/standing.md 7).
    """
    # Seldom: a deposit that follows another reads no logs.
    from exclave.vault.survey.survey import MissionNotFound, survey

    try:
        view = await survey([line.record for line in lines.values()], party.mission)
    except MissionNotFound:
        return None  # nobody answers: the deposit itself will say so
    mine = [item for item in view.deposits if author_of(item.record, view.chain) == party.author]
    own = journal.newest_record()
    if not mine:
        if own is None and (before := _predecessor(view, party)) is not None:
            journal.begin_after(before)
        return None
    known = None if own is None else own.statement
    # A record that is lodged nowhere takes up its number all the same.
    newest = max(
        mine,
        key=lambda item: (item.record.sequence, len(item.lodged), item.statement == known),
    )
    if own is not None and (
        newest.statement == own.statement or newest.record.sequence < own.sequence
    ):
        return None
    row = RecordRow(
        sequence=newest.record.sequence,
        statement=newest.statement,
        deposit=newest.deposit,
        envelope=newest.envelope.to_bytes(),
        lodged=frozenset(),
    )
    journal.adopt_record(row, f"the vaults have {newest.statement.hex()} as record {row.sequence}")
    return row.sequence


def _predecessor(view: MissionView, party: DepositorParty) -> StatementHash | None:
    for item in view.deposits:
        if item.record.depositor == party.id and item.lodged and not item.suspect:
            return item.statement
    return None


async def is_behind(depositor: str, lines: Mapping[Seat, SeatLine], newest: RecordRow) -> bool:
    """Whether some seat claims a newer record of this depositor, or another one of that number."""
    answers = await asyncio.gather(
        *(line.record.status() for line in lines.values()), return_exceptions=True
    )
    for answer in answers:
        if isinstance(answer, ExclaveError):
            continue  # what does not answer is found late anyway
        if isinstance(answer, BaseException):
            raise answer
        for item in answer.records:
            if item.depositor == depositor and (
                item.sequence > newest.sequence
                or (item.sequence == newest.sequence and item.statement != newest.statement)
            ):
                return True
    return False


def _bring_back_spooled(
    catalogue: Catalogue, journal: Journal, spool: Spool, there: Container[PackRoot]
) -> None:
    """Packs of earlier records that a late seat needs before it can lodge these."""
    spooled = set(spool.shards())
    if not spooled:
        return
    for pack in catalogue.packs():
        if pack.root not in there and any((s.seat, s.root) in spooled for s in pack.shards):
            journal.add_safe_pack(_with_late_shards(pack, spool), shared=False)


def _with_late_shards(pack: SafePack, spool: Spool) -> SafePack:
    shards = tuple(
        ShardRow(seat=s.seat, root=s.root, held=not spool.has(s.seat, s.root)) for s in pack.shards
    )
    return replace(pack, shards=shards)
