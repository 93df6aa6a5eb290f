"""Bring the seats up to date before a deposit, and the journal where it fell behind them.

1. A journal that is empty or older than the vaults goes on from the record that they have.
2. Spooled shards and records go to seats that lack them.
3. What became of the newest record decides whether another may follow it.

Rules
- A spooled shard may be a late seat's only one. It is forgotten only if the journal knows all
  records, and neither it nor any of them names the shard: then its pack never became safe.
- A record is withdrawn only if every seat that answered refused it for good and does not know
  it, these are of at least h states, and every other seat was never sent it: else a fork could
  come of it.
- A newest record that seats of h states have, but that cannot be completed there, holds nothing
  up: a full record follows it.
"""

from __future__ import annotations

from collections.abc import Mapping

from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record import parse_record
from exclave.deposit.depositor import DepositorParty
from exclave.deposit.lodging import CaughtUp, catch_up_seat, require_lodged, unknown_at
from exclave.deposit.rebuild import adopt_chain, is_behind
from exclave.deposit.spool import Spool
from exclave.deposit.workplace import Workplace
from exclave.ids import Seat, ShardRoot
from exclave.journal.store import Journal, RecordRow
from exclave.plain_words import of_seat

__all__ = ["catch_up", "forget_unsafe"]


def catch_up(party: DepositorParty, place: Workplace) -> Mapping[Seat, str]:
    """Bring every seat up to date; returns reasons of seats that are still late."""
    _follow_vaults(party, place)
    journal = place.journal
    if others := journal.keep_layout(party.charter.dispersal.k, party.seats):
        place.progress.phase(f"{others} packs were made for other seats: their content goes anew")
    forget_unsafe(journal, place.spool)
    answers = {
        seat: place.loop.run(catch_up_seat(line, journal, place.spool))
        for seat, line in place.lines.items()
    }
    for seat, answer in answers.items():
        if answer.unshared:
            place.progress.phase(
                f"seat {seat} lacks shards that lie nowhere else: "
                f"{answer.unshared} packs are sealed again"
            )
    late = {seat: answer.reason for seat, answer in answers.items() if answer.reason is not None}
    newest = journal.newest_record()
    if newest is None or _may_follow(newest, party, answers):
        return late
    reason = _withdrawable(newest, party, place, answers)
    if reason is None:
        require_lodged(newest.lodged, party, late)
        return late
    place.catalogue.remove(newest.sequence)
    journal.withdraw(newest.sequence, reason)
    place.progress.phase(f"record {newest.sequence} withdrawn, no seat took it: {reason}")
    return catch_up(party, place)


def forget_unsafe(journal: Journal, spool: Spool) -> int:
    """Remove spooled shards of packs that never became safe; returns how many."""
    if not journal.is_whole():
        return 0
    seats = {seat for seat, _ in spool.shards()}
    known: set[tuple[Seat, ShardRoot]] = set()
    for seat in seats:
        known |= {(seat, root) for root in journal.held_shards(seat)}
        known |= {(seat, root) for _, root in journal.late_shards(seat)}
    if known.issuperset(spool.shards()):
        return 0
    for row in journal.records():
        record = parse_record(parse_envelope(row.envelope, kinds=[Kind.RECORD]))
        known |= {shard for pack in record.packs_added for shard in pack.shards}
    return spool.forget_unless(lambda seat, root: (seat, root) in known)


def _follow_vaults(party: DepositorParty, place: Workplace) -> None:
    newest = place.journal.newest_record()
    if newest is not None and not place.loop.run(is_behind(party.id, place.lines, newest)):
        return
    adopted = place.loop.run(adopt_chain(party, place.lines, place.journal))
    if adopted is not None:
        here = "none" if newest is None else f"record {newest.sequence}"
        place.progress.phase(
            f"this machine's journal is older than the vaults: record {adopted} there, {here} "
            "here; going on from theirs with a full record"
        )


def _may_follow(newest: RecordRow, party: DepositorParty, answers: Mapping[Seat, CaughtUp]) -> bool:
    """Whether seats of h states lodged the record, or have it and cannot complete it."""
    there = newest.lodged | {seat for seat, answer in answers.items() if answer.pending}
    states = {party.states[seat] for seat in there if seat in party.states}
    return len(states) >= party.charter.dispersal.h


def _withdrawable(
    newest: RecordRow,
    party: DepositorParty,
    place: Workplace,
    answers: Mapping[Seat, CaughtUp],
) -> str | None:
    """Why the newest record may be withdrawn; None if some seat could have it."""
    if newest.lodged or place.journal.may_have(newest.sequence):
        return None
    refused = {seat: a.refused for seat, a in answers.items() if a.refused is not None}
    states = {party.states[seat] for seat in refused if seat in party.states}
    if len(states) < party.charter.dispersal.h:
        return None
    unknown = place.loop.run(unknown_at(newest, place.lines.values()))
    if unknown is None or unknown != refused.keys():
        return None
    return "; ".join(of_seat(seat, why) for seat, why in sorted(refused.items()))
