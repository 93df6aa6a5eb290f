"""How a vault takes a statement, whoever brings it (spec/vault-http.md 2).

Statements authenticate themselves. What is known already changes nothing and answers with its
state; what contradicts the log, is not signed as it must be or goes beyond a quota is refused and
leaves no trace but a count.
"""

from __future__ import annotations

import hashlib
from typing import Final

from exclave.authority.charter import NotInCharter, parse_charter
from exclave.authority.charter_chain import ChainBroken, verify_successor
from exclave.authority.charter_parts import RoleName
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.persons import signed_persons
from exclave.authority.record import (
    DepositRecord,
    RecordInconsistent,
    check_pack,
    parse_record,
    verify_record,
)
from exclave.authority.record_chain import AncestorMissing, added_packs, author_of, live_set
from exclave.authority.supplement import verify_supplement
from exclave.authority.warrant import parse_warrant
from exclave.clock import format_time
from exclave.errors import AuthorityError
from exclave.ids import PersonId, StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.fold import named_shards, payer_of
from exclave.vault.identity import check_identity
from exclave.vault.interface import State, StatementState
from exclave.vault.log import Addition
from exclave.vault.mission import Mission
from exclave.vault.problems import refused
from exclave.vault.quota import check_quota, is_reserve_open, used_by_others_than_thieves

__all__ = ["state_of", "submit"]

_KINDS: Final = frozenset({Kind.CHARTER, Kind.RECORD, Kind.WARRANT, Kind.SUPPLEMENT})


def submit(mission: Mission, data: bytes) -> StatementState:
    """Take an envelope or the sealed annex; on return it is durably logged."""
    digest = hashlib.sha256(data).digest()
    with mission.lock:
        mission.sync()
        if any(digest == charter.annex for charter in mission.fold.chain.charters):
            return _annex(mission, digest, data)
    envelope = parse_envelope(data, kinds=_KINDS)
    statement = envelope.statement_hash
    with mission.lock:
        mission.sync()
        if mission.index.statement(statement) is None:
            _TAKE[envelope.kind](mission, envelope, data)
        elif envelope.kind is Kind.WARRANT:
            _more_signatures(mission, envelope)
        mission.lodge_ready()
        return state_of(mission, statement)


def state_of(mission: Mission, statement: StatementHash) -> StatementState:
    """Where a statement stands here; refused with `not-found` when it is unknown."""
    with mission.lock:
        place = mission.index.statement(statement)
        if place is None:
            raise refused("not-found", f"statement {statement.hex()[:16]}: not here")
        state, seconds = State.LOGGED, None
        if (record := mission.index.record(statement)) is not None:
            state = record.state
        elif (row := mission.index.warrant(statement)) is not None:
            listed = mission.warrant_listed(row)
            state, seconds = listed.state, listed.seconds
        return StatementState(state=state, statement=statement, entry=place[1], seconds=seconds)


def _annex(mission: Mission, digest: bytes, data: bytes) -> StatementState:
    number = mission.index.entry_number(EntryType.ANNEX, digest)
    if number is None:
        addition = Addition(type=EntryType.ANNEX, statement=None, body=data)
        number = mission.append([addition])[0][0]
    return StatementState(state=State.LOGGED, statement=StatementHash(digest), entry=number)


def _charter(mission: Mission, envelope: Envelope, data: bytes) -> None:
    chain = mission.fold.chain
    charter = parse_charter(envelope)
    if charter.order in {known.order for known in chain.charters}:
        raise refused(
            "conflict", f"charter {charter.era}.{charter.version}: another one is logged here"
        )
    try:
        verify_successor(chain, envelope)
    except ChainBroken as error:
        raise refused("charter-gap", error.message, hint=error.hint) from error
    _log(mission, EntryType.CHARTER, envelope, data)


def _warrant(mission: Mission, envelope: Envelope, data: bytes) -> None:
    warrant = parse_warrant(envelope)
    if warrant.mission != mission.mission:
        raise refused("conflict", "warrant: made for another mission")
    try:
        named = mission.fold.chain.find(warrant.charter)
    except NotInCharter as error:
        raise refused("charter-gap", error.message, hint="hand in the charter first") from error
    in_force = mission.charter()
    if named.statement_hash != in_force.statement_hash:
        raise refused(
            "charter-gap" if named.order > in_force.order else "conflict",
            f"warrant: expected the charter in force, {in_force.era}.{in_force.version}, "
            f"got {named.era}.{named.version}",
            hint="prepare it again from a new survey",
        )
    check_identity(warrant.reader, "warrant.reader")
    # A warrant that nobody signed would let anybody fill a log that never forgets.
    signed = _readers_who_signed(mission, envelope)
    if not signed:
        raise refused("quorum", "warrant: expected a signature of the read roster, got none")
    mission.warrants.check_places(
        signed,
        now=mission.moment(),
        persons=lambda item: _readers_who_signed(mission, item.envelope),
        logged_ms=lambda other: _logged_ms(mission, other),
    )
    _log(mission, EntryType.WARRANT, envelope, data)


