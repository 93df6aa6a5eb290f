"""Which rosters a statement asks to sign, who of them has signed, how many are needed still.

For showing and for refusing keys that count for nothing; vaults count for themselves, by what
stands there (spec/standing.md 3). Here nobody knows whether a lockdown stands: both are said.
"""

from __future__ import annotations

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_parts import Official, RoleName
from exclave.authority.envelope import ORDERS, TIGHTENING, Envelope, Kind, KindUnexpected
from exclave.authority.persons import signed_persons
from exclave.ids import PersonId
from exclave.values import dataclass

__all__ = [
    "ALARM",
    "EXILE",
    "LOOSENED_BY",
    "Asked",
    "Asking",
    "asked",
    "may_sign",
    "opens_era",
]

ALARM = (RoleName.ALARM, RoleName.EXILE_1, RoleName.EXILE_2)
"""Any one of them tightens."""
EXILE = (RoleName.EXILE_1, RoleName.EXILE_2)
LOOSENED_BY = {
    Kind.WARRANT: RoleName.READ,
    Kind.CHARTER: RoleName.GOVERN,
    Kind.RELEASE: RoleName.RELEASE,
    Kind.LIFT: RoleName.RELEASE,
    Kind.NARROW: RoleName.GOVERN,
    Kind.AGREEMENT: RoleName.GOVERN,
    Kind.TERMINATE: RoleName.GOVERN,
    Kind.GRANT: RoleName.GOVERN,
}
"""Home's roster of each loosening kind but `unlock`, which is exile's (spec/orders.md 3)."""
_ABROAD = frozenset({Kind.WARRANT, Kind.AGREEMENT, Kind.GRANT})
"""What exile signs in home's place under a lockdown."""
_SIGNED = frozenset({Kind.CHARTER, Kind.WARRANT}) | ORDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """At least `threshold` of `members` must sign."""

    name: str
    charter: Charter  # whose roster it is
    roles: tuple[RoleName, ...]
    threshold: int
    members: frozenset[PersonId]
    signed: frozenset[PersonId]

    @property
    def open(self) -> frozenset[PersonId]:
        """Who may sign still."""
        return self.members - self.signed

    @property
    def missing(self) -> int:
        """How many are needed still."""
        return max(0, self.threshold - len(self.signed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Each of `every` is needed; of `either` one is enough, and one is needed if there are any."""

    every: tuple[Asked, ...] = ()
    either: tuple[Asked, ...] = ()
    locked: tuple[Asked, ...] = ()  # one of these instead, while a lockdown stands
    override: Asked | None = None  # against a veto

    @property
    def all(self) -> tuple[Asked, ...]:
        """All rosters that are asked while nothing is locked down or vetoed."""
        return self.every + self.either


def opens_era(charter: Charter) -> bool:
    """Whether a charter is the first of an era that exile opens."""
    return charter.version == 1 and charter.previous is not None


def asked(envelope: Envelope, charter: Charter | None) -> Asking:
    """Who is asked; `charter` is the one in force, of a new charter the one before it."""
    kind = envelope.kind
    if kind not in _SIGNED:
        raise KindUnexpected(f"statement: expected one that officials sign, got a {kind}")
    if kind is Kind.CHARTER:
        return _asked_for_charter(envelope, charter)
    if charter is None or kind is Kind.DECLARE:
        return Asking()  # a host declares, and asks nobody
    if kind in TIGHTENING:
        members = frozenset(item for name in ALARM for item in charter.role(name).members)
        signed = signed_persons(envelope, charter.officials) & members
        name = "alarm, exile_1 or exile_2"
        one = Asked(
            name=name, charter=charter, roles=ALARM, threshold=1, members=members, signed=signed
        )
        return Asking(every=(one,))
    exile = tuple(_roster(envelope, charter, name) for name in EXILE)
    if kind is Kind.UNLOCK:
        return Asking(either=exile)
    return Asking(
        every=(_roster(envelope, charter, LOOSENED_BY[kind]),),
        locked=exile if kind in _ABROAD else (),
        override=_roster(envelope, charter, RoleName.OVERRIDE),
    )


def may_sign(envelope: Envelope, charter: Charter | None) -> dict[PersonId, Official]:
    """Officials whose signature may count, at home or under lockdown, override included."""
    known: list[Charter] = [] if charter is None else [charter]
    if envelope.kind is Kind.CHARTER:
        known.append(parse_charter(envelope))
    names = _signing_rosters(envelope.kind)
    people = {
        person: law.official(person)
        for law in known
        for name in names
        for person in law.role(name).members
    }
    return dict(sorted(people.items()))


def _asked_for_charter(envelope: Envelope, before: Charter | None) -> Asking:
    new = parse_charter(envelope)
    own = _roster(envelope, new, RoleName.GOVERN, "govern of this charter")
    if before is None:
        return Asking(every=(own,))
    if opens_era(new):
        either = tuple(
            _roster(envelope, before, name, f"{name} of the charter before") for name in EXILE
        )
        return Asking(every=(own,), either=either)
    old = _roster(envelope, before, RoleName.GOVERN, "govern of the charter before")
    override = _roster(envelope, before, RoleName.OVERRIDE)
    return Asking(every=(own, old), override=override)


def _roster(envelope: Envelope, charter: Charter, name: RoleName, shown: str = "") -> Asked:
    role = charter.role(name)
    members = frozenset(role.members)
    return Asked(
        name=shown or name.value,
        charter=charter,
        roles=(name,),
        threshold=role.threshold,
        members=members,
        signed=signed_persons(envelope, charter.officials) & members,
    )


def _signing_rosters(kind: Kind) -> tuple[RoleName, ...]:
    if kind is Kind.EXTEND:
        return (*ALARM, RoleName.RELEASE)  # enough of release lift its bound (spec/standing.md 7)
    if kind in TIGHTENING:
        return ALARM
    if kind is Kind.UNLOCK:
        return EXILE
    if kind is Kind.DECLARE:
        return ()
    home = (LOOSENED_BY[kind], RoleName.OVERRIDE)
    return (*home, *EXILE) if kind in {*_ABROAD, Kind.CHARTER} else home
