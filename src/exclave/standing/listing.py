"""What stands at a vault, laid out for people who must name it: statements, orders, differences.

    listed(standing)              one vault's open statements and orders that stand
    differences(listings)         what vaults do not agree on, as sentences

Questions about standings; nothing is decided here. Rules: every statement comes with its whole
hash, since officials name it in a veto, lift, narrow or unlock; what has ended is left out, and
what one vault has and another has not is a difference only while something can come of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exclave.authority.agreement import Agreement
from exclave.authority.charter import Charter
from exclave.authority.envelope import Kind
from exclave.authority.orders import Compromise, Extend, Hold, Lockdown
from exclave.authority.permission import Declare, Grant
from exclave.authority.warrant import Warrant
from exclave.ids import PersonId, Seat, StatementHash
from exclave.standing.agreed import ends, host_signed, in_effect
from exclave.standing.effects import compromises, lifted
from exclave.standing.machine import due
from exclave.standing.phases import FINAL, Phase
from exclave.standing.values import Conflict, Item, Standing, Tightened, Value
from exclave.values import dataclass

__all__ = ["Agreed", "Given", "Listing", "Open", "Permitted", "differences", "listed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A loosening statement that something may still become of, or a released warrant."""

    statement: StatementHash
    kind: Kind
    phase: Phase
    seconds: int | None  # until it takes effect as things stand now
    signed: tuple[PersonId, ...]
    host: bool | None = None  # whether the receiving state has signed; None: it is not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A tightening order that stands."""

    statement: StatementHash
    value: Lockdown | Hold | Extend | Compromise
    signed: tuple[PersonId, ...]  # who counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """An agreement in effect; one that was terminated until its notice has run."""

    statement: StatementHash
    value: Agreement
    ends: int | None  # seconds until a terminated one takes no more deposits


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """A grant or a declaration in effect; whoever shows it knows whether its time is over."""

    statement: StatementHash
    value: Grant | Declare


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One vault."""

    charter: Charter
    frozen: bool
    exile: Charter | None  # whose exile rosters act; None: no lockdown stands
    open: tuple[Open, ...]
    given: tuple[Given, ...]
    agreements: tuple[Agreed, ...]
    permissions: tuple[Permitted, ...]
    conflicts: tuple[Conflict, ...]
    phases: Mapping[StatementHash, Phase]  # of every loosening statement that is here

    @property
    def locked(self) -> bool:
        """Whether a lockdown stands."""
        return self.exile is not None


def listed(standing: Standing) -> Listing:
    """What stands, in the order of the log."""
    items = sorted(standing.items.values(), key=lambda item: item.number)
    orders = sorted(standing.tightened.values(), key=lambda order: order.number)
    return Listing(
        charter=standing.charter,
        frozen=standing.frozen_era is not None,
        exile=standing.exile_charter,
        open=tuple(_open(standing, item) for item in items if _matters(item)),
        given=tuple(_given(standing, orders)),
        agreements=tuple(_agreements(standing)),
        permissions=tuple(
            Permitted(statement=item.statement, value=item.value)
            for item in items
            if isinstance(item.value, Grant | Declare) and item.phase is Phase.EFFECTIVE
        ),
        conflicts=standing.conflicts,
        phases={item.statement: item.phase for item in items},
    )


def differences(listings: Mapping[Seat, Listing]) -> tuple[str, ...]:
    """What these vaults do not agree on, each as a sentence that names the seats."""
    charters = {seat: f"charter {_order(item.charter)} in force" for seat, item in listings.items()}
    found = [*_unlike(charters)]
    kinds = {
        item.statement: item.kind
        for one in listings.values()
        for item in one.open
        if item.phase is not Phase.VETOED
    }
    for statement, kind in kinds.items():
        phases = {
            seat: one.phases[statement].value if statement in one.phases else "not there"
            for seat, one in listings.items()
        }
        found += (f"{kind} {statement.hex()}: {line}" for line in _unlike(phases))
    made = {item.statement for one in listings.values() for item in one.agreements}
    for statement in sorted(made):
        stands = {
            seat: "in effect" if any(a.statement == statement for a in one.agreements) else "not"
            for seat, one in listings.items()
        }
        found += (f"agreement {statement.hex()}: {line}" for line in _unlike(stands))
    orders = {item.statement: item.value.kind for one in listings.values() for item in one.given}
    for statement, kind in orders.items():
        stands = {
            seat: "stands" if any(g.statement == statement for g in one.given) else "does not stand"
            for seat, one in listings.items()
        }
        found += (f"{kind} {statement.hex()}: {line}" for line in _unlike(stands))
    frozen = {seat: "frozen" if one.frozen else "not frozen" for seat, one in listings.items()}
    return (*found, *_unlike(frozen))


def _matters(item: Item) -> bool:
    """Charter 1 and what has ended are left out; of what took effect only warrants are open."""
    if item.phase is Phase.EFFECTIVE:
        return isinstance(item.value, Warrant)
    return item.phase not in FINAL


def _open(standing: Standing, item: Item) -> Open:
    at = due(standing, item)
    return Open(
        statement=item.statement,
        kind=_kind(item.value),
        phase=item.phase,
        seconds=None if at is None else max(0, -(-(at - standing.now) // 1000)),
        signed=tuple(sorted(_signed(standing, item))),
        host=_host(standing, item),
    )


def _host(standing: Standing, item: Item) -> bool | None:
    if not isinstance(item.value, Agreement):
        return None
    return host_signed(standing, item.value, item.signers) is not None


def _agreements(standing: Standing) -> Iterator[Agreed]:
    for seat in standing.charter.active_seats:
        item = in_effect(standing, seat.seat)
        # Once, by the first of its seats.
        if item is None or seat.seat != min(_agreement(item).numbers):
            continue
        at = ends(standing, item)
        left = None if at is None else max(0, -(-(at - standing.now) // 1000))
        yield Agreed(statement=item.statement, value=_agreement(item), ends=left)


def _agreement(item: Item) -> Agreement:
    assert isinstance(item.value, Agreement)
    return item.value


def _signed(standing: Standing, item: Item) -> frozenset[PersonId]:
    """Officials who signed it, by the charters whose rosters may be asked."""
    charters = [standing.charter]
    if standing.exile_charter is not None:
        charters.append(standing.exile_charter)
    if isinstance(item.value, Charter):
        charters.append(item.value)
    elif isinstance(item.value, Warrant) and item.value.charter in standing.items:
        charters.append(standing.charter_of(item.value.charter))
    return frozenset(person for charter in charters for person in item.signers.by(charter))


def _given(standing: Standing, orders: list[Tightened]) -> Iterator[Given]:
    ended = lifted(standing)
    declared = {item.statement for item in compromises(standing)}
    for order in orders:
        value = order.value
        stands = (
            (isinstance(value, Lockdown) and order.statement in standing.open_lockdowns)
            or (isinstance(value, Hold) and order.statement not in ended)
            or isinstance(value, Extend)
            or (isinstance(value, Compromise) and order.statement in declared)
        )
        if stands and order.persons and isinstance(value, Lockdown | Hold | Extend | Compromise):
            persons = tuple(sorted(order.persons))
            yield Given(statement=order.statement, value=value, signed=persons)


def _kind(value: Value) -> Kind:
    if isinstance(value, Charter):
        return Kind.CHARTER
    return Kind.WARRANT if isinstance(value, Warrant) else value.kind


def _unlike(said: Mapping[Seat, str]) -> Iterator[str]:
    """One line when not all say the same: who says what."""
    if len(set(said.values())) < 2:
        return
    groups = {word: [seat for seat in said if said[seat] == word] for word in said.values()}
    yield "; ".join(
        f"{word} at seat{'s' * (len(seats) > 1)} {', '.join(map(str, seats))}"
        for word, seats in groups.items()
    )


def _order(charter: Charter) -> str:
    return f"{charter.era}.{charter.version}"
