"""What a vault remembers of its log to know what stands (spec/standing.md).

Immutable values; the machine makes new ones. Times are service time in milliseconds unless a name
says otherwise. Rules: a statement is named by its hash; what signed it is asked of its `Signers`,
so that nothing here knows keys.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, TypeAlias

from exclave.authority.agreement import Agreement
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName
from exclave.authority.keys import TypedKey
from exclave.authority.orders import Compromise, Extend, Hold, Lockdown, Order, Veto
from exclave.authority.warrant import Warrant
from exclave.ids import DepositId, PersonId, Seat, StatementHash
from exclave.standing.phases import Phase, Sort
from exclave.values import dataclass, field

__all__ = [
    "Conflict",
    "Declared",
    "Heard",
    "Item",
    "Kept",
    "Run",
    "Side",
    "Signers",
    "Standing",
    "Tightened",
    "Value",
    "Way",
    "Witnessed",
    "sort_of",
]

Value: TypeAlias = Charter | Warrant | Order


class Signers(Protocol):
    """Who signed a statement: asked for each charter, since keys are a charter's."""

    def by(self, charter: Charter) -> frozenset[PersonId]:
        """The officials of `charter` who signed; never raises."""

    def has(self, key: TypedKey) -> bool:
        """Whether that key signed; never raises."""


class Side(enum.Enum):
    """Who acts: the rosters at home, those abroad under a lockdown, or the receiving state."""

    HOME = "home"
    EXILE = "exile"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An entry of the log with a statement, as the table sees it."""

    number: int
    service: int
    logged: datetime  # the vault's wall clock: extensions alone are capped by it
    statement: StatementHash
    value: Value
    signers: Signers


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A roster that is enough for a statement now, and how long it then waits."""

    side: Side
    roster: RoleName | None  # None: the receiving state
    wait: int
    dark: int  # `wait` where no quorum of witnesses has seen it


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A way, and the entry from which its wait counts."""

    way: Way
    number: int
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A loosening statement and where it stands; several runs: the earliest counts."""

    statement: StatementHash
    value: Value
    signers: Signers
    number: int  # of its first entry
    logged: int
    phase: Phase = Phase.INCOMPLETE
    runs: tuple[Run, ...] = ()
    effective: int | None = None
    ends: int | None = None  # of an effective warrant

    @property
    def sort(self) -> Sort:
        """As the table tells them apart."""
        return sort_of(self.value)

    @property
    def side(self) -> Side | None:
        """Who completed it."""
        return self.runs[0].way.side if self.runs else None

    @property
    def pending(self) -> bool:
        """Whether only time lies between it and its effect."""
        return self.phase in {Phase.WAITING, Phase.OVERRIDING}

    @property
    def dead(self) -> bool:
        """Whether it left its place without ever having been in effect."""
        gone = {Phase.VETOED, Phase.STOPPED, Phase.SUPERSEDED, Phase.EXPIRED}
        return self.effective is None and self.phase in gone


def sort_of(value: Value) -> Sort:
    """As the table tells them apart."""
    if isinstance(value, Charter):
        return Sort.CHARTER
    if isinstance(value, Agreement):
        return Sort.AGREEMENT
    return Sort.WARRANT if isinstance(value, Warrant) else Sort.ORDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightened:
    """A tightening order with the persons who counted when it was logged."""

    statement: StatementHash
    value: Veto | Lockdown | Hold | Extend | Compromise
    persons: frozenset[PersonId]
    number: int
    since: int
    logged: datetime
    by_threshold: bool = False  # an extension that the release threshold signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two charters of one order, the second never in its slot here."""

    order: tuple[int, int]
    first: StatementHash
    second: StatementHash
    charter: Charter  # the second: a new era may follow it, so that vaults that differ can agree
    freezes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """From `since` on, a quorum is known to have seen the entries below `covers`."""

    covers: int
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A compromise in force: whose keys by which charter, and since when (log time)."""

    statement: StatementHash
    charter: StatementHash
    depositors: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An extension in force; None means all deposits."""

    deposits: tuple[DepositId, ...] | None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that stands; `now` is the service time up to which it was followed."""

    now: int
    in_force: StatementHash
    history: tuple[tuple[StatementHash, int], ...]  # charters in force, and since when
    items: Mapping[StatementHash, Item]
    tightened: Mapping[StatementHash, Tightened]
    vetoes: Mapping[StatementHash, tuple[StatementHash, ...]]  # by target
    open_lockdowns: frozenset[StatementHash]
    exile: StatementHash | None  # the exile charter while locked
    conflicts: tuple[Conflict, ...]
    witnessed: tuple[Witnessed, ...]
    # By era: the exile charter whose rosters decide who may open it.
    openings: Mapping[int, StatementHash] = field(default_factory=dict)
    seat: Seat | None = None  # whose log it is; None: one that was there from the beginning

    @property
    def seating(self) -> int:
        """How many charters were in force before the first that has this seat (10)."""
        if self.seat is None:
            return 0
        for place, (name, _) in enumerate(self.history):
            if self.charter_of(name).seats_vault(self.seat):
                return place
        return len(self.history)

    @property
    def joining(self) -> bool:
        """Whether no charter in force has this seat yet: what is logged took effect elsewhere."""
        return self.seating == len(self.history)

    @property
    def seated_by(self) -> StatementHash | None:
        """The charter by which this seat joined; None of one that was there from the beginning."""
        return self.history[self.seating][0] if 0 < self.seating < len(self.history) else None

    @property
    def charter(self) -> Charter:
        """The charter in force."""
        return self.charter_of(self.in_force)

    @property
    def locked(self) -> bool:
        """Whether a lockdown stands."""
        return bool(self.open_lockdowns)

    @property
    def exile_charter(self) -> Charter | None:
        """Whose exile rosters count now; None while no lockdown stands."""
        return None if self.exile is None else self.charter_of(self.exile)

    @property
    def frozen_era(self) -> int | None:
        """The era that only a charter of a higher one ends; None when not frozen."""
        eras = [item.order[0] for item in self.conflicts if item.freezes]
        eras = [era for era in eras if era >= self.charter.era]
        if self.items[self.in_force].phase is Phase.SUPERSEDED:
            eras.append(self.charter.era - 1)  # until the one that took its slot is in force
        return max(eras, default=None)

    def slot(self, order: tuple[int, int]) -> Item | None:
        """The living charter that has a place in the order: one that is dead, or past, has none."""
        for item in self.items.values():
            lives = not item.dead and item.phase is not Phase.SUPERSEDED
            if lives and isinstance(item.value, Charter) and item.value.order == order:
                return item
        return None

    def opener(self, era: int) -> Charter | None:
        """Whose exile rosters may open an era now, or contest it; None: nobody's."""
        if self.slot((era, 1)) is not None and era in self.openings:
            return self.charter_of(self.openings[era])
        return self.exile_charter

    def charter_of(self, statement: StatementHash) -> Charter:
        """A charter that is known to be one."""
        value = self.items[statement].value
        assert isinstance(value, Charter)
        return value
