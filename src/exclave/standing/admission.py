"""What may be logged at all, and as what (spec/standing.md 3, 6, 8).

Asked before a statement is written to a log that never forgets. Rules: signed by somebody who
counts now; a charter has a predecessor and a slot; nobody takes more than his places. A refusal is
an error of its own cause, so that a peer knows whether to come again.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from exclave.authority.agreement import Agreement, Terminate
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.charter_parts import RoleName
from exclave.authority.envelope import TIGHTENING
from exclave.authority.orders import Compromise, Lockdown, Veto
from exclave.authority.permission import Grant
from exclave.authority.warrant import Warrant
from exclave.errors import AuthorityError, QuorumNotReached
from exclave.ids import MissionId, PersonId, StatementHash
from exclave.ledger.entry import EntryType
from exclave.standing.agreed import check_known, check_listed, check_next, host_signed
from exclave.standing.counting import (
    EXILE,
    may_tighten,
    objectors,
    opening,
    place_members,
    role_members,
    ways,
)
from exclave.standing.phases import Phase
from exclave.standing.values import Conflict, Heard, Item, Side, Signers, Standing, Value
from exclave.values import dataclass

__all__ = [
    "PLACES",
    "CharterUnknown",
    "EraNotOpen",
    "NobodyCounts",
    "PlacesTaken",
    "Rival",
    "SlotTaken",
    "StatementOutdated",
    "admit",
    "joins",
    "rival",
]

PLACES: Final = 16
"""Statements of one kind of act that one person may have open, or logged within a day."""
_DAY: Final = 24 * 3600 * 1000


class NobodyCounts(QuorumNotReached):
    """Nobody who signed may do that now."""


class CharterUnknown(AuthorityError):
    """A statement names a charter, or builds on one, that is not logged here (yet)."""


class StatementOutdated(AuthorityError):
    """A statement names a charter that is no longer the one in force, or builds on a dead one."""


class EraNotOpen(AuthorityError):
    """Exile opens an era only under a lockdown, and home changes nothing under one."""


class SlotTaken(AuthorityError):
    """A charter's place in the order was filled and its time is over."""


class PlacesTaken(AuthorityError):
    """Everybody who signed has as many statements open as one person may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """The living charter that has a slot already."""

    item: Item

    def yields(self, standing: Standing, value: Charter, signers: Signers) -> bool:
        """Whether the first exile roster signed the newcomer, and only the second this one."""
        return self._first is False and RoleName.EXILE_1 in _rosters(standing, value, signers)

    def stands(self, standing: Standing, heard: Heard) -> bool:
        """Whether the first exile roster signed this one, and only the second the newcomer."""
        assert isinstance(heard.value, Charter)
        ours = _rosters(standing, heard.value, heard.signers)
        return self._first is True and bool(ours) and RoleName.EXILE_1 not in ours

    @property
    def _first(self) -> bool | None:
        """Whether the first exile roster signed it; None of a charter of home."""
        if self.item.side is not Side.EXILE:
            return None
        return any(run.way.roster is RoleName.EXILE_1 for run in self.item.runs)


def _rosters(standing: Standing, charter: Charter, signers: Signers) -> set[RoleName | None]:
    return {way.roster for way in ways(standing, charter, signers)}


def rival(standing: Standing, charter: Charter) -> Rival | None:
    """Who has a charter's slot and lives: what is dead, or past, is no rival."""
    item = standing.slot(charter.order)
    return None if item is None else Rival(item=item)


def joins(standing: Standing, charter: Charter) -> Conflict | None:
    """The conflict that already freezes the opening of this era: one more charter only joins it.

    Logged all the same: else two vaults might know no charter of that era in common, and none
    could be signed that both take.
    """
    if charter.version > 1:
        return None
    alike = (item for item in standing.conflicts if item.order == charter.order and item.freezes)
    return next(alike, None)


