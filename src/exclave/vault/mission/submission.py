"""How a vault takes a statement, whoever brings it (spec/vault-http.md 2).

Statements authenticate themselves. What is known already changes nothing and answers with its
state; what contradicts the log, is not signed as it must be or goes beyond a quota is refused and
leaves no trace but a count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from exclave.authority.agreement import Agreement, AgreementNotNext, AgreementUnfit
from exclave.authority.attestation import (
    MAX_ATTESTATION,
    Attestation,
    parse_attestation,
    verify_attestation,
)
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import (
    ChainBroken,
    EraNotOpened,
    HistoryRewritten,
    MissionMismatch,
    verify_successor,
)
from exclave.authority.custody import MAX_CUSTODY, Custody, parse_custody, verify_custody
from exclave.authority.envelope import ORDERS, Envelope, Kind, parse_envelope
from exclave.authority.persons import signed_by, signed_persons
from exclave.authority.record import (
    DepositRecord,
    RecordInconsistent,
    check_pack,
    parse_record,
    verify_record,
)
from exclave.authority.record_chain import AncestorMissing, added_packs, author_of, live_set
from exclave.authority.supplement import verify_supplement
from exclave.authority.warrant import Warrant
from exclave.clock import format_time
from exclave.errors import AuthorityError, QuorumNotReached
from exclave.ids import StatementHash
from exclave.ledger.entry import EntryType
from exclave.standing.admission import (
    CharterUnknown,
    EraNotOpen,
    PlacesTaken,
    SlotTaken,
    StatementOutdated,
    admit,
)
from exclave.standing.agreed import ActUnlisted, AgreementUnknown
from exclave.standing.counting import place_members
from exclave.standing.values import Standing, Value
from exclave.vault.interface import State, StatementState
from exclave.vault.kept.fold import named_shards, payer_of
from exclave.vault.kept.hearing import EnvelopeSigners, value_of
from exclave.vault.kept.log import Addition
from exclave.vault.kept.quota import check_quota, is_reserve_open, used_by_others_than_thieves
from exclave.vault.line.identity import check_identity
from exclave.vault.line.problems import refused
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.overview import statement_state

__all__ = ["state_of", "submit"]

_ACTS: Final = frozenset({Kind.CHARTER, Kind.WARRANT}) | ORDERS
"""What `exclave.standing` decides about."""
_PAPERS: Final = 64
"""Custody statements of one party and day (spec/bag.md 4)."""
_ATTESTATIONS: Final = 32
"""Attestations of one depositor and day (spec/certificates.md 5)."""
_KINDS: Final = _ACTS | {Kind.RECORD, Kind.SUPPLEMENT, Kind.CUSTODY, Kind.ATTESTATION}


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
        if mission.index.statement(statement) is not None:
            if envelope.kind in _ACTS:
                _more_signatures(mission, envelope)
        elif envelope.kind in _ACTS:
            _act(mission, envelope, data)
        else:
            _TAKE[envelope.kind](mission, envelope, data)
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
        elif statement in {item.second for item in mission.standing().conflicts}:
            state = State.CONFLICT
        elif (item := mission.standing().items.get(statement)) is not None and item.number:
            state, seconds = statement_state(mission, mission.standing(), item)
        return StatementState(state=state, statement=statement, entry=place[1], seconds=seconds)


def _annex(mission: Mission, digest: bytes, data: bytes) -> StatementState:
    number = mission.index.entry_number(EntryType.ANNEX, digest)
    if number is None:
        addition = Addition(type=EntryType.ANNEX, statement=None, body=data)
        number = mission.append([addition])[0][0]
    return StatementState(state=State.LOGGED, statement=StatementHash(digest), entry=number)


def _act(mission: Mission, envelope: Envelope, data: bytes) -> None:
    """A charter, warrant or order: logged as `exclave.standing.admission` says, or refused."""
    value, signers = value_of(envelope), EnvelopeSigners(envelope)
    if isinstance(value, Warrant):
        check_identity(value.reader, "warrant.reader")
    standing = mission.standing()
    _check_signatures(standing, envelope, value)
    try:
        if isinstance(value, Charter):
            verify_successor(mission.fold.chain, envelope)
        kind = admit(standing, mission.mission, envelope.statement_hash, value, signers)
    except AuthorityError as error:
        cause = next((name for sort, name in _REFUSALS if isinstance(error, sort)), "signature")
        raise refused(cause, error.message, hint=error.hint) from error
    _log(mission, kind, envelope, data)


_REFUSALS: Final = (
    (CharterUnknown, "charter-gap"),
    (ChainBroken, "charter-gap"),
    (StatementOutdated, "conflict"),
    (SlotTaken, "conflict"),
    (MissionMismatch, "conflict"),
    (HistoryRewritten, "conflict"),
    (EraNotOpen, "not-open"),
    (AgreementUnfit, "not-open"),
    (AgreementUnknown, "not-open"),
    (AgreementNotNext, "conflict"),
    (ActUnlisted, "conflict"),
    (EraNotOpened, "quorum"),
    (PlacesTaken, "quota"),
    (QuorumNotReached, "quorum"),
)


def _check_signatures(standing: Standing, envelope: Envelope, value: Value) -> None:
    """Refuse a known key's bad signature before it is in a log that never forgets."""
    charters = [standing.charter]
    if standing.exile_charter is not None:
        charters.append(standing.exile_charter)
    if isinstance(value, Charter):
        charters.append(value)
    elif isinstance(value, Warrant) and value.charter in standing.items:
        charters.append(standing.charter_of(value.charter))
    for charter in charters:
        signed_persons(envelope, charter.officials)
    if isinstance(value, Agreement):
        signed_by(envelope, value.key)