def _readers_who_signed(mission: Mission, envelope: Envelope) -> frozenset[PersonId]:
    named = mission.fold.chain.find(parse_warrant(envelope).charter)
    return signed_persons(envelope, named.officials) & set(named.role(RoleName.READ).members)


def _logged_ms(mission: Mission, statement: StatementHash) -> int:
    place = mission.index.statement(statement)
    return 0 if place is None else mission.log.entry(place[1]).service


def _more_signatures(mission: Mission, envelope: Envelope) -> None:
    row = mission.index.warrant(envelope.statement_hash)
    if row is None:
        return
    known = parse_envelope(row.envelope)
    officials = mission.fold.chain.find(parse_warrant(envelope).charter).officials
    if not signed_persons(envelope, officials) - signed_persons(known, officials):
        return
    joined = known.merge(envelope)
    _log(mission, EntryType.SIGNATURES, joined, joined.to_bytes())


def _supplement(mission: Mission, envelope: Envelope, data: bytes) -> None:
    verify_supplement(envelope, mission.fold.chain.newest)
    _log(mission, EntryType.SUPPLEMENT, envelope, data)


def _record(mission: Mission, envelope: Envelope, data: bytes) -> None:
    chain, index = mission.fold.chain, mission.index
    try:
        named = parse_record(envelope)
    except RecordInconsistent as error:
        raise refused("conflict", error.message, hint=error.hint) from error
    if named.mission != mission.mission:
        raise refused("conflict", "record: made for another mission")
    if named.charter not in chain.hashes:
        raise refused(
            "charter-gap", "record: its charter is not here", hint="hand in the charter first"
        )
    in_force = mission.charter()
    if chain.find(named.charter).order > in_force.order:
        raise refused(
            "charter-gap",
            "record: expected a charter that is in force here or was, got one that waits",
            hint="hand it in again once that charter is in force",
        )
    record = verify_record(envelope, chain)
    other = index.of_deposit(record.deposit)
    if other is not None:
        raise refused(
            "conflict", f"deposit {record.deposit.hex()}: another record of it is logged here"
        )
    if record.full or (record.previous is not None and record.previous in mission.fold.known):
        try:
            live_set(record, mission.fold.known)
            for pack in added_packs(record, mission.fold.known):
                check_pack(pack, chain.find(record.charter))
        except AuthorityError as error:
            if not _lacks_ancestor(mission, error):
                raise refused("conflict", error.message, hint=error.hint) from error
    shards = named_shards(record, mission.seat)
    new = sum(shard.size for shard in shards if not index.is_described(shard))
    _check_quota(mission, record, new)
    _check_disk(mission, record, len(data))
    _log(mission, EntryType.RECORD, envelope, data)
    mission.shards_named()


def _check_quota(mission: Mission, record: DepositRecord, new: int) -> None:
    chain, in_force = mission.fold.chain, mission.charter()
    author, compromised = author_of(record, chain), mission.keeping().compromised
    granting = in_force if author.is_seated(in_force) else chain.find(record.charter)
    opens = is_reserve_open(
        author, first=chain.charters[0], in_force=in_force, compromised=compromised
    )
    used = used_by_others_than_thieves(
        mission.index.charged(payer_of(author, in_force)),
        author=author.name,
        compromised=compromised,
        day=format_time(mission.clock())[:10],
    )
    check_quota(
        new,
        depositor=granting.depositor(record.depositor),
        reserve=in_force.quotas.reserve if opens else 0,
        used=used,
    )


def _check_disk(mission: Mission, record: DepositRecord, size: int) -> None:
    """Refuse a record that would take what the disk keeps for the reserve: many fill it too."""
    depositor = mission.fold.chain.find(record.charter).depositor(record.depositor)
    kept = mission.kept_for_reserve(depositor.identity)
    if kept and mission.store.free_bytes() - size < kept:
        raise refused(
            "no-space",
            f"record: expected room for {size} bytes, got none",
            hint=f"{kept} bytes are kept free for the charter's reserve",
        )


def _lacks_ancestor(mission: Mission, error: AuthorityError) -> bool:
    return isinstance(error, AncestorMissing) and error.missing not in mission.fold.known


def _log(mission: Mission, kind: EntryType, envelope: Envelope, data: bytes) -> None:
    addition = Addition(type=kind, statement=envelope.statement_hash, body=data)
    mission.append([addition])


_TAKE: Final = {
    Kind.CHARTER: _charter,
    Kind.RECORD: _record,
    Kind.WARRANT: _warrant,
    Kind.SUPPLEMENT: _supplement,
}