def admit(
    standing: Standing, mission: MissionId, statement: StatementHash, value: Value, signers: Signers
) -> EntryType:
    """As what a new statement is to be logged; raises the reason why it is not."""
    if isinstance(value, Charter):
        return _charter(standing, mission, value, signers)
    named, of = _named(value)
    if of != mission:
        raise MissionMismatch(
            f"statement {statement.hex()[:16]}: expected mission {mission.hex()[:16]}, "
            f"got {of.hex()[:16]}"
        )
    if isinstance(value, Warrant):
        _check_current(standing, named)
        _check_places(standing, value, _loosening(standing, value, signers))
        return EntryType.WARRANT
    if isinstance(value, Compromise) and named not in standing.items:
        raise CharterUnknown(
            "compromise: names a charter that is not here", hint="hand in the charter first"
        )
    if value.kind in TIGHTENING:
        persons = may_tighten(standing, value, signers)
        if not persons:
            raise _nobody(standing, f"{value.kind}")
        if not _kills(standing, value, persons):
            _check_places(standing, value, persons)
        return EntryType.ORDER
    if isinstance(value, Agreement):
        check_next(standing, value)
    elif isinstance(value, Grant):
        check_listed(standing, value)
    _check_places(standing, value, _loosening(standing, value, signers))
    return EntryType.ORDER


def _named(value: Value) -> tuple[StatementHash, MissionId]:
    if isinstance(value, Warrant):
        return value.charter, value.mission
    assert not isinstance(value, Charter)
    return value.head.charter, value.head.mission


def _check_current(standing: Standing, named: StatementHash) -> None:
    if named == standing.in_force:
        return
    charter = standing.charter
    known = standing.items.get(named)
    if known is None or known.dead or (known.effective is None):
        raise CharterUnknown(
            f"warrant: expected the charter in force, {charter.era}.{charter.version}, "
            "got one that is not in force here",
            hint="hand in that charter first, or wait until it is in force",
        )
    raise StatementOutdated(
        f"warrant: expected the charter in force, {charter.era}.{charter.version}, "
        "got an earlier one",
        hint="prepare it again from a new survey",
    )


def _loosening(standing: Standing, value: Value, signers: Signers) -> frozenset[PersonId]:
    """Who counts towards a threshold now: a statement that nobody signed would fill the log."""
    exile = standing.exile_charter
    if exile is not None:
        persons = signers.by(exile) & role_members(exile, *EXILE)
    else:
        persons = signers.by(standing.charter) & role_members(standing.charter, *RoleName)
    host = host_signed(standing, value, signers)
    if host is not None:
        persons |= {PersonId(host)}
    if not persons:
        if isinstance(value, Terminate):
            check_known(standing, value.agreement)  # then its key may count
        raise _nobody(standing, "warrant" if isinstance(value, Warrant) else "order")
    return persons


def _nobody(standing: Standing, what: str) -> NobodyCounts:
    hint = "home is locked down: only exile acts" if standing.locked else None
    return NobodyCounts(
        f"{what}: expected a signature of somebody who may give it now, got none", hint=hint
    )


def _kills(standing: Standing, value: Value, persons: frozenset[PersonId]) -> bool:
    """Whether it is a veto that stops something: as many of these are logged as there is to stop.

    Else a threshold whose members have 16 places each would open more than one person can veto.
    """
    if not isinstance(value, Veto) or value.target not in standing.items:
        return False
    item = standing.items[value.target]
    if isinstance(item.value, Charter):
        persons &= objectors(item.value)
    return bool(persons) and item.phase in {Phase.INCOMPLETE, Phase.WAITING}


def _check_places(standing: Standing, value: Value, persons: frozenset[PersonId]) -> None:
    if standing.joining:
        return
    tight = not isinstance(value, Warrant | Charter) and value.kind in TIGHTENING
    joined = 0 if standing.seated_by is None else standing.items[standing.seated_by].number
    taken: Counter[PersonId] = Counter()
    if tight:
        for order in standing.tightened.values():
            # Lockdowns have places of their own: no other order stands in the way of one.
            alike = isinstance(order.value, Lockdown) == isinstance(value, Lockdown)
            if standing.now < order.since + _DAY and alike and order.number > joined:
                taken.update(order.persons)
    else:
        for item in standing.items.values():
            recent = standing.now < item.logged + _DAY
            counts = item.number > joined and not isinstance(item.value, Charter)
            if counts and (item.pending or recent):
                taken.update(place_members(standing, item.value, item.signers))
    if all(taken[person] >= PLACES for person in persons):
        raise PlacesTaken(
            f"statement: expected at most {PLACES} open ones of one person, got another",
            hint="let another official sign it first, or wait a day",
        )


