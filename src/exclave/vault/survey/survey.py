"""What several seats together say about a mission, checked from the mission id on.

Walks each seat's log, verifies it against its own checkpoint and that against the charter, and
collects charters, records and warrants. Needs no keys and asks for no shards.

Rules
- Nothing counts because a seat says so, except that a seat's signed log says what that seat has.
- Statements count by their own signatures, wherever they were found.
- Whatever is wrong at one seat is a named problem of that seat and keeps nobody else back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from exclave.authority.alarm import Alarm
from exclave.authority.attestation import Attestation, verify_attestation
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain, verify_chain, verify_successor
from exclave.authority.charter_parts import Official
from exclave.authority.custody import Custody, verify_custody
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.persons import signed_persons
from exclave.authority.record import DepositRecord, verify_record
from exclave.authority.record_chain import (
    LiveSet,
    author_of,
    newest_first,
)
from exclave.authority.supplement import Supplement, verify_supplement
from exclave.authority.warrant import Warrant, parse_warrant
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import DepositId, MissionId, Seat, StatementHash
from exclave.ledger.entry import EntryType, LogEntry
from exclave.merkle import tree_root
from exclave.standing.values import Standing
from exclave.values import dataclass, field, replace
from exclave.vault.interface import PublicRecord
from exclave.vault.kept.hearing import FOLLOWED, Hearing
from exclave.vault.survey.records import Records
from exclave.vault.survey.suspicion import Suspicion
from exclave.vault.survey.testimony import check_evidence, check_witnessed, log_keys, logged_alarms
from exclave.vault.survey.walking import (
    CarriedRecord,
    Fault,
    Problem,
    SurveyLimits,
    Walk,
    ask_time,
    begin_walk,
    carried_walk,
    open_by_any,
    walk_log,
)

__all__ = [
    "DepositView",
    "Fault",
    "MissionNotFound",
    "MissionView",
    "Problem",
    "SeatView",
    "SurveyLimits",
    "WarrantView",
    "survey",
]

T = TypeVar("T")
# A new era may follow a charter that was only in conflict where it is read.
_CHARTERS = (EntryType.CHARTER, EntryType.CONFLICT)


class MissionNotFound(IntegrityError):
    """No seat could show the mission's first charter."""

    def __init__(self, message: str, *, problems: tuple[Problem, ...]) -> None:
        lines = "; ".join(f"seat {item.seat}: {item.what}" for item in problems)
        super().__init__(message, hint=lines or None)
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatView:
    """One seat's log as far as it could be checked."""

    seat: Seat
    log_size: int
    verified: bool  # the checkpoint is the seat's and its tiles lead to it
    checkpoint: bytes
    entries: tuple[LogEntry, ...]
    problems: tuple[Problem, ...]
    standing: Standing | None = None  # by this seat's own log, at the service time that it names
    statements: Mapping[StatementHash, Envelope] = field(default_factory=dict)  # that it followed
    leaves: tuple[bytes, ...] = ()  # leaf hashes of the entries
    alarms: tuple[tuple[int, Alarm], ...] = ()  # by entry

    def root_at(self, size: int) -> bytes:
        """The root that this log had at a size up to its own."""
        return tree_root(self.leaves[:size])

    def logged(self, statement: StatementHash) -> datetime | None:
        """When the seat says that it first logged a statement."""
        found = (entry.logged for entry in self.entries if entry.statement == statement)
        return next(found, None) if self.verified else None

    def has_lodged(self, statement: StatementHash) -> bool:
        """Whether the seat's signed log says that it holds a record's shards."""
        return self.verified and any(
            entry.type is EntryType.LODGED and entry.statement == statement
            for entry in self.entries
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositView:
    """A deposit that some seat has a record of."""

    deposit: DepositId
    statement: StatementHash
    envelope: Envelope
    record: DepositRecord
    records: Records = field(repr=False, compare=False)  # of the mission
    lodged: tuple[Seat, ...]
    mirrored: tuple[Seat, ...]
    suspect: bool  # of keys that were declared compromised, and not surely from before

    @property
    def live(self) -> LiveSet | None:
        """What it refers to; None when a record before it is missing, or it contradicts them."""
        return self.records.live_set(self.record)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantView:
    """A warrant with all signatures found."""

    statement: StatementHash
    envelope: Envelope
    warrant: Warrant
    logged: tuple[Seat, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionView:
    """Everything that the seats' records show; deposits newest first."""

    mission: MissionId
    chain: CharterChain
    charter_envelopes: tuple[Envelope, ...]
    charter: Charter  # in force
    seats: tuple[SeatView, ...]
    deposits: tuple[DepositView, ...]
    warrants: tuple[WarrantView, ...]
    supplements: tuple[Supplement, ...]
    papers: tuple[tuple[StatementHash, Custody], ...]  # of bags
    attestations: tuple[Attestation, ...]  # of certificates
    problems: tuple[Problem, ...]

    @property
    def locked(self) -> tuple[Seat, ...]:
        """Seats where a lockdown stands."""
        return tuple(v.seat for v in self.seats if v.standing is not None and v.standing.locked)

    @property
    def exile_charter(self) -> Charter | None:
        """Whose exile rosters act, by the seats that are locked; None where none is."""
        found = [v.standing.exile_charter for v in self.seats if v.standing is not None]
        charters = [charter for charter in found if charter is not None]
        return max(charters, key=lambda item: item.order, default=None)


async def survey(
    sources: Sequence[PublicRecord],
    mission: MissionId,
    *,
    limits: SurveyLimits | None = None,
    carried: Sequence[CarriedRecord] = (),
) -> MissionView:
    """Read and check all sources; raises `MissionNotFound` when none shows the charter.

    Statements that were `carried` count by their signatures; no log of theirs is known.
    `limits` is the most that one seat may cost: beyond it, the seat has a problem.
    """
    # 1. walk every log
    bodies: dict[bytes, bytes] = {}
    most = SurveyLimits() if limits is None else limits
    walks = [
        Walk(source=source, seat=source.seat, limits=most, bodies=bodies) for source in sources
    ]
    await _walk_all(walks, mission)
    await asyncio.gather(*(ask_time(walk) for walk in walks if walk.consistent))
    walks += [carried_walk(item, mission, most, bodies) for item in carried]
    # 2. charters, from the mission id on
    envelopes = _parse(walks, _CHARTERS)
    chain, chain_envelopes = _chain(envelopes, mission, walks)
    # 3. checkpoints, by the keys that the charters name
    views = tuple(_verified(walk, chain) for walk in walks)
    # 4. statements, by their own signatures
    views = tuple(_followed(walk, view) for walk, view in zip(walks, views, strict=True))
    # 5. what seats say of their own and of each other's logs
    for walk, view in zip(walks, views, strict=True):
        if view.verified:
            check_evidence(walk, walks, chain)
            if view.standing is not None:
                check_witnessed(walk, view.standing)
    in_force = _in_force(chain, views)
    warrants = _warrants(walks, chain)
    supplements = _each(walks, EntryType.SUPPLEMENT, lambda e: verify_supplement(e, chain.newest))
    papers = _each(walks, EntryType.CUSTODY, lambda e: verify_custody(e, chain.charters))
    attested = _each(walks, EntryType.ATTESTATION, lambda e: verify_attestation(e, chain.charters))
    # 6. records, last: they are most of what was fetched, and are let go as they are read
    deposits = _deposits(walks, views, chain, in_force)
    problems = tuple(problem for walk in walks for problem in walk.problems)
    return MissionView(
        mission=mission,
        chain=chain,
        charter_envelopes=chain_envelopes,
        charter=in_force,
        seats=tuple(
            replace(view, problems=tuple(walk.problems))
            for walk, view in zip(walks, views, strict=True)
        ),
        deposits=deposits,
        warrants=warrants,
        supplements=tuple(supplement for _, supplement in supplements),
        papers=papers,
        attestations=tuple(attestation for _, attestation in attested),
        problems=problems,
    )


async def _walk_all(walks: Sequence[Walk], mission: MissionId) -> None:
    """Walk every log, those first whose keys are known: bounds are wide for signed ones only."""
    await asyncio.gather(*(begin_walk(walk) for walk in walks))
    first = [envelope for walk in walks for envelope in _first(walk, mission)]
    seen = {StatementHash(mission): first} if first else {}
    waiting = list(walks)
    while waiting:
        chain = None if not seen else _chain(seen, mission, walks)[0]
        known = {
            walk.seat: keys
            for walk in waiting
            if chain is not None and (keys := log_keys(chain, walk.seat))
        }
        ready = [walk for walk in waiting if walk.seat in known] or waiting
        await asyncio.gather(*(walk_log(walk, mission, known.get(walk.seat, ())) for walk in ready))
        waiting = [walk for walk in waiting if walk not in ready]
        if seen and waiting:
            seen = _parse(walks, _CHARTERS)
            seen[StatementHash(mission)] = first  # good already; a log may have worse forms


def _first(walk: Walk, mission: MissionId) -> Iterator[Envelope]:
    """Charter 1 as a seat shows it, when it is the mission's and rightly signed."""
    try:
        envelope = parse_envelope(walk.first, kinds=[Kind.CHARTER])
        verify_chain([envelope], mission)
    except ExclaveError:
        return  # its log is read all the same, and what is wrong in it is named then
    yield envelope


def _parse(
    walks: Iterable[Walk], types: tuple[EntryType, ...], *, last: bool = False
) -> dict[StatementHash, list[Envelope]]:
    """Statements of these types in the order of the logs, with every form found of each.

    `last`: nobody reads their bodies after this; they are let go.

    Forms differ in their signatures only. They are kept apart, since one seat's bad signature
    would spoil the good ones of the others.
    """
    found: dict[StatementHash, list[Envelope]] = {}
    for walk in walks:
        for entry in walk.entries:
            data = walk.body(entry.hash)
            if entry.type not in types or data is None:
                continue
            try:
                envelope = parse_envelope(data)
            except ExclaveError as error:
                walk.complain(f"{entry.type.value} {entry.hash.hex()[:16]}: {error.message}")
                continue
            if last:
                walk.bodies.pop(entry.hash)  # another seat's entry of it gives the same form
            forms = found.setdefault(envelope.statement_hash, [])
            if envelope not in forms:
                forms.append(envelope)
    return found


def _first_valid(forms: Iterable[Envelope], check: Callable[[Envelope], T]) -> tuple[Envelope, T]:
    failure: ExclaveError | None = None
    for envelope in forms:
        try:
            return envelope, check(envelope)
        except ExclaveError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _chain(
    envelopes: Mapping[StatementHash, Sequence[Envelope]],
    mission: MissionId,
    walks: Sequence[Walk],
) -> tuple[CharterChain, tuple[Envelope, ...]]:
    problems = tuple(problem for walk in walks for problem in walk.problems)
    first = envelopes.get(StatementHash(mission))
    if first is None:
        raise MissionNotFound(
            f"mission {mission.hex()[:16]}: no seat shows its first charter", problems=problems
        )
    begin, chain = _first_valid(first, lambda envelope: verify_chain([envelope], mission))
    used = [begin]
    progress = True
    while progress:
        progress = False
        for envelope in (form for forms in envelopes.values() for form in forms):
            if envelope.statement_hash in chain.hashes or envelope.kind is not Kind.CHARTER:
                continue
            try:
                chain = verify_successor(chain, envelope)
            except ExclaveError:
                continue  # not the next one, or not rightly signed
            used.append(envelope)
            progress = True
    return chain, tuple(used)


def _verified(walk: Walk, chain: CharterChain) -> SeatView:
    verified = False
    try:
        if walk.note:
            open_by_any(walk.note, log_keys(chain, walk.seat))
            verified = walk.consistent
    except ExclaveError as error:
        walk.complain(f"checkpoint: {error.message}", Fault.SIGNATURE)
    return SeatView(
        seat=walk.seat,
        log_size=walk.size,
        verified=verified,
        checkpoint=walk.note,
        entries=tuple(walk.entries),
        problems=(),
        leaves=tuple(walk.leaves),
        alarms=logged_alarms(walk) if verified else (),
    )


def _deposits(
    walks: Sequence[Walk], views: Sequence[SeatView], chain: CharterChain, in_force: Charter
) -> tuple[DepositView, ...]:
    envelopes = _parse(walks, (EntryType.RECORD, EntryType.LODGED), last=True)
    records = Records()
    valid: dict[StatementHash, Envelope] = {}
    for statement, forms in envelopes.items():
        try:
            valid[statement], record = _first_valid(
                forms, lambda envelope: verify_record(envelope, chain)
            )
            records.enter(statement, record)
        except ExclaveError as error:
            _complain_all(walks, statement, f"record {statement.hex()[:16]}: {error.message}")
    suspicion = Suspicion.of(chain, views)
    places = {id(record): statement for statement, record in records.known.items()}
    found: list[DepositView] = []
    for record in newest_first(
        records.known.values(), lambda item: author_of(item, chain), in_force
    ):
        statement = places[id(record)]
        found.append(
            DepositView(
                deposit=record.deposit,
                statement=statement,
                envelope=valid[statement],
                record=record,
                records=records,
                lodged=tuple(view.seat for view in views if view.has_lodged(statement)),
                mirrored=_logged(walks, statement),
                suspect=suspicion.falls_on(record, statement),
            )
        )
    return tuple(found)


def _warrants(walks: Sequence[Walk], chain: CharterChain) -> tuple[WarrantView, ...]:
    found: list[WarrantView] = []
    for statement, forms in _parse(walks, (EntryType.WARRANT, EntryType.SIGNATURES)).items():
        if forms[0].kind is not Kind.WARRANT:
            continue  # further signatures of a charter or an order
        try:
            warrant = parse_warrant(forms[0])
            officials = chain.find(warrant.charter).officials
            envelope = _joined(forms, officials)
        except ExclaveError as error:
            _complain_all(walks, statement, f"warrant {statement.hex()[:16]}: {error.message}")
            continue
        view = WarrantView(
            statement=statement,
            envelope=envelope,
            warrant=warrant,
            logged=_logged(walks, statement),
        )
        found.append(view)
    return tuple(found)


def _joined(forms: Sequence[Envelope], officials: Sequence[Official]) -> Envelope:
    """All signatures of the forms that carry no bad one."""
    joined, _ = _first_valid(forms, lambda envelope: signed_persons(envelope, officials))
    for form in forms:
        try:
            signed_persons(form, officials)
        except ExclaveError:
            continue
        joined = joined.merge(form)
    return joined


def _each(
    walks: Sequence[Walk], kind: EntryType, verify: Callable[[Envelope], T]
) -> tuple[tuple[StatementHash, T], ...]:
    """Statements of a kind in whatever form is rightly signed; each of the others is a problem."""
    found: list[tuple[StatementHash, T]] = []
    for statement, forms in _parse(walks, (kind,)).items():
        try:
            found.append((statement, _first_valid(forms, verify)[1]))
        except ExclaveError as error:
            what = f"{kind.value} {statement.hex()[:16]}: {error.message}"
            _complain_all(walks, statement, what)
    return tuple(found)


def _logged(walks: Sequence[Walk], statement: StatementHash) -> tuple[Seat, ...]:
    return tuple(
        walk.seat for walk in walks if any(entry.statement == statement for entry in walk.entries)
    )


def _complain_all(walks: Sequence[Walk], statement: StatementHash, what: str) -> None:
    for walk in walks:
        if any(entry.statement == statement for entry in walk.entries):
            walk.complain(what)


def _followed(walk: Walk, view: SeatView) -> SeatView:
    """A seat's view with what stands there; a log that cannot be followed is its problem."""
    if not view.verified:
        return view
    hearing = Hearing(view.seat)
    try:
        hearing.hear_all(_heard(walk))
        now = max(view.entries[-1].service, walk.claimed)
        return replace(view, standing=hearing.at(now), statements=hearing.envelopes)
    except ExclaveError as error:
        if not walk.problems:  # a body that did not come has been named
            walk.complain(f"what stands: {error.message}")
        return view


def _heard(walk: Walk) -> Iterator[tuple[int, LogEntry, bytes]]:
    for number, entry in enumerate(walk.entries):
        if entry.type in FOLLOWED:
            body = walk.body(entry.hash)
            if body is None:
                raise IntegrityError(f"body of entry {number}: not here")
            yield number, entry, body


def _in_force(chain: CharterChain, views: Sequence[SeatView]) -> Charter:
    """The newest charter that f+1 seats have in force by their logs, or all there are.

    One seat alone could say that it has waited long enough; and one that joined has not seen that
    the charter which has it waited (spec/standing.md 10).
    """
    standings = [view.standing for view in views if view.standing is not None]
    waited = [item for item in standings if item.seated_by != item.in_force and not item.joining]
    seen = sorted(
        (standing.charter for standing in waited or standings),
        key=lambda charter: charter.order,
        reverse=True,
    )
    if not seen:
        return chain.charters[0]
    return seen[min(chain.newest.witness.f, len(seen) - 1)]
