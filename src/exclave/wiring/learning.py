"""Which charter the vaults go by: the depositor learns later ones from their logs.

Asks every seat which charter is in force there. Where that is another than the one at hand, the
chain is fetched from the logs and verified from the mission id on, the seats that joined since are
asked as well, and what was learnt is kept in `charters/` beside the bundle's `charter.json`.

Rules
- A charter counts here once vaults in h states (its own h) go by it: deposits under one that waits
  would be refused.
- Nothing is believed but signatures: a vault that names a charter that it cannot show is passed
  over.
- A charter that seats other keys is not deposited under; that is an error with a name, since
  somebody replaced this machine's keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope
from exclave.durable import replace_file
from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import Seat, StatementHash
from exclave.values import replace
from exclave.wiring.asking import asking
from exclave.wiring.depositor import Home

if TYPE_CHECKING:
    from exclave.vault.interface import PublicRecord
    from exclave.vault.survey.survey import MissionView

__all__ = ["KeysReplaced", "learn_charter"]


class KeysReplaced(ConfigurationError):
    """The charter in force does not seat this depositor with the keys of its bundle."""


def learn_charter(home: Home) -> Home:
    """The depositor under the charter in force at the vaults; keeps what it learnt on disk."""
    own = home.party.charter
    with asking(home) as (loop, records):
        answers = loop.run(_in_force(records))
        if all(statement == own.statement_hash for statement in answers.values()):
            return _seated(home, own)
        # Seldom: on most days no vault goes by another charter, and no log need be read.
        from exclave.vault.survey.survey import MissionNotFound, survey

        try:
            view = loop.run(survey(list(records.values()), home.party.mission))
        except MissionNotFound:
            return _seated(home, own)
    answers |= _joined(home, view)
    chosen = _chosen(view, answers, own)
    if chosen.statement_hash == own.statement_hash:
        return _seated(home, own)
    learnt = _seated(home, chosen)
    if chosen.order > own.order:
        _keep(home, view.charter_envelopes, chosen)
    return learnt


def _joined(home: Home, view: MissionView) -> Mapping[Seat, StatementHash]:
    """What the seats go by that later charters seat: the one at hand does not know them.

    Where a mission grows from one seat, the states that its next charter wants are not among those
    of the charter before.
    """
    own = {entry.seat for entry in home.party.charter.active_seats}
    newest = max(view.chain.charters, key=lambda charter: charter.order)
    new = {entry.seat for entry in newest.active_seats if entry.addresses} - own
    if not new:
        return {}
    with asking(home, charter=newest, only=new) as (loop, records):
        return loop.run(_in_force(records))


def _chosen(view: MissionView, answers: Mapping[Seat, StatementHash], own: Charter) -> Charter:
    """The highest charter that vaults in enough states go by; the one at hand where none is."""
    known = dict(zip(view.chain.hashes, view.chain.charters, strict=True))
    states = {seat.seat: seat.state for item in known.values() for seat in item.seats}
    best: Charter | None = None
    for statement, charter in known.items():
        there = {states[seat] for seat, named in answers.items() if named == statement}
        enough = len(there) >= charter.dispersal.h
        if enough and (best is None or charter.order > best.order):
            best = charter
    return own if best is None else best


def _seated(home: Home, charter: Charter) -> Home:
    entries = [item for item in charter.depositors if item.id == home.party.id]
    keys = tuple(signer.key for signer in home.party.signers)
    if not entries or entries[0].keys != keys:
        raise KeysReplaced(
            f"depositor {home.party.id}: charter {charter.era}.{charter.version}, which the vaults "
            f"go by, seats {'other keys' if entries else 'no such depositor'}",
            hint="if you made new keys, wait until the charter that seats them is in force; if you "
            "did not, ask the officials at once",
        )
    return replace(home, party=replace(home.party, charter=charter))


def _keep(home: Home, envelopes: Sequence[Envelope], chosen: Charter) -> None:
    folder = home.settings.depositor
    from exclave.wiring.officials import store_charters

    store_charters(folder, envelopes)
    envelope = next(item for item in envelopes if item.statement_hash == chosen.statement_hash)
    replace_file(folder / "charter.json", [envelope.to_bytes()], mode=0o600)


async def _in_force(records: Mapping[Seat, PublicRecord]) -> dict[Seat, StatementHash]:
    """What each seat goes by; those that do not answer are left out."""
    import asyncio

    answers = await asyncio.gather(*(_one(record) for record in records.values()))
    return {
        seat: answer for seat, answer in zip(records, answers, strict=True) if answer is not None
    }


async def _one(record: PublicRecord) -> StatementHash | None:
    try:
        return (await record.status()).charter
    except ExclaveError:
        return None  # that it does not answer is said where shards are sent