def _more_signatures(mission: Mission, envelope: Envelope) -> None:
    """Log a copy with signatures of more persons who have a say now, else change nothing."""
    known = mission.fold.hearing.envelope(envelope.statement_hash)
    if known is None:
        return
    standing, value = mission.standing(), value_of(envelope)
    if envelope.statement_hash not in standing.items.keys() | standing.tightened.keys():
        return
    _check_signatures(standing, envelope, value)
    joined = known.merge(envelope)
    before = place_members(standing, value, EnvelopeSigners(known))
    if place_members(standing, value, EnvelopeSigners(joined)) - before:
        _log(mission, EntryType.SIGNATURES, joined, joined.to_bytes())


def _supplement(mission: Mission, envelope: Envelope, data: bytes) -> None:
    verify_supplement(envelope, mission.charter())
    _log(mission, EntryType.SUPPLEMENT, envelope, data)


def _custody(mission: Mission, envelope: Envelope, data: bytes) -> None:
    if len(data) > MAX_CUSTODY:
        raise refused("too-large", f"custody: expected {MAX_CUSTODY} bytes, got {len(data)}")
    was = [item.value for item in mission.standing().items.values() if item.effective is not None]
    charters = [mission.charter(), *(value for value in was if isinstance(value, Charter))]
    try:
        custody = verify_custody(envelope, charters)
    except MissionMismatch as error:
        raise refused("conflict", error.message) from error
    _check_papers(mission, custody)
    _log(mission, EntryType.CUSTODY, envelope, data)


def _check_papers(mission: Mission, custody: Custody) -> None:
    """Refuse more of a day than anybody carries: what is logged stays for ever."""
    others = (parse_custody(item) for item in _logged_today(mission, EntryType.CUSTODY))
    count = sum(other.by == custody.by for other in others)
    if count >= _PAPERS:
        raise refused("quota", f"custody of {custody.by}: expected {_PAPERS} a day, got more")


def _logged_today(mission: Mission, kind: EntryType) -> Iterator[Envelope]:
    today = format_time(mission.clock())[:10]
    for number in reversed(mission.index.numbers_of({kind})):
        entry = mission.log.entry(number)
        if format_time(entry.logged)[:10] != today:
            return
        yield parse_envelope(mission.log.body(entry.hash))


def _attestation(mission: Mission, envelope: Envelope, data: bytes) -> None:
    if len(data) > MAX_ATTESTATION:
        raise refused(
            "too-large", f"attestation: expected {MAX_ATTESTATION} bytes, got {len(data)}"
        )
    in_force = mission.charter()
    try:
        # Not of any charter that was: keys that were replaced must not fill the log for ever.
        attestation = verify_attestation(envelope, [in_force])
    except MissionMismatch as error:
        raise refused("conflict", error.message) from error
    if all(epoch.epoch != attestation.epoch for epoch in in_force.recovery):
        raise refused(
            "conflict", f"attestation: expected an epoch of the charter, got {attestation.epoch}"
        )
    _check_attestations(mission, attestation)
    _log(mission, EntryType.ATTESTATION, envelope, data)


def _check_attestations(mission: Mission, attestation: Attestation) -> None:
    """Refuse more of a day than proofs and drills give: what is logged stays for ever."""
    others = (parse_attestation(item) for item in _logged_today(mission, EntryType.ATTESTATION))
    if sum(other.depositor == attestation.depositor for other in others) >= _ATTESTATIONS:
        raise refused(
            "quota",
            f"attestation of depositor {attestation.depositor}: "
            f"expected {_ATTESTATIONS} a day, got more",
        )


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
    item = mission.standing().items.get(named.charter)
    if item is None or item.effective is None:
        # One that was stopped or vetoed grants no depositor a quota either.
        raise refused(
            "charter-gap",
            "record: expected a charter that is in force here or was, got one that waits or died",
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
    Kind.RECORD: _record,
    Kind.SUPPLEMENT: _supplement,
    Kind.CUSTODY: _custody,
    Kind.ATTESTATION: _attestation,
}