def _charter(
    standing: Standing, mission: MissionId, charter: Charter, signers: Signers
) -> EntryType:
    name = f"charter {charter.era}.{charter.version}"
    if charter.mission_id != mission or charter.previous is None:
        raise MissionMismatch(f"{name}: expected a later charter of mission {mission.hex()[:16]}")
    opens = charter.version == 1
    before = _predecessor(standing, charter.previous, opens=opens)
    if before is None:
        raise CharterUnknown(
            f"{name}: the charter that it follows is not here", hint="hand in that one first"
        )
    _check_place(standing, charter, before, name)
    # One who contests an era that is open needs no lockdown: else vaults that differ stayed so.
    if (standing.opener(charter.era) is None) if opens else standing.locked:
        raise EraNotOpen(
            f"{name}: expected a lockdown, got none"
            if opens
            else f"{name}: expected no lockdown, got one",
            hint="hand in the lockdown first" if opens else "only exile changes the charter now",
        )
    other = rival(standing, charter)
    if not ways(standing, charter, signers):
        if joins(standing, charter) is not None and opening(standing, charter, signers):
            return EntryType.CONFLICT
        _refuse_unsigned(standing, name)
    if other is None or other.yields(standing, charter, signers):
        return EntryType.CHARTER
    if other.item.statement == standing.seated_by:
        # What died at the older seats before this one joined is mirrored, and must not freeze it.
        raise _slot_past(name, standing.charter)
    return EntryType.CONFLICT


def _refuse_unsigned(standing: Standing, name: str) -> None:
    if standing.frozen_era is not None:
        raise EraNotOpen(
            f"{name}: two charters of one order are here, and only a new era ends that",
            hint="somebody locks down, and exile opens an era",
        )
    raise QuorumNotReached(f"{name}: quorum not reached: too few officials signed")


def _predecessor(standing: Standing, name: StatementHash, *, opens: bool) -> Charter | None:
    """A charter that is logged; a new era may follow one that was only in conflict, too."""
    item = standing.items.get(name)
    if item is not None:
        return item.value if isinstance(item.value, Charter) else None
    found = [conflict.charter for conflict in standing.conflicts if conflict.second == name]
    return found[0] if opens and found else None


def _previous(charter: Charter) -> StatementHash:
    assert charter.previous is not None  # charter 1 alone has none, and is no statement to admit
    return charter.previous


def _check_place(standing: Standing, charter: Charter, before: Charter, name: str) -> None:
    if charter.version > 1 and standing.items[_previous(charter)].dead:
        raise StatementOutdated(f"{name}: the charter that it follows never came into force")
    opens, following = charter.version == 1, (before.era, before.version + 1)
    # An era may be left out: what some vaults never logged, no later charter has to build on.
    if not (charter.era > before.era if opens else charter.order == following):
        expected = "a later era" if opens else f"{before.era}.{before.version + 1}"
        raise CharterUnknown(
            f"{name}: expected {expected} after {before.era}.{before.version}, which it names"
        )
    lives = [i for i in standing.items.values() if isinstance(i.value, Charter) and not i.dead]
    highest = max(item.value.era for item in lives if isinstance(item.value, Charter))
    if charter.era < highest:
        raise StatementOutdated(f"{name}: expected era {highest} or the next, got {charter.era}")
    past = any(_past(standing, item, charter.order) for item in standing.items.values())
    if past or charter.order < standing.charter.order:
        raise _slot_past(name, standing.charter)


def _slot_past(name: str, in_force: Charter) -> SlotTaken:
    return SlotTaken(
        f"{name}: expected a charter after {in_force.era}.{in_force.version}, "
        "got one whose place was filled long ago"
    )


def _past(standing: Standing, item: Item, order: tuple[int, int]) -> bool:
    """Whether a charter had this slot and can no longer be contradicted.

    Those who have left could else make a second one, years later, and freeze everybody.
    """
    charter = item.value
    if not isinstance(charter, Charter) or charter.order != order or item.effective is None:
        return False
    before = _predecessor(standing, _previous(charter), opens=True) if charter.previous else None
    before = before or charter
    settles = 1000 * max(before.delays.exile_change, charter.delays.exile_change)
    return item.phase is Phase.SUPERSEDED or standing.now >= item.effective + settles
